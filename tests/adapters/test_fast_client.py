"""The fast client does what the `websockets` client does, seen from the call and from the engine."""

import asyncio
import base64
import hashlib
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest
import uvloop
from hypothesis import given, settings
from hypothesis import strategies as st
from websockets.client import ClientProtocol
from websockets.frames import Frame
from websockets.protocol import Protocol, Side
from websockets.uri import parse_uri

from archer_bridge.adapters.client_socket import dial
from archer_bridge.adapters.fast_client import FastClientSocket, dial_fast
from archer_bridge.adapters.fast_connection import PENDING, FastConnection
from archer_bridge.adapters.outbox import DOES_NOT_READ, DROPPABLE_LIMIT, LIMIT
from archer_bridge.errors import EngineError
from archer_bridge.ports import Closed, Dialer
from tests.support.virtual import virtual
from tests.support.wire import BINARY, CLOSE, CONT, PING, TEXT, MemoryTransport, close, frame, settle, text

DIALERS = [pytest.param(dial_fast, id="fast"), pytest.param(dial, id="plain")]
HEADERS = {"X-API-Key": "sk_secret"}
HELLO = text('{"type":"audio_output"}', masked=False)
Talk = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


def accepted(request: bytes) -> bytes:
    key = re.search(rb"Sec-WebSocket-Key: (\S+)", request)
    assert key is not None
    digest = hashlib.sha1(key[1] + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest()
    return (
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Accept: " + base64.b64encode(digest) + b"\r\n\r\n"
    )


@asynccontextmanager
async def engine(talk: Talk, *, answer: bytes | None = None) -> AsyncIterator[str]:
    """Serve connections that `talk` after the handshake, or only get `answer`; the URL of them."""
    serving: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        serving.add(task)
        try:
            request = await reader.readuntil(b"\r\n\r\n")
            writer.write(accepted(request) if answer is None else answer)
            if answer is None:
                await talk(reader, writer)
            await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass  # the client is gone, as some of these tests want
        finally:
            writer.close()
            with suppress(ConnectionError):
                await writer.wait_closed()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    try:
        yield f"ws://127.0.0.1:{port}/agent?token=hidden"
    finally:
        server.close()
        await asyncio.gather(*serving)


def says(*reads: bytes) -> Talk:
    """Send these pieces, each to be read alone, then wait for the client's end of the connection."""

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for piece in reads:
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(0.05)
        await reader.read()

    return talk


def whole(*pieces: bytes) -> list[bytes]:
    return [b"".join(pieces)]


CASES = [
    pytest.param([HELLO, close(1000, "bye", masked=False)], id="one-frame"),
    pytest.param(
        whole(*[text(f"m{n}", masked=False) for n in range(50)], close(1000, masked=False)), id="many-in-one-read"
    ),
    pytest.param([HELLO[:1], HELLO[1:9], HELLO[9:] + HELLO, close(1000, masked=False)], id="cut"),
    pytest.param([text("x" * 70_000, masked=False), HELLO, close(1000, masked=False)], id="long"),
    pytest.param([text("x" * (1 << 20) + "y", masked=False)], id="too-large"),
    pytest.param([text("Grüße \U0001f600", masked=False), close(1000, masked=False)], id="not-ascii"),
    pytest.param(whole(HELLO, text(b"\xff", masked=False)), id="bad-utf8"),
    pytest.param([text("masked", masked=True)], id="masked-by-a-server"),
    pytest.param([frame(BINARY, b"\x00", masked=False), close(1000, masked=False)], id="binary"),
    pytest.param(
        whole(
            frame(TEXT, b"a", fin=False, masked=False),
            frame(PING, b"p", masked=False),
            frame(CONT, b"b", masked=False),
            HELLO,
            close(1000, masked=False),
        ),
        id="fragments-and-ping",
    ),
    pytest.param(whole(HELLO, close(1011, "broken", masked=False), HELLO), id="close-then-junk"),
    pytest.param([frame(CLOSE, masked=False)], id="no-code"),
    pytest.param([b"\xc1\x01a"], id="reserved-bit"),
    pytest.param([frame(CONT, b"c", masked=False)], id="continuation-of-nothing"),
]


@pytest.mark.parametrize("reads", CASES)
@virtual
async def test_both_paths_behave_the_same(reads: list[bytes]) -> None:
    outcomes = []
    for dialer in (dial_fast, dial):
        messages: list[bytes] = []
        async with engine(says(*reads)) as url:
            socket = await dialer(url, HEADERS)
            closed = await socket.pump(lambda m, into=messages: into.append(m.encode() if isinstance(m, str) else m))  # type: ignore[misc]
            await socket.close()
        outcomes.append((messages, closed))

    assert outcomes[0] == outcomes[1]


@pytest.mark.parametrize("dialer", DIALERS)
@virtual
async def test_what_it_writes_is_read_by_a_server(dialer: Dialer) -> None:
    lengths = [0, 1, 125, 126, 65535, 65536, 100_000]
    received: list[bytes] = []

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        conn = Protocol(Side.SERVER)
        while data := await reader.read(65536):
            conn.receive_data(data)
            for event in conn.events_received():
                assert isinstance(event, Frame)
                if event.opcode is TEXT:
                    received.append(bytes(event.data))
            for out in conn.data_to_send():
                writer.write(out)

    async with engine(talk) as url:
        socket = await dialer(url, HEADERS)
        for length in lengths:
            socket.write(b"x" * length)
            await asyncio.sleep(0.1)
        await socket.close(1000, "over")

    assert [len(message) for message in received] == lengths


@pytest.mark.parametrize("dialer", DIALERS)
@pytest.mark.parametrize(
    ("answer", "status", "retryable", "said"),
    [
        pytest.param(b"HTTP/1.1 401 No\r\nContent-Length: 9\r\n\r\nsk_secret", 401, False, "HTTP 401: ***", id="401"),
        pytest.param(b"HTTP/1.1 503 Busy\r\nContent-Length: 4\r\n\r\nbusy", 503, True, "HTTP 503: busy", id="503"),
        pytest.param(b"HTTP/1.1 500 No\r\n\r\nto the end", 500, True, "HTTP 500: to the end", id="body-to-the-end"),
        pytest.param(b"HTTP/1.1 302 No\r\nLocation: ws://x/\r\nContent-Length: 0\r\n\r\n", 302, False, "302", id="302"),
        pytest.param(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", 200, False, "200", id="no-upgrade"),
        pytest.param(b"SMTP\r\n\r\n", None, True, "HTTP response", id="not-http"),
        pytest.param(b"", None, True, "HTTP response", id="hangs-up"),
        pytest.param(
            b"HTTP/1.1 101 OK\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: no\r\n\r\n",
            None, True, "Accept", id="wrong-accept",
        ),
    ],
)  # fmt: skip
@virtual
async def test_a_refusal_says_what_was_answered(
    dialer: Dialer, answer: bytes, status: int | None, retryable: bool, said: str
) -> None:
    async with engine(says(), answer=answer) as url:
        with pytest.raises(EngineError) as caught:
            await dialer(url, HEADERS)

    assert caught.value.status == status
    assert caught.value.retryable is retryable
    assert said in str(caught.value)
    assert "sk_secret" not in str(caught.value)
    assert "hidden" not in str(caught.value)


@pytest.mark.parametrize("dialer", DIALERS)
@pytest.mark.parametrize("url", ["http://127.0.0.1/", "ws://", "ws://127.0.0.1:1/x?token=hidden"])
@virtual
async def test_an_address_that_cannot_be_reached_is_an_engine_error(dialer: Dialer, url: str) -> None:
    with pytest.raises(EngineError) as caught:
        await dialer(url, HEADERS)

    assert "hidden" not in str(caught.value)


@pytest.mark.parametrize("dialer", DIALERS)
@virtual
async def test_a_lost_connection_is_1006(dialer: Dialer) -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(HELLO)
        await writer.drain()

    async with engine(talk) as url:
        socket = await dialer(url, HEADERS)
        closed = await socket.pump(lambda _: None)
        socket.write(b"nobody reads this")
        await socket.close()

    assert closed.code == 1006


@pytest.mark.parametrize("dialer", DIALERS)
@virtual
async def test_a_peer_that_answers_no_ping_is_found_in_ten_seconds(dialer: Dialer) -> None:
    async with engine(says()) as url:
        loop = asyncio.get_running_loop()
        socket = await dialer(url, HEADERS)
        began = loop.time()
        closed = await socket.pump(lambda _: None)

        assert closed == Closed(1006, "keepalive ping timeout")
        assert 9.9 <= loop.time() - began <= 12.0  # virtual seconds
        await socket.close()


@pytest.mark.parametrize("dialer", DIALERS)
@virtual
async def test_a_close_that_is_not_answered_does_not_last(dialer: Dialer) -> None:
    async with engine(says()) as url:
        loop = asyncio.get_running_loop()
        socket = await dialer(url, HEADERS)
        began = loop.time()
        await socket.close(1000, "over")
        await socket.close(1000, "again")

        assert loop.time() - began <= 3.0  # virtual seconds


# ---- what only the fast one can be asked ---------------------------------------------------------------------


async def connection(room: int | None = None) -> tuple[FastClientSocket, FastConnection, MemoryTransport]:
    """Return an open connection over memory; what it wrote so far is forgotten."""
    transport = MemoryTransport(room)
    made = FastConnection(ClientProtocol(parse_uri("ws://test/")))
    transport.attach(made)
    shaking = asyncio.create_task(made.shake_hands({}))
    await settle()
    made.data_received(accepted(transport.data))
    await shaking
    transport.written.clear()
    return FastClientSocket(made), made, transport


def read_back(data: bytes) -> list[bytes]:
    """Return the text messages in what a client wrote."""
    server = Protocol(Side.SERVER)
    server.receive_data(data)
    return [
        bytes(event.data) for event in server.events_received() if isinstance(event, Frame) and event.opcode is TEXT
    ]


async def test_an_answer_that_comes_with_the_end_of_the_patience_is_nobodys() -> None:
    transport = MemoryTransport()
    protocol = FastConnection(ClientProtocol(parse_uri("ws://127.0.0.1/agent")))
    protocol.connection_made(transport)
    opening = asyncio.create_task(protocol.shake_hands({}))
    await settle()
    opening.cancel()
    await asyncio.gather(opening, return_exceptions=True)
    protocol.data_received(accepted(b"".join(transport.written)))
    transport.abort()
    protocol.connection_lost(None)

    assert protocol.writer is None
    assert protocol.closed.code == 1006


async def test_messages_before_the_pump_are_kept_in_order_and_bounded() -> None:
    socket, made, transport = await connection()
    for number in range(PENDING):
        made.data_received(text(f"m{number}", masked=False))
    assert transport.is_paused
    messages: list[Any] = []
    pumping = asyncio.create_task(socket.pump(messages.append))
    await settle()
    assert not transport.is_paused
    made.data_received(text("last", masked=False) + close(1000, masked=False))
    made.eof_received()
    transport.close()

    assert await pumping == Closed(1000, "")
    assert messages == [b"m%d" % number for number in range(PENDING)] + [b"last"]


async def test_a_bug_in_the_sink_is_raised_where_the_call_runs() -> None:
    socket, made, transport = await connection()
    messages: list[Any] = []

    def take(message: str | bytes) -> None:
        messages.append(message)
        raise ValueError("a bug")

    pumping = asyncio.create_task(socket.pump(take))
    await settle()
    made.data_received(text("one", masked=False) + text("two", masked=False))
    with pytest.raises(ValueError, match="a bug"):
        await pumping
    transport.lose()
    await socket.close()

    assert messages == [b"one"]


async def test_a_lost_connection_is_closed_without_a_word() -> None:
    socket, _, transport = await connection()
    pumping = asyncio.create_task(socket.pump(lambda _: None))
    await settle()
    transport.lose()
    closed = await pumping
    socket.write(b"nobody reads this")
    await socket.close(1000, "over")

    assert closed == Closed(1006, "no close frame received")
    assert transport.written == []


def test_uvloop_closes_what_is_lost_already_without_a_word() -> None:
    async def call() -> Closed:
        async with engine(lambda reader, writer: writer.drain()) as url:
            socket = await dial_fast(url, HEADERS)
            closed = await socket.pump(lambda _: None)
            socket.write(b"nobody reads this")
            await socket.close(1000, "over")
            return closed

    assert uvloop.run(call()) == Closed(1006, "no close frame received")


async def test_no_key_is_used_twice() -> None:
    socket, _, transport = await connection()
    for _ in range(3000):
        socket.write(b"audio")
    keys = {written[2:6] for written in transport.written}

    assert len(keys) > 2990  # 32 random bits: a repetition is possible, a pattern is not
    assert read_back(transport.data) == [b"audio"] * 3000


async def test_a_slow_reader_loses_old_audio_first_and_is_given_up_at_last() -> None:
    socket, _, transport = await connection(room=1)
    socket.write(b"first")
    for number in range(DROPPABLE_LIMIT + 5):
        socket.write(b"%d" % number, droppable=True)
    transport.room = None
    transport.peer_reads()
    assert read_back(transport.data) == [b"first", *(b"%d" % number for number in range(5, DROPPABLE_LIMIT + 5))]

    transport.room = 1
    for _ in range(LIMIT + 3):
        socket.write(b"x")

    assert await socket.pump(lambda _: None) == DOES_NOT_READ
    await socket.close()
    assert transport.is_aborted or transport.is_closing()


MESSAGES = st.one_of(
    st.text(max_size=140).map(lambda words: text(words, masked=False)),
    st.binary(max_size=9).map(lambda data: frame(PING, data, masked=False)),
    st.binary(max_size=9).map(lambda data: frame(BINARY, data, masked=False)),
    st.lists(st.text(max_size=5), min_size=2, max_size=4).map(
        lambda parts: b"".join(
            frame(TEXT if index == 0 else CONT, part.encode(), fin=index == len(parts) - 1, masked=False)
            for index, part in enumerate(parts)
        )
    ),
)


@settings(max_examples=60)
@given(messages=st.lists(MESSAGES, max_size=8), data=st.data())
def test_any_split_of_any_stream_gives_the_same_messages(messages: list[bytes], data: st.DataObject) -> None:
    stream = b"".join(messages)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=12)))
    pieces = [stream[a:b] for a, b in zip([0, *cuts], [*cuts, len(stream)], strict=True) if b > a]

    async def run() -> list[bytes]:
        socket, made, transport = await connection()
        got: list[Any] = []
        pumping = asyncio.create_task(socket.pump(got.append))
        await settle(3)
        for piece in pieces:
            made.data_received(piece)
        transport.lose()
        await pumping
        return got

    library = Protocol(Side.CLIENT)
    library.receive_data(stream)
    expected, parts = [], b""
    for event in library.events_received():
        assert isinstance(event, Frame)
        if event.opcode in {TEXT, BINARY, CONT}:
            parts += bytes(event.data)
            if event.fin:
                expected.append(parts)
                parts = b""

    assert asyncio.run(run()) == expected
