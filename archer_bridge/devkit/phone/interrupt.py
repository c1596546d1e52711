"""What makes a call leave the verb it is executing: somebody hangs up, or REST redirects it."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Literal


@dataclass(frozen=True, slots=True)
class HangUp:
    """The call ends now."""

    by: Literal["caller", "rest", "time_limit"]


@dataclass(frozen=True, slots=True)
class Goto:
    """The call goes on with another document: exactly one of `url` and `twiml`."""

    url: str = ""
    method: str = "POST"
    twiml: str = ""
    purpose: str = "redirect"
    """What the request is for, as the report names it: webhook, action, dial-action, redirect, rest."""
    extra: Mapping[str, str] = field(default_factory=dict)
    """Form fields besides the standard ones."""


class Interrupted(Exception):
    """Raised inside the verb being executed; `Interrupt.take` says why."""


class Interrupt:
    """The one place where the outside tells a call to do something else."""

    def __init__(self) -> None:
        self._event = asyncio.Event()
        self._scope: asyncio.Timeout | None = None
        self._reason: HangUp | Goto | None = None

    @property
    def reason(self) -> HangUp | Goto | None:
        """Why the call is interrupted, None while it is not."""
        return self._reason

    def fire(self, reason: HangUp | Goto) -> None:
        """Interrupt the call; a hang-up wins over a redirect, and the first hang-up over later ones."""
        if isinstance(self._reason, HangUp):
            return
        self._reason = reason
        self._event.set()
        if self._scope is not None and not self._scope.expired():
            self._scope.reschedule(asyncio.get_running_loop().time())

    def take(self) -> HangUp | Goto:
        """Return the reason and be ready for the next one (a hang-up stays)."""
        assert self._reason is not None, "take() without an interrupt"
        reason = self._reason
        if isinstance(reason, Goto):
            self._reason = None
            self._event.clear()
        return reason

    async def wait(self) -> None:
        """Wait until interrupted."""
        await self._event.wait()

    @asynccontextmanager
    async def scope(self) -> AsyncIterator[None]:
        """Give up what runs inside when the call is interrupted. Not nested: one verb at a time.

        Raises:
            Interrupted: at the await that was pending, or on entering.
        """
        if self._reason is not None:
            raise Interrupted
        limit = asyncio.timeout(None)
        try:
            async with limit:
                self._scope = limit
                yield
        except TimeoutError:
            if limit.expired():
                raise Interrupted from None
            raise
        finally:
            self._scope = None

    async def sleep(self, seconds: float) -> None:
        """Sleep.

        Raises:
            Interrupted: at once when interrupted.
        """
        async with self.scope():
            await asyncio.sleep(seconds)
