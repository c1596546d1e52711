"""What this process is busy with, so that recovery never touches it."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager


class Busy:
    """Names of live things, and of those being asked for right now.

    Asking counts before the answer is here: the row may be durable already while its caller has not woken.
    """

    def __init__(self) -> None:
        self._held: dict[str, str | None] = {}
        self._asking: Counter[str] = Counter()

    def __contains__(self, name: str) -> bool:
        """Say whether the name is held; asking is not holding."""
        return name in self._held

    @property
    def names(self) -> frozenset[str]:
        """Everything held or asked for."""
        return frozenset(self._held).union(self._asking)

    @property
    def held(self) -> frozenset[str]:
        """Everything held."""
        return frozenset(self._held)

    @contextmanager
    def asking(self, name: str) -> Iterator[None]:
        """Count the name as busy for the length of the block."""
        self._asking[name] += 1
        try:
            yield
        finally:
            self._asking[name] -= 1
            if not self._asking[name]:
                del self._asking[name]

    def hold(self, name: str, by: str | None = None) -> None:
        """Count the name as busy until `release`; `by` is who holds it, where that may change."""
        self._held[name] = by

    def release(self, name: str, by: str | None = None) -> None:
        """Stop counting the name, unless somebody else than `by` holds it by now; no harm when it is not held."""
        if by is None or self._held.get(name) == by:
            self._held.pop(name, None)
