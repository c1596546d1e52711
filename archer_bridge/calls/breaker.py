"""When the engine is in trouble, take no new calls: a busy message is kinder than a call that dies. Pure.

    closed ──(failures in a row, or one that says it all)──> open ──(after a while)──> half open
      ^                                                        ^                          │ one call tries
      └──────────────────── it connected ──────────────────────┼──────────────────────────┤
                                                                └───── it failed, too ─────┘

Only new calls are held back. Calls on the line go on, and what becomes of their connections counts as well.
"""

from collections.abc import Callable
from enum import StrEnum

TELLING = frozenset({401, 402, 403, 404, 429})
"""HTTP statuses after which the next call would be refused, too: key, money, rights, agent, concurrency."""
TRIAL_S = 30.0
"""A trial call that has not reached the engine by then never will: another one may try."""


class BreakerState(StrEnum):
    """Whether new calls are taken: all, none, or one at a time."""

    CLOSED = "closed"
    HALF_OPEN = "half_open"
    OPEN = "open"


class Breaker:
    """One process's view of its engine. Times are seconds of the given clock."""

    def __init__(
        self,
        *,
        failures: int,
        open_s: float,
        clock: Callable[[], float],
        tell: Callable[[BreakerState, str], None] = lambda state, why: None,
    ) -> None:
        """Make a closed breaker.

        Args:
            failures: so many in a row open it; 0: it never opens.
            open_s: how long no new call is taken before one may try.
            clock: monotonic seconds.
            tell: called with the new state and the reason when it opens or closes.
        """
        self.in_a_row = 0
        """Failures since the last success."""
        self.opened = 0
        """How often it opened."""
        self._failures = failures
        self._open_s = open_s
        self._clock = clock
        self._tell = tell
        self._opened_at: float | None = None
        self._trial: tuple[str, float] | None = None

    @property
    def state(self) -> BreakerState:
        """Where it stands now."""
        if self._opened_at is None:
            return BreakerState.CLOSED
        return BreakerState.OPEN if self._clock() - self._opened_at < self._open_s else BreakerState.HALF_OPEN

    def admits(self, call_sid: str) -> bool:
        """Say whether this new call may go to the engine; in doubt, one call may, and others wait for its fate."""
        state = self.state
        if state is not BreakerState.HALF_OPEN:
            return state is BreakerState.CLOSED
        now = self._clock()
        if self._trial is None or now - self._trial[1] >= TRIAL_S:
            self._trial = (call_sid, now)
        return self._trial[0] == call_sid

    def succeeded(self) -> None:
        """A session with the engine began."""
        self.in_a_row = 0
        self._trial = None
        if self._opened_at is not None:
            self._opened_at = None
            self._tell(BreakerState.CLOSED, "the engine answers again")

    def failed(self, status: int | None, why: str) -> None:
        """No session came to be: `status` is the HTTP status of a refusal, if there was one."""
        self.in_a_row += 1
        if not self._failures:
            return
        state = self.state
        enough = status in TELLING or self.in_a_row >= self._failures
        if state is BreakerState.HALF_OPEN or (state is BreakerState.CLOSED and enough):
            self._trial = None
            self._opened_at = self._clock()
            self.opened += 1
            self._tell(BreakerState.OPEN, why)
