"""WebSocket frames as bytes, and a transport without a network: what sockets are tested with."""

import asyncio
import struct
from typing import Any

from websockets.frames import Frame, Opcode

TEXT, BINARY, CONT, CLOSE, PING, PONG = (
    Opcode.TEXT,
    Opcode.BINARY,
    Opcode.CONT,
    Opcode.CLOSE,
    Opcode.PING,
    Opcode.PONG,
)


def frame(opcode: Opcode, payload: bytes = b"", *, fin: bool = True, masked: bool = True) -> bytes:
    """Return one frame; a client masks, a server does not."""
    return Frame(opcode, payload, fin).serialize(mask=masked)


def text(payload: str | bytes, *, masked: bool = True) -> bytes:
    """Return one whole text frame."""
    return frame(TEXT, payload.encode() if isinstance(payload, str) else payload, masked=masked)


def close(code: int, reason: str = "", *, masked: bool = True) -> bytes:
    """Return one close frame."""
    return frame(CLOSE, struct.pack("!H", code) + reason.encode(), masked=masked)


def upgrade() -> bytes:
    """Return a client's request for the upgrade."""
    return (
        b"GET /ws HTTP/1.1\r\nHost: test\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
    )


class MemoryTransport(asyncio.Transport):
    """Keeps what is written; `room` bytes fit before the protocol is told to pause."""

    def __init__(self, room: int | None = None) -> None:
        super().__init__()
        self.written: list[bytes] = []
        self.is_paused = False
        self.is_aborted = False
        self.eof = False
        self.room = room
        self.protocol: Any = None
        self._buffered = 0
        self._closing = False
        self._lost = False

    def attach(self, protocol: asyncio.BaseProtocol) -> None:
        """Be this protocol's connection."""
        self.protocol = protocol
        protocol.connection_made(self)

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        """Ask this protocol anew what takes the data: nobody here keeps its methods."""
        self.protocol = protocol

    @property
    def data(self) -> bytes:
        """Everything written."""
        return b"".join(self.written)

    def write(self, data: Any) -> None:
        """Keep it; on a lost connection uvloop raises, and so does this."""
        if self._lost:
            raise RuntimeError("the handler is closed")
        self.written.append(bytes(data))
        self._buffered += len(data)
        if self.room is not None and self._buffered > self.room:
            self.protocol.pause_writing()

    def peer_reads(self) -> None:
        """Let the peer read everything."""
        self._buffered = 0
        self.protocol.resume_writing()

    def write_eof(self) -> None:
        """Note it."""
        if self._lost:
            raise RuntimeError("the handler is closed")
        self.eof = True

    def can_write_eof(self) -> bool:
        """As TCP can."""
        return True

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """There is only `room`."""

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """Return peer addresses, and no socket."""
        return {"peername": ("127.0.0.1", 1), "sockname": ("127.0.0.1", 2)}.get(name, default)

    def pause_reading(self) -> None:
        """Note it."""
        self.is_paused = True

    def resume_reading(self) -> None:
        """Note it."""
        if self._lost:
            raise RuntimeError("the handler is closed")
        self.is_paused = False

    def is_closing(self) -> bool:
        """Whether the connection is closed or about to be."""
        return self._closing

    def close(self) -> None:
        """Close: the protocol hears of it soon, once."""
        if not self._closing:
            self._closing = True
            asyncio.get_running_loop().call_soon(self._tell, None)

    def abort(self) -> None:
        """Close at once."""
        self.is_aborted = True
        self.close()

    def lose(self) -> None:
        """Let the network fail."""
        if not self._closing:
            self._closing = True
            self._tell(ConnectionResetError("lost"))

    def _tell(self, error: Exception | None) -> None:
        self._lost = True
        self.protocol.connection_lost(error)


async def settle(turns: int = 20) -> None:
    """Let everything happen that can happen without waiting."""
    for _ in range(turns):
        await asyncio.sleep(0)
