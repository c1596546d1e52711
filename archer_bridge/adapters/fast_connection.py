"""One client connection: bytes of the transport, frames of `websockets`' Sans-I/O protocol, messages to the sink."""

import asyncio
import os
from collections.abc import Mapping
from typing import cast

from websockets.client import ClientProtocol
from websockets.frames import CloseCode, Frame, Opcode
from websockets.http11 import Response
from websockets.protocol import OPEN

from archer_bridge.adapters.client_socket import CLOSE_WAIT_S, PING_EVERY_S, USER_AGENT
from archer_bridge.adapters.fast_frames import FrameWriter, at_frame_boundary, bound_buffers
from archer_bridge.adapters.frames import LARGEST, Reader, Sink, make_reader
from archer_bridge.adapters.outbox import DOES_NOT_READ
from archer_bridge.calls.flag import Flag
from archer_bridge.ports import Closed

PENDING = 64
"""Messages kept for the sink before reading pauses."""


class FastConnection(asyncio.Protocol):
    """An asyncio protocol that reads whole text frames itself and leaves everything else to the library."""

    def __init__(self, conn: ClientProtocol) -> None:
        self.conn = conn
        self.writer: FrameWriter | None = None
        """Set by the handshake."""
        self.closed: Closed | BaseException | None = None
        """How the conversation ended, or the error that the sink raised; None while it goes on."""
        self.lost = Flag()
        """The transport is closed, too."""
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self.ended = Flag()
        """There is an outcome."""
        self._opened: asyncio.Future[None] = self._loop.create_future()
        self._sink: Sink | None = None
        self._reader: Reader | None = None
        self._is_reading = False
        """Whether the reader has the transport's data: there is a sink, and the library is between two messages."""
        self._pending: list[bytes] = []  # a deque takes ten times the memory
        self._parts: list[bytes] = []
        self._is_text = False
        self._is_failed = False
        self._ping: bytes | None = None
        self._ping_timer: asyncio.TimerHandle | None = None
        self._close_timer: asyncio.TimerHandle | None = None

    @property
    def transport(self) -> asyncio.Transport:
        """The connection's transport; there from `connection_made` on."""
        assert self._transport is not None, "the connection has been made"
        return self._transport

    async def shake_hands(self, headers: Mapping[str, str]) -> None:
        """Ask for the upgrade and wait for the answer.

        Raises:
            InvalidHandshake: refused, or no proper answer.
            OSError: the connection was lost.
        """
        request = self.conn.connect()
        for name, value in headers.items():
            request.headers[name] = value
        request.headers["User-Agent"] = USER_AGENT
        self.conn.send_request(request)
        self._flush()
        await self._opened

    def _open(self) -> None:
        bound_buffers(self.transport)
        self.writer = FrameWriter(self.transport, self._does_not_read, masked=True)
        self._ping_timer = self._loop.call_later(PING_EVERY_S, self._send_ping)
        self._opened.set_result(None)

    # ---- reading ---------------------------------------------------------------------------------------------

    def set_sink(self, sink: Sink | None) -> None:
        """Give messages to `sink` from now on, first those that came before; with None the next ones wait."""
        self._forget_sink()
        if sink is None:
            return
        self._sink, self._reader = sink, make_reader(sink, self._broken, self._rest, masked=False, limit=LARGEST)
        while self._pending and self._sink is not None:
            self._deliver(self._pending.pop(0))
        if not self.transport.is_closing():
            self.transport.resume_reading()
        self._look_again()

    def _look_again(self) -> None:
        """Let the transport give its data to the reader itself while it may, and to `data_received` else."""
        reader = self._reader if at_frame_boundary(self.conn) else None
        if self._is_reading == (reader is not None):
            return
        self._is_reading = reader is not None
        if reader is not None:
            self.data_received = reader.received  # type: ignore[method-assign, assignment]
        else:
            del self.data_received
        self.transport.set_protocol(self)  # it keeps the method it knows

    def _forget_sink(self) -> None:
        self._sink = self._reader = None
        self._look_again()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """Read while the reader does not, or what it leaves: both are the library's."""
        self._rest(data)

    def _rest(self, data: bytes) -> None:
        self.conn.receive_data(data)
        self._take_events()
        self._look_again()

    def eof_received(self) -> None:
        """The peer sends nothing more."""
        self.conn.receive_eof()
        self._take_events()

    def _take_events(self) -> None:
        for event in self.conn.events_received():
            if isinstance(event, Frame):
                self._frame(event)
            elif isinstance(event, Response) and self.conn.handshake_exc is None and not self._opened.done():
                self._open()  # else nobody waits any more: the answer came with the end of their patience
                event.headers.clear()  # the library's parser keeps the answer as long as the connection lasts
        if self.conn.handshake_exc is not None and not self._opened.done():
            self._opened.set_exception(self.conn.handshake_exc)
        self._flush()

    def _frame(self, frame: Frame) -> None:
        if frame.opcode is Opcode.PONG:
            if bytes(frame.data) == self._ping:
                self._ping = None
        elif frame.opcode in {Opcode.TEXT, Opcode.BINARY, Opcode.CONT}:
            if frame.opcode is not Opcode.CONT:
                self._is_text = frame.opcode is Opcode.TEXT
            self._parts.append(bytes(frame.data))
            if frame.fin:
                message, self._parts = b"".join(self._parts), []
                self._message(message)

    def _message(self, message: bytes) -> None:
        if self._is_text:
            try:
                message.decode()
            except UnicodeDecodeError as error:
                self.conn.fail(CloseCode.INVALID_DATA, f"{error.reason} at position {error.start}")
                self._is_failed = True
        if self._is_failed:
            return
        if self._sink is not None:
            self._deliver(message)
        elif self.closed is None:
            self._pending.append(message)
            if len(self._pending) >= PENDING:
                self.transport.pause_reading()

    def _deliver(self, message: str | bytes) -> None:
        if self._sink is not None:
            try:
                self._sink(message)
            except Exception as error:
                self._broken(error)

    def _broken(self, error: BaseException) -> None:
        """Our own bug ends this call only: it is raised where the call is run."""
        self._forget_sink()
        self._end(error)

    # ---- writing ---------------------------------------------------------------------------------------------

    def pause_writing(self) -> None:
        """The buffer is full."""
        if self.writer is not None:
            self.writer.pause()

    def resume_writing(self) -> None:
        """The buffer has room."""
        if self.writer is not None:
            self.writer.resume()

    def _does_not_read(self) -> None:
        self._end(DOES_NOT_READ)

    def _flush(self) -> None:
        """Send what the library wants sent; close in time."""
        for data in self.conn.data_to_send():
            if self.transport.is_closing():
                continue  # nobody is there; uvloop would raise
            if data:
                self.transport.write(data)
            elif self.transport.can_write_eof():
                self.transport.write_eof()
        if self.conn.state is not OPEN and self.writer is not None:
            self.writer.shut()
        if self._close_timer is None and self.conn.close_expected():
            self._close_timer = self._loop.call_later(CLOSE_WAIT_S, self.transport.abort)

    # ---- keeping alive ---------------------------------------------------------------------------------------

    def _send_ping(self) -> None:
        if self.conn.state is not OPEN:
            return
        self._ping = os.urandom(4)
        self.conn.send_ping(self._ping)
        self._flush()
        self._ping_timer = self._loop.call_later(PING_EVERY_S, self._check_pong)

    def _check_pong(self) -> None:
        if self._ping is None:
            self._send_ping()
        elif self.conn.state is OPEN:
            self.conn.fail(CloseCode.INTERNAL_ERROR, "keepalive ping timeout")
            self._flush()
            self.transport.abort()

    # ---- the end ---------------------------------------------------------------------------------------------

    def start_close(self, code: int, reason: str) -> None:
        """Send the close frame, once; the connection is lost soon, with the peer's help or without."""
        self._forget_sink()
        if self.conn.state is OPEN:
            self.conn.send_close(code, reason)
        self._flush()
        if not self.transport.is_closing():
            self.transport.resume_reading()  # the peer's close must be seen

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell how it ended."""
        for timer in (self._ping_timer, self._close_timer):
            if timer is not None:
                timer.cancel()
        self.conn.receive_eof()
        if self.writer is not None:
            self.writer.shut()
        if not self._opened.done():
            self._opened.set_exception(exc or self.conn.handshake_exc or ConnectionResetError("connection lost"))
        self._end(self._how())
        self.lost.set()

    def _end(self, outcome: Closed | BaseException) -> None:
        """The conversation is over; what came first stands."""
        if self.closed is None:
            self.closed = outcome
            self.ended.set()

    def outcome(self) -> Closed:
        """Return how the conversation, which is over, ended; raises what the sink raised."""
        assert self.closed is not None, "it is over"
        if isinstance(self.closed, BaseException):
            raise self.closed
        return self.closed

    def _how(self) -> Closed:
        """Return the peer's close frame; without one 1006, and what was seen instead."""
        received, sent = self.conn.close_rcvd, self.conn.close_sent
        if received is not None:
            return Closed(received.code, received.reason)
        if sent is not None and sent.reason:
            return Closed(1006, sent.reason)
        return Closed(1006, "no close frame received")
