"""Whether one more call is answered: room in this process and for this number, minutes left today, a sound engine.

Decided at the webhook, where the caller can still be told; a socket refused later would be a dead line.
"""

from dataclasses import dataclass
from datetime import UTC, date, datetime

import structlog

from archer_bridge.calls.breaker import Breaker
from archer_bridge.calls.registry import LiveCalls
from archer_bridge.ports import Store

log = structlog.get_logger(__name__)

WARN_AT = 0.8
"""The share of the day's minutes from which the operator is warned."""


@dataclass(slots=True)
class Admission:
    """The limits on new calls; a limit of 0 is none."""

    live: LiveCalls
    store: Store
    per_number: int
    """Live calls of one phone number in this process."""
    daily_minutes: int
    """Minutes of all calls since midnight UTC, by the record, so that every process and a restart count."""
    breaker: Breaker | None = None
    """Holds new calls back while the engine is in trouble."""
    _told: tuple[date, str] = (date.min, "")

    async def refusal(self, call_sid: str, number: str) -> str | None:
        """Return why this call is not answered; None: it has its place, until its stream comes or does not.

        A call that is live already, or was answered a moment ago, is never refused.

        Raises:
            StoreError: the record cannot be read, and there is a budget.
        """
        if call_sid in self.live or self.live.is_promised(call_sid):
            return None
        if (full := self._full(number)) is not None:
            return full
        if self.daily_minutes and (over := await self._over_budget()) is not None:
            return over
        # Once more, for others may have come meanwhile; from here on nothing is waited for.
        if (full := self._full(number)) is not None:
            return full
        if self.breaker is not None and not self.breaker.admits(call_sid):
            return "the engine is in trouble"
        self.live.promise(call_sid, number)
        return None

    def _full(self, number: str) -> str | None:
        if not self.live.has_room:
            return "draining" if self.live.is_closed else f"{len(self.live)} live calls"
        if self.per_number and (same := self.live.of_number(number)) >= self.per_number:
            return f"{same} live calls of this number"
        return None

    async def _over_budget(self) -> str | None:
        now = datetime.now(UTC)
        midnight = now.replace(hour=0, minute=0, second=0, microsecond=0)
        running = sum(max(0.0, (now - session.row.created_at).total_seconds()) for session in self.live)
        used = (await self.store.talk_seconds(midnight) + running) / 60
        share = used / self.daily_minutes
        if share >= 1:
            self._tell(now.date(), "error", used)
            return f"{used:.0f} of {self.daily_minutes} minutes used today"
        if share >= WARN_AT:
            self._tell(now.date(), "warning", used)
        return None

    def _tell(self, today: date, level: str, used: float) -> None:
        """Say it once a day and level."""
        if self._told != (today, level):
            self._told = today, level
            tell = log.error if level == "error" else log.warning
            tell("minutes_budget", used=round(used), budget=self.daily_minutes)
