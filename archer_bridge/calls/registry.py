"""The live calls of this process: who is on the line, whether there is room, when all are gone."""

import asyncio
from collections import Counter
from collections.abc import Iterator

from archer_bridge.calls.session import CallSession
from archer_bridge.calls.totals import CallTotals
from archer_bridge.models import CallEnd, Outcome

PROMISED_S = 5.0
"""An answered call keeps its place for so long until its stream comes, which takes Twilio a fraction of a second."""


class LiveCalls:
    """One entry a call; a call has one live stream. An answered call has its place before the stream is there."""

    def __init__(self, capacity: int, *, grace_s: float = 0.0) -> None:
        """`grace_s`: how long calls are still taken once draining, for a proxy that has not seen it yet."""
        self.capacity = capacity
        self._grace_s = grace_s
        self._closes_at: float | None = None
        self.totals = CallTotals()
        self._sessions: dict[str, CallSession | None] = {}
        self._promised: dict[str, tuple[str, asyncio.TimerHandle]] = {}
        self._last_word: tuple[Outcome, str] | None = None
        self._released: dict[str, asyncio.Event] = {}
        self._empty = asyncio.Event()
        self._empty.set()

    def __len__(self) -> int:
        return len(self._sessions)

    def __contains__(self, call_sid: str) -> bool:
        return call_sid in self._sessions

    def __iter__(self) -> Iterator[CallSession]:
        return iter([session for session in self._sessions.values() if session is not None])

    @property
    def ended(self) -> Counter[str]:
        """Calls that had a stream, by outcome."""
        return self.totals.ended

    def drain(self) -> None:
        """Be not ready at once, and take no new call after the grace."""
        if self._closes_at is None:
            self._closes_at = asyncio.get_running_loop().time() + self._grace_s

    def undrain(self) -> None:
        """Take calls again."""
        self._closes_at = None

    @property
    def draining(self) -> bool:
        """Whether no new calls are wanted."""
        return self._closes_at is not None

    @property
    def is_closed(self) -> bool:
        """Whether the grace of a drain is over."""
        return self._closes_at is not None and asyncio.get_running_loop().time() >= self._closes_at

    @property
    def has_room(self) -> bool:
        """Whether one more call may be answered."""
        return not self.is_closed and len(self._sessions) + len(self._promised) < self.capacity

    def of_number(self, number: str) -> int:
        """How many live and promised calls come from this number."""
        live = sum(1 for session in self if session.row.from_number == number)
        return live + sum(1 for promised, _ in self._promised.values() if promised == number)

    def promise(self, call_sid: str, number: str) -> None:
        """The call was answered: it has a place until its stream comes, or does not."""
        self.forget(call_sid)
        late = asyncio.get_running_loop().call_later(PROMISED_S, self.forget, call_sid)
        self._promised[call_sid] = (number, late)
        self._empty.clear()

    def forget(self, call_sid: str) -> None:
        """No stream is expected for the call any more."""
        if (promise := self._promised.pop(call_sid, None)) is not None:
            promise[1].cancel()
            self._look_around()

    def is_promised(self, call_sid: str) -> bool:
        """Whether a stream is expected for the call."""
        return call_sid in self._promised

    def reserve(self, call_sid: str) -> bool:
        """Take the call's place; False when it has a live stream already."""
        if call_sid in self._sessions:
            return False
        self._sessions[call_sid] = None
        self._empty.clear()
        self.forget(call_sid)
        return True

    def add(self, session: CallSession) -> None:
        """Put the session in its reserved place; it ends at once when all have had to."""
        self._sessions[session.row.call_sid] = session
        if self._last_word is not None:
            session.end_now(*self._last_word)

    def end_all(self, outcome: Outcome, reason: str) -> None:
        """End every call that is live, and every one that still comes."""
        self._last_word = (outcome, reason)
        for session in list(self):
            session.end_now(outcome, reason)

    def note_end(self, end: CallEnd) -> None:
        """Count a call that ended."""
        self.totals.call_ended(end)

    def session(self, call_sid: str) -> CallSession | None:
        """Return the call's session on this stream."""
        return self._sessions.get(call_sid)

    def release(self, call_sid: str) -> None:
        """The call has left the line."""
        self._sessions.pop(call_sid, None)
        if (released := self._released.pop(call_sid, None)) is not None:
            released.set()
        self._look_around()

    def _look_around(self) -> None:
        if not self._sessions and not self._promised:
            self._empty.set()

    async def wait_released(self, call_sid: str, timeout_s: float) -> bool:
        """Wait until the call has left the line; False when it has not in time."""
        if call_sid not in self._sessions:
            return True
        try:
            async with asyncio.timeout(timeout_s):
                await self._released.setdefault(call_sid, asyncio.Event()).wait()
        except TimeoutError:
            return False
        return True

    async def wait_empty(self) -> None:
        """Return once no call is live, and no stream of an answered one is expected."""
        await self._empty.wait()
