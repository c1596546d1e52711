"""The waiting room of a socket whose `send` must be awaited: filled at once, emptied by one writer task."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable

from archer_bridge.ports import Closed

LIMIT = 256
"""Messages that may wait. Audio comes 50 times a second, so a peer this far behind is 5 s late."""
DROPPABLE_LIMIT = 50
"""Droppable messages that may wait: one second of caller audio."""

DOES_NOT_READ = Closed(1013, "the peer does not read")
"""How a socket ends whose outbox overflowed."""

Send = Callable[[bytes], Awaitable[None]]


class Outbox:
    """Messages on their way out, in order; the writer task is started by the first of them."""

    def __init__(self, send: Send, on_overflow: Callable[[], None], *, name: str) -> None:
        """Args: send: hands one message to the peer; on_overflow: called once, when the peer does not read at all."""
        self.dropped = 0
        self.overflowed = False
        self._send = send
        self._on_overflow = on_overflow
        self._name = name
        self._waiting: deque[tuple[bytes, bool]] = deque()
        self._droppable = 0
        self._wake = asyncio.Event()
        self._empty = asyncio.Event()
        self._empty.set()
        self._writer: asyncio.Task[None] | None = None
        self._shut = False

    def __len__(self) -> int:
        """How many messages wait."""
        return len(self._waiting)

    def put(self, message: bytes, *, droppable: bool) -> None:
        """Queue a message; at a bound the oldest droppable one goes, and without any the peer is given up.

        Nothing is kept for a peer that is gone, given up or closed.
        """
        if self._shut or self.overflowed:
            return
        if self._writer is None:
            self._writer = asyncio.create_task(self._empty_out(), name=self._name)
            self._writer.add_done_callback(self._writer_ended)
        is_full = len(self._waiting) >= LIMIT
        if (is_full or (droppable and self._droppable >= DROPPABLE_LIMIT)) and not self._drop_oldest():
            self.overflowed = True
            self._on_overflow()
            return
        self._waiting.append((message, droppable))
        self._droppable += droppable
        self._empty.clear()
        self._wake.set()

    def _drop_oldest(self) -> bool:
        for index, (_, droppable) in enumerate(self._waiting):
            if droppable:
                del self._waiting[index]
                self._droppable -= 1
                self.dropped += 1
                return True
        return False

    async def _empty_out(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._waiting:
                message, droppable = self._waiting.popleft()
                self._droppable -= droppable
                await self._send(message)
            self._empty.set()

    def _writer_ended(self, writer: "asyncio.Task[None]") -> None:
        """The peer is gone, which its reader reports: what still waits will not be read by anybody."""
        if not writer.cancelled():
            writer.exception()
        self._shut = True
        self._waiting.clear()
        self._droppable = 0
        self._empty.set()

    async def finish(self, wait_s: float) -> None:
        """Take nothing more, give the peer `wait_s` to read what waits, and end the writer."""
        self._shut = True
        try:
            async with asyncio.timeout(wait_s):
                await self._empty.wait()
        except TimeoutError:
            self.dropped += len(self._waiting)
        finally:
            if self._writer is not None:
                self._writer.cancel()
        if self._writer is not None:
            await asyncio.wait({self._writer})
