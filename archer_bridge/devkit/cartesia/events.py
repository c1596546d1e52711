"""What happens inside the simulator, as a feed of plain dicts and a few counters."""

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

Event = dict[str, Any]
Subscriber = Callable[[Event], None]

_HISTORY = 10_000


@dataclass(slots=True)
class Counters:
    """Totals since the simulator was made; bytes are audio bytes as they crossed the socket, base64 undone."""

    connections: int = 0
    refused: int = 0
    sessions: int = 0
    active_sessions: int = 0
    audio_bytes_in: int = 0
    audio_bytes_out: int = 0
    audio_dropped_before_ready: int = 0
    tool_calls: int = 0
    invalid_events: int = 0


class EventFeed:
    """Publishes events to subscribers and keeps the latest 10,000.

    An event has `event` (its name), `t` (the loop's monotonic time in seconds) and its own facts. Names:
    connected, session_started, turn_started, agent_heard, agent_said, agent_interrupted, dtmf, tool_called,
    tool_result, closed.
    """

    def __init__(self) -> None:
        self.history: deque[Event] = deque(maxlen=_HISTORY)
        self._subscribers: list[Subscriber] = []

    def publish(self, event: str, **facts: Any) -> None:
        """Give one event to every subscriber, in order of subscription."""
        record = {"event": event, "t": round(asyncio.get_running_loop().time(), 4), **facts}
        self.history.append(record)
        for subscriber in tuple(self._subscribers):
            subscriber(record)

    def subscribe(self, subscriber: Subscriber) -> Callable[[], None]:
        """Call `subscriber` with each event from now on; the returned function ends that."""
        self._subscribers.append(subscriber)
        return lambda: self._subscribers.remove(subscriber)

    def named(self, event: str) -> list[Event]:
        """Return the kept events of one name, oldest first."""
        return [record for record in self.history if record["event"] == event]

    async def expect(self, event: str, **facts: Any) -> Event:
        """Return the first event, past or future, with this name and these facts; waits without limit."""

        def matches(record: Event) -> bool:
            return record["event"] == event and all(record.get(key) == facts[key] for key in facts)

        for record in self.history:
            if matches(record):
                return record
        found: asyncio.Future[Event] = asyncio.get_running_loop().create_future()

        def look(record: Event) -> None:
            if matches(record) and not found.done():
                found.set_result(record)

        unsubscribe = self.subscribe(look)
        try:
            return await found
        finally:
            unsubscribe()
