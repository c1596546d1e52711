"""Twilio's socket without ASGI's queue and task switches: a protocol class for uvicorn, and the socket over it.

`FastProtocol` is uvicorn's own WebSocket in all but one thing: once a *sink* is set, text messages are given to it as
they are read, within the read. The handshake, `accept`, pings, closing, fragments and every error stay uvicorn's, and
until a sink is set all messages are. The scope's extension `archer.fast` is how the application finds it.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Protocol, cast

from starlette.websockets import WebSocket
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.http11 import Request

from archer_bridge.adapters.asgi_socket import CLOSE_WAIT_S, AsgiSocket
from archer_bridge.adapters.fast_frames import FrameWriter, at_frame_boundary, bound_buffers
from archer_bridge.adapters.frames import LARGEST, Reader, Sink, Write, is_utf8, make_reader
from archer_bridge.adapters.outbox import DOES_NOT_READ
from archer_bridge.calls.flag import Flag
from archer_bridge.ports import Closed

EXTENSION = "archer.fast"


class Mailbox:
    """What uvicorn uses of `asyncio.Queue`, for one reader, in a tenth of the memory: a stranger's socket has one."""

    __slots__ = ("_items", "_reader")

    def __init__(self) -> None:
        self._items: list[Any] = []
        self._reader: asyncio.Future[None] | None = None

    def empty(self) -> bool:
        """Whether nothing waits."""
        return not self._items

    def put_nowait(self, item: Any) -> None:
        """Add an item and wake the reader."""
        self._items.append(item)
        if self._reader is not None and not self._reader.done():
            self._reader.set_result(None)

    def get_nowait(self) -> Any:
        """Take the oldest item; there must be one."""
        return self._items.pop(0)

    async def get(self) -> Any:
        """Wait for an item and take it."""
        while not self._items:
            self._reader = asyncio.get_running_loop().create_future()
            await self._reader
        return self._items.pop(0)


def refuse_bad_text(protocol: WebSocketsSansIOProtocol) -> bool:
    """Close with 1007 when a text message is no UTF-8, and say so; uvicorn would log a traceback for any stranger."""
    if protocol.close_sent or protocol.curr_msg_data_type != "text" or is_utf8(b"".join(protocol.frames)):
        return False
    protocol.frames = []
    protocol.conn.send_close(1007)
    protocol.handle_parser_exception()
    return True


class Owner(Protocol):
    """Who listens to a connection while its sink is set."""

    def failed(self, error: BaseException | None) -> None:
        """The sink raised this, or with None the peer does not read: there is nothing more to expect."""


