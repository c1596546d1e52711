"""The fast path both sockets share: whole text frames in, one write a message out, no task in between.

Nearly every message of a call is one complete text frame in one read. Such frames (frames.py) are given to the sink at
once. Whatever is anything else (a fragment, a control frame, a frame that is cut in two, too large, wrongly masked, not
UTF-8) goes, from that frame's first byte on, to the WebSocket implementation that also made the handshake;
`at_frame_boundary` tells when it has come to the end of it and the fast path may take over again.
"""

import asyncio
import importlib.util
import os
import socket
from collections.abc import Callable
from importlib.metadata import version
from typing import Any, Final

from websockets.protocol import OPEN, Protocol
from websockets.streams import StreamReader

from archer_bridge.adapters.frames import Write, make_framer
from archer_bridge.adapters.outbox import DROPPABLE_LIMIT, LIMIT

WRITE_BUFFER: Final = 8 * 1024
"""Bytes that may wait in the transport before messages wait here, where old ones can be dropped."""
NOT_SENT: Final = 16 * 1024
"""Bytes that the kernel takes beyond what is on its way: without this it takes megabytes, minutes of audio."""
KNOWN: Final = {"uvicorn": "0.54.", "websockets": "17."}
"""How the versions begin whose private attributes are known; both are used."""

_AT_EOF = StreamReader.at_eof.__code__


def fast_path_problem(library: str = "websockets") -> str:
    """Return why the fast path cannot be used with the installed `library`; empty when it can."""
    for name in {"websockets", library}:
        installed = version(name)
        if not installed.startswith(KNOWN[name]):
            return f"{name} {installed} is installed, {KNOWN[name]}x is known"
    if importlib.util.find_spec("websockets.speedups") is None:
        return "websockets was installed without its C extension"
    return ""


def at_frame_boundary(protocol: Protocol) -> bool:
    """Whether the library's parser waits for the first byte of a frame, outside of a fragmented message."""
    if protocol.state is not OPEN or protocol.current_size is not None:
        return False
    waiting: Any = protocol.parser
    while waiting.gi_yieldfrom is not None:
        waiting = waiting.gi_yieldfrom
    return waiting.gi_code is _AT_EOF  # it asks whether this is the end between frames, and nowhere else


def bound_buffers(transport: asyncio.Transport) -> None:
    """Keep what waits for a slow reader out of the transport and the kernel, as far as they let us."""
    transport.set_write_buffer_limits(high=WRITE_BUFFER)
    raw = transport.get_extra_info("socket")
    option = getattr(socket, "TCP_NOTSENT_LOWAT", None)
    if raw is not None and option is not None and raw.family in {socket.AF_INET, socket.AF_INET6}:
        raw.setsockopt(socket.IPPROTO_TCP, option, NOT_SENT)


class FrameWriter:
    """Text messages on their way out: framed and written at once; kept, up to a bound, while the peer is slow.

    The bounds are those of `Outbox`: then the oldest droppable message goes, and without any the peer is given up.
    """

    def __init__(self, transport: asyncio.Transport, on_overflow: Callable[[], None], *, masked: bool) -> None:
        """Args: on_overflow: called once, when the peer does not read at all; masked: as a client must."""
        self.dropped = 0
        self.overflowed = False
        self._on_overflow = on_overflow
        self._framer = make_framer(transport.write, self._wait, os.urandom if masked else None)
        self.write: Write = self._framer.write
        """Send one message, or keep it for when there is room; nothing is kept once shut."""
        self._is_shut = False
        self._waiting: list[tuple[bytes, bool]] = []  # a deque takes ten times the memory, and most stay empty
        self._droppable = 0
        self._emptied: asyncio.Future[None] | None = None
        """There while somebody waits for the end of what waits."""

    def __len__(self) -> int:
        """How many messages wait."""
        return len(self._waiting)

    # ---- a slow reader ---------------------------------------------------------------------------------------

    def pause(self) -> None:
        """The transport's buffer is full."""
        self._framer.is_open = False

    def resume(self) -> None:
        """There is room again: send on what waits."""
        self._framer.is_open = not self._is_shut
        while self._waiting and self._framer.is_open:
            message, droppable = self._waiting.pop(0)
            self._droppable -= droppable
            self.write(message)
        if not self._waiting:
            self._tell_emptied()

    def _wait(self, message: bytes, droppable: bool) -> None:
        if self._is_shut:
            return
        is_full = len(self._waiting) >= LIMIT
        if (is_full or (droppable and self._droppable >= DROPPABLE_LIMIT)) and not self._drop_oldest():
            self.overflowed = True
            self.shut()
            self._on_overflow()
            return
        self._waiting.append((message, droppable))
        self._droppable += droppable

    def _drop_oldest(self) -> bool:
        for index, (_, droppable) in enumerate(self._waiting):
            if droppable:
                del self._waiting[index]
                self._droppable -= 1
                self.dropped += 1
                return True
        return False

    # ---- the end ---------------------------------------------------------------------------------------------

    def shut(self) -> None:
        """Take nothing more and forget what waits: the peer is gone, or given up."""
        self._is_shut, self._framer.is_open = True, False
        self.dropped += len(self._waiting)
        self._waiting.clear()
        self._droppable = 0
        self._tell_emptied()

    def _tell_emptied(self) -> None:
        if self._emptied is not None and not self._emptied.done():
            self._emptied.set_result(None)

    async def finish(self, wait_s: float) -> None:
        """Give the peer `wait_s` to read what waits, then take nothing more."""
        try:
            if self._waiting:
                self._emptied = self._emptied or asyncio.get_running_loop().create_future()
                await asyncio.wait([self._emptied], timeout=wait_s)  # after that it had its time: the rest is dropped
        finally:
            self.shut()
