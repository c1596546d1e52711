"""The live calls of this process: who is on the line, whether there is room, when all are gone."""

import asyncio
from collections import Counter
from collections.abc import Iterator

from archer_bridge.calls.session import CallSession
from archer_bridge.models import CallEnd


class LiveCalls:
    """One entry a call; a call has one live stream."""

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self.draining = False
        self.ended: Counter[str] = Counter()
        """Calls that had a stream, by outcome."""
        self.seconds_ended = 0.0
        self._sessions: dict[str, CallSession | None] = {}
        self._empty = asyncio.Event()
        self._empty.set()

    def __len__(self) -> int:
        return len(self._sessions)

    def __contains__(self, call_sid: str) -> bool:
        return call_sid in self._sessions

    def __iter__(self) -> Iterator[CallSession]:
        return iter([session for session in self._sessions.values() if session is not None])

    @property
    def has_room(self) -> bool:
        """Whether one more call may be answered."""
        return not self.draining and len(self._sessions) < self.capacity

    def reserve(self, call_sid: str) -> bool:
        """Take the call's place; False when it has a live stream already."""
        if call_sid in self._sessions:
            return False
        self._sessions[call_sid] = None
        self._empty.clear()
        return True

    def add(self, session: CallSession) -> None:
        """Put the session in its reserved place."""
        self._sessions[session.row.call_sid] = session

    def note_end(self, end: CallEnd) -> None:
        """Count a call that ended."""
        self.ended[end.outcome.value] += 1
        self.seconds_ended += (end.duration_ms or 0) / 1000

    def release(self, call_sid: str) -> None:
        """The call is over."""
        self._sessions.pop(call_sid, None)
        if not self._sessions:
            self._empty.set()

    async def wait_empty(self) -> None:
        """Return once no call is live."""
        await self._empty.wait()