class FastProtocol(WebSocketsSansIOProtocol):
    """uvicorn's WebSocket with a fast path for whole text frames."""

    __slots__ = ("_is_reading", "_limit", "_owner", "_reader", "_sink", "writer")
    """uvicorn's own attributes nearly fill a dictionary; with six more it takes twice the memory."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.queue = Mailbox()  # type: ignore[assignment]  # it has all that is used of a queue
        self.writable = Flag()  # type: ignore[assignment]  # and this all that is used of an event
        self.writable.set()
        self.writer: FrameWriter | None = None
        self._sink: Sink | None = None
        self._owner: Owner | None = None
        self._limit = min(LARGEST, self.config.ws_max_size)
        self._reader: Reader | None = None
        self._is_reading = False
        """Whether the reader has the transport's data: there is a sink, and the stock parser is at a message's end."""

    def handle_connect(self, event: Request) -> None:
        """Offer the extension to the application, whose task has not begun yet."""
        super().handle_connect(event)
        if self.handshake_initiated and not self.close_sent:
            bound_buffers(self.transport)
            self.writer = FrameWriter(self.transport, self._does_not_read, masked=False)
            cast("dict[str, Any]", self.scope["extensions"])[EXTENSION] = self

    def forget_handshake(self) -> None:
        """Let go of what only the handshake needed, the scope above all; nothing of it is read after `accept`."""
        self.request.headers.clear()  # the library's parser keeps the request itself
        del self.request, self.response
        cast("dict[str, Any]", self.scope).clear()  # it knows this connection: without it there is no circle, either
        self.__dict__ = dict(self.__dict__)  # the old one grew in steps, and has room for twice as many

    # ---- what the application asks ---------------------------------------------------------------------------

    def set_sink(self, sink: Sink | None, owner: Owner | None = None) -> None:
        """Give messages to `sink` from now on, first those that wait in the stock queue; None: to the queue again."""
        self._forget_sink()
        self._owner = owner
        if sink is None:
            return
        self._sink, self._reader = sink, make_reader(sink, self._broken, self._rest, masked=True, limit=self._limit)
        endings = []
        while not self.queue.empty():
            event = self.queue.get_nowait()
            if event["type"] == "websocket.receive":
                text = event.get("text")
                self._deliver(text if text is not None else event.get("bytes") or b"")
            else:
                endings.append(event)
        for event in endings:
            self.queue.put_nowait(event)
        if self.read_paused and not self.transport.is_closing():
            self.read_paused = False
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

    def _does_not_read(self) -> None:
        if self._owner is not None:
            self._owner.failed(None)

    def _broken(self, error: BaseException) -> None:
        """Our own bug ends this call only: it is raised where the call is run."""
        owner = self._owner
        self._forget_sink()
        if owner is not None:
            owner.failed(error)

    def _deliver(self, message: str | bytes) -> None:
        if self._sink is not None:
            try:
                self._sink(message)
            except Exception as error:
                self._broken(error)

    # ---- reading ---------------------------------------------------------------------------------------------

    def data_received(self, data: bytes) -> None:
        """Read while the reader does not, or what it leaves: both are uvicorn's."""
        self._rest(data)

    def _rest(self, data: bytes) -> None:
        super().data_received(data)
        self._look_again()
        self._mind_the_end()

    def send_receive_event_to_app(self) -> None:
        """Give a message that the stock parser has put together to the sink, if there is one."""
        if refuse_bad_text(self):
            return
        if self._sink is None or self.close_sent:
            super().send_receive_event_to_app()
            return
        message = b"".join(self.frames)
        self.frames = []
        self._deliver(message)

    # ---- writing ---------------------------------------------------------------------------------------------

    def pause_writing(self) -> None:
        """The buffer is full."""
        super().pause_writing()
        if self.writer is not None:
            self.writer.pause()

    def resume_writing(self) -> None:
        """The buffer has room."""
        super().resume_writing()
        if self.writer is not None:
            self.writer.resume()

    # ---- the end: no message follows a close frame -----------------------------------------------------------

    def _mind_the_end(self) -> None:
        if self.writer is not None and (self.close_sent or self.disconnected or self.transport.is_closing()):
            self.writer.shut()

    def keepalive_timeout(self) -> None:
        """The peer did not answer a ping."""
        super().keepalive_timeout()
        self._mind_the_end()

    def shutdown(self) -> None:
        """The server stops."""
        super().shutdown()
        self._mind_the_end()

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is gone."""
        super().connection_lost(exc)
        self._mind_the_end()


class FastSocket:
    """An accepted WebSocket on `FastProtocol` as a `ports.TextSocket`."""

    def __init__(self, websocket: WebSocket, connection: FastProtocol) -> None:
        assert connection.writer is not None, "the extension is offered with its writer"
        connection.forget_handshake()
        self._plain = AsgiSocket(websocket)
        self._connection = connection
        self._writer = connection.writer
        self.write: Write = connection.writer.write
        """Send one message: the writer's own method, for it runs 50 times a second."""
        self._patience = asyncio.timeout(None)
        self._error: BaseException | None = None
        self._pumping = False

    def receive(self) -> Awaitable[str | None]:
        """Return the next text message, or None once the socket is closed; binary ones are skipped."""
        return self._plain.receive()

    async def pump(self, on_message: Callable[[str | bytes], None]) -> Closed:
        """Let every message go to `on_message` as it is read, until the socket closes or its peer stops reading."""
        if self._writer.overflowed:
            return DOES_NOT_READ
        self._patience, self._pumping = asyncio.timeout(None), True  # due when there is nothing more to expect
        try:
            async with self._patience:
                self._connection.set_sink(on_message, self)
                while not isinstance(closed := await self._plain.next_message(), Closed):
                    on_message(closed)  # all that the queue gets now is the end
        except TimeoutError:
            if not self._patience.expired():
                raise
            closed = DOES_NOT_READ
        finally:
            self._pumping = False
            self._connection.set_sink(None)
        if self._error is not None:
            raise self._error
        return closed

    def failed(self, error: BaseException | None) -> None:
        """End `pump`: the sink raised, or the peer does not read."""
        self._error = error
        if self._pumping:
            self._patience.reschedule(asyncio.get_running_loop().time())

    async def close(self, code: int = 1000, reason: str = "") -> None:
        """Send what waits, then close; a peer that does not read cannot hold this up."""
        await self._writer.finish(CLOSE_WAIT_S)
        self._connection.set_sink(None)  # what comes after a close is nobody's
        await self._plain.close(code, reason)


CallerSocket = FastSocket | AsgiSocket


def caller_socket(websocket: WebSocket) -> CallerSocket:
    """Return the accepted WebSocket as the fastest `ports.TextSocket` that the server offers."""
    connection = websocket.scope.get("extensions", {}).get(EXTENSION)
    return FastSocket(websocket, connection) if isinstance(connection, FastProtocol) else AsgiSocket(websocket)
