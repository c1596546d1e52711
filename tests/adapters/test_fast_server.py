"""The fast server path does what uvicorn's own does, seen from the application and from the peer."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from typing import Any

import pytest
import uvicorn
from hypothesis import given, settings
from hypothesis import strategies as st
from starlette.applications import Starlette
from starlette.routing import WebSocketRoute
from starlette.websockets import WebSocket
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from uvicorn.server import ServerState
from websockets.server import ServerProtocol

from archer_bridge.adapters import fast_frames
from archer_bridge.adapters.asgi_socket import AsgiSocket
from archer_bridge.adapters.fast_frames import at_frame_boundary, fast_path_problem
from archer_bridge.adapters.fast_server import FastProtocol, FastSocket, caller_socket
from archer_bridge.adapters.outbox import DOES_NOT_READ, DROPPABLE_LIMIT, LIMIT
from archer_bridge.ports import Closed
from tests.support.virtual import virtual
from tests.support.wire import BINARY, CONT, PING, PONG, TEXT, MemoryTransport, close, frame, settle, text, upgrade

PATHS = [pytest.param(FastProtocol, id="fast"), pytest.param(WebSocketsSansIOProtocol, id="stock")]
MAX_SIZE = 64 * 1024


@dataclass
class Peer:
    """One connection, the application behind it, and what came of both."""

    protocol: Any
    transport: MemoryTransport
    messages: list[bytes] = field(default_factory=list)
    closed: Closed | None = None
    socket: Any = None
    error: BaseException | None = None
    answer: Callable[["Peer", bytes], None] | None = None
    may_pump: asyncio.Event = field(default_factory=asyncio.Event)

    async def feed(self, *pieces: bytes) -> None:
        """Send pieces, each as one read, as far as the connection is open and read from."""
        for piece in pieces:
            while self.transport.is_paused and not self.transport.is_closing():
                await settle(1)
            if self.transport.is_closing():
                break
            self.protocol.data_received(piece)
        await settle()

    @property
    def frames(self) -> bytes:
        """What the peer got after the handshake."""
        return self.transport.data.partition(b"\r\n\r\n")[2]

    def outcome(self) -> tuple[list[bytes], Closed | None, bytes, bool]:
        """Everything there is to see."""
        return self.messages, self.closed, self.frames, self.transport.is_closing()


async def connect(
    kind: type[WebSocketsSansIOProtocol],
    *,
    first: Sequence[bytes] = (),
    answer: Callable[[Peer, bytes], None] | None = None,
    late: bool = False,
    room: int | None = None,
    ping_s: float | None = None,
) -> Peer:
    """Return an accepted connection whose application pumps; `late`: only once `may_pump` is set."""
    transport = MemoryTransport(room)

    async def endpoint(websocket: WebSocket) -> None:
        await websocket.accept()
        peer.socket = caller_socket(websocket)
        await peer.may_pump.wait()

        def take(message: str | bytes) -> None:
            peer.messages.append(message.encode() if isinstance(message, str) else message)
            if peer.answer is not None:
                peer.answer(peer, peer.messages[-1])

        try:
            peer.closed = await peer.socket.pump(take)
        except ValueError as error:
            peer.error = error
            await peer.socket.close(1011, "bug")

    app = Starlette(routes=[WebSocketRoute("/ws", endpoint)])
    config = uvicorn.Config(
        app, ws_max_size=MAX_SIZE, ws_per_message_deflate=False, ws_ping_interval=ping_s, ws_ping_timeout=ping_s,
        lifespan="off", log_config=None,
    )  # fmt: skip
    config.load()
    protocol = kind(config, ServerState(), {})
    peer = Peer(protocol, transport, answer=answer)
    if not late:
        peer.may_pump.set()
    transport.attach(protocol)
    protocol.data_received(upgrade())
    await settle()
    await peer.feed(*first)
    return peer


def whole(*pieces: bytes) -> list[bytes]:
    return [b"".join(pieces)]


def by_bytes(*pieces: bytes) -> list[bytes]:
    return [bytes([byte]) for byte in b"".join(pieces)]


HELLO = text('{"event":"media"}')
CASES = [
    pytest.param([HELLO], id="one-frame"),
    pytest.param([HELLO, HELLO], id="a-frame-a-read"),
    pytest.param(whole(*[text(f"m{n}") for n in range(50)]), id="many-frames-in-one-read"),
    pytest.param(by_bytes(HELLO, text("two")), id="byte-by-byte"),
    pytest.param([HELLO[:5], HELLO[5:] + HELLO + HELLO[:9], HELLO[9:]], id="cut-in-two"),
    pytest.param(whole(HELLO, HELLO[:1]) + [HELLO[1:]], id="one-byte-tail"),
    pytest.param([text("x" * 125), text("y" * 126), text("z" * 65535)], id="every-length-form"),
    pytest.param([text("x" * 65536)], id="largest-length-form"),
    pytest.param([text("x" * 65537)], id="too-large"),
    pytest.param([text("")], id="empty"),
    pytest.param([text("Grüße, 你好 \U0001f600")], id="not-ascii"),
    pytest.param(whole(HELLO, text(b"\xff\xfe"), HELLO), id="bad-utf8"),
    pytest.param([text(b"\xed\xa0\x80")], id="surrogate"),
    pytest.param([HELLO, text("x", masked=False), HELLO], id="unmasked"),
    pytest.param([text("x" * 200, masked=False)], id="unmasked-longer"),
    pytest.param([b"\xc1\x80abcd"], id="reserved-bit"),
    pytest.param([b"\x83\x80abcd"], id="reserved-opcode"),
    pytest.param([frame(BINARY, b"\x00\x01")], id="binary"),
    pytest.param(
        [frame(TEXT, b"a", fin=False), frame(CONT, b"b", fin=False), frame(CONT, b"c"), HELLO], id="fragments"
    ),
    pytest.param(
        whole(frame(TEXT, b"a", fin=False), frame(PING, b"p"), frame(CONT, b"c"), HELLO), id="ping-between-fragments"
    ),
    pytest.param([HELLO, frame(TEXT, b"a", fin=False), HELLO], id="text-inside-a-fragmented-message"),
    pytest.param([frame(CONT, b"c")], id="continuation-of-nothing"),
    pytest.param(
        [frame(TEXT, "é".encode()[:1], fin=False), frame(CONT, "é".encode()[1:]), HELLO], id="character-cut-in-two"
    ),
    pytest.param([frame(TEXT, b"\xff", fin=False), frame(CONT, b""), HELLO], id="bad-utf8-in-fragments"),
    pytest.param(whole(HELLO, frame(PING, b"are you there"), HELLO), id="ping-between"),
    pytest.param(whole(frame(PONG, b"?"), HELLO), id="unasked-pong"),
    pytest.param([b"\x89\xfe\x00\x7eabcd" + bytes(126)], id="oversized-ping"),
    pytest.param(whole(HELLO, close(1000, "bye"), HELLO), id="close-by-peer"),
    pytest.param([close(1001)], id="going-away"),
    pytest.param([frame(TEXT, b"a", fin=False), close(1000)], id="close-inside-a-message"),
    pytest.param([b"\x88\x80abcd"], id="no-code"),
    pytest.param([b"\x88\x81abcd\x00"], id="close-with-half-a-code"),
]


@pytest.mark.parametrize("reads", CASES)
async def test_both_paths_behave_the_same(reads: list[bytes]) -> None:
    outcomes = []
    for kind in (FastProtocol, WebSocketsSansIOProtocol):
        peer = await connect(kind)
        assert type(peer.socket) is (FastSocket if kind is FastProtocol else AsgiSocket)
        await peer.feed(*reads)
        before = peer.outcome()
        peer.transport.lose()
        await settle()
        outcomes.append((before, peer.closed))

    assert outcomes[0] == outcomes[1]


@pytest.mark.parametrize(
    "wrong",
    [
        pytest.param(text("x", masked=False), id="unmasked"),
        pytest.param(frame(TEXT, b"a", fin=False) + HELLO, id="text-inside-a-fragmented-message"),
    ],
)
async def test_what_came_before_a_wrong_frame_is_delivered_however_it_was_read(wrong: bytes) -> None:
    """uvicorn loses it when it comes in one read with the wrong frame: chance, and no rule to follow."""
    together, apart = await connect(FastProtocol), await connect(WebSocketsSansIOProtocol)
    await together.feed(HELLO + wrong)
    await apart.feed(HELLO, wrong)

    assert together.outcome() == apart.outcome()


@pytest.mark.parametrize("kind", PATHS)
@pytest.mark.parametrize(
    ("reads", "code"),
    [
        pytest.param([text("x", masked=False)], 1002, id="unmasked"),
        pytest.param([text(b"\xff")], 1007, id="bad-utf8"),
        pytest.param([text("x" * 65537)], 1009, id="too-large"),
        pytest.param([close(4000, "done")], 4000, id="echo"),
    ],
)
async def test_the_peer_gets_the_right_close_code(
    kind: type[WebSocketsSansIOProtocol], reads: list[bytes], code: int
) -> None:
    peer = await connect(kind)
    await peer.feed(*reads)

    assert peer.frames[0] == 0x88
    assert int.from_bytes(peer.frames[2:4], "big") == code
    assert peer.closed is not None
    assert peer.closed.code == code


@pytest.mark.parametrize("kind", PATHS)
async def test_messages_before_the_pump_are_kept_in_order(kind: type[WebSocketsSansIOProtocol]) -> None:
    peer, third = await connect(kind, late=True), text("three")
    peer.protocol.data_received(text("one") + text("two") + third[:4])
    assert peer.transport.is_paused  # nothing more is read, so little is kept
    assert await peer.socket.receive() == "one"
    peer.may_pump.set()
    await settle()
    await peer.feed(third[4:] + text("four"))

    assert peer.messages == [b"two", b"three", b"four"]


@pytest.mark.parametrize("kind", PATHS)
async def test_our_close_is_answered_and_nothing_follows_it(kind: type[WebSocketsSansIOProtocol]) -> None:
    peer = await connect(kind, answer=lambda peer, message: peer.socket.write(b"got " + message))
    await peer.feed(text("one"))
    closing = asyncio.create_task(peer.socket.close(1000, "over"))
    await settle()
    peer.socket.write(b"too late")
    await peer.feed(text("ignored"), close(1000, "over"))
    await closing

    assert peer.frames == text("got one", masked=False) + close(1000, "over", masked=False)
    assert peer.messages == [b"one"]
    assert peer.closed == Closed(1000, "over")
    assert peer.transport.is_closing()


@pytest.mark.parametrize("kind", PATHS)
async def test_a_lost_connection_ends_the_pump(kind: type[WebSocketsSansIOProtocol]) -> None:
    peer = await connect(kind)
    await peer.feed(HELLO)
    peer.transport.lose()
    await settle()
    peer.socket.write(b"nobody reads this")
    await peer.socket.close()

    assert peer.closed == Closed(1005)
    assert peer.frames == b""


@pytest.mark.parametrize("kind", PATHS)
async def test_a_stopping_server_says_so(kind: type[WebSocketsSansIOProtocol]) -> None:
    peer = await connect(kind)
    peer.protocol.shutdown()
    peer.socket.write(b"too late")
    await settle()

    assert peer.frames == close(1012, masked=False)
    assert peer.closed == Closed(1012)


@pytest.mark.parametrize("kind", PATHS)
@virtual
async def test_a_peer_that_answers_no_ping_is_given_up(kind: type[WebSocketsSansIOProtocol]) -> None:
    peer = await connect(kind, ping_s=5.0)
    await asyncio.sleep(10.1)

    assert peer.frames[:1] == b"\x89"
    assert peer.closed is not None
    assert peer.transport.is_closing()


@pytest.mark.parametrize("kind", PATHS)
async def test_a_bug_in_the_sink_is_raised_where_the_call_runs(kind: type[WebSocketsSansIOProtocol]) -> None:
    def fail(_: Peer, message: bytes) -> None:
        if message == b"two":
            raise ValueError("a bug")

    peer, third = await connect(kind, answer=fail), text("three")
    await peer.feed(text("one") + text("two") + third[:3], third[3:])
    await peer.feed(close(1011, "bug"))

    assert peer.messages == [b"one", b"two"]
    assert str(peer.error) == "a bug"
    assert peer.frames == close(1011, "bug", masked=False)


async def test_a_slow_reader_gets_messages_later_and_in_order() -> None:
    peer = await connect(FastProtocol, room=30)
    for number in range(20):
        peer.socket.write(b"message %02d" % number)
    held = len(peer.socket._writer)
    while len(peer.socket._writer):
        peer.transport.peer_reads()

    assert held > 10
    assert peer.frames == b"".join(text(f"message {number:02d}", masked=False) for number in range(20))


async def test_a_slow_readers_old_droppable_messages_go_first() -> None:
    peer = await connect(FastProtocol, room=1)
    peer.socket.write(b"first")
    peer.socket.write(b"kept")
    for number in range(DROPPABLE_LIMIT + 5):
        peer.socket.write(b"audio %d" % number, droppable=True)
    peer.transport.room = None
    peer.transport.peer_reads()

    assert peer.socket._writer.dropped == 5
    assert peer.frames.startswith(
        text("first", masked=False) + text("kept", masked=False) + text("audio 5", masked=False)
    )


@pytest.mark.parametrize("kind", PATHS)
async def test_a_peer_that_never_reads_is_given_up(kind: type[WebSocketsSansIOProtocol]) -> None:
    peer = await connect(kind, room=1)
    for _ in range(LIMIT + 3):
        peer.socket.write(b"x")
        if kind is not FastProtocol:
            await settle(3)
    await settle()

    assert peer.closed == DOES_NOT_READ
    assert await peer.socket.pump(lambda _: None) == DOES_NOT_READ


async def test_a_close_waits_for_what_waits() -> None:
    peer = await connect(FastProtocol, room=1)
    peer.socket.write(b"one")
    peer.socket.write(b"two")
    closing = asyncio.create_task(peer.socket.close(1000))
    await settle()
    peer.transport.room = None
    peer.transport.peer_reads()
    await closing

    assert peer.frames == text("one", masked=False) + text("two", masked=False) + close(1000, masked=False)


async def test_another_server_is_served_plainly() -> None:
    websocket = WebSocket({"type": "websocket", "extensions": {}, "headers": []}, None, None)  # type: ignore[arg-type]

    assert type(caller_socket(websocket)) is AsgiSocket


# ---- any split of any stream ---------------------------------------------------------------------------------

TEXTS = st.one_of(st.text(max_size=40), st.text(alphabet="ab", min_size=120, max_size=140))
MESSAGES = st.one_of(
    TEXTS.map(lambda words: text(words)),
    st.binary(max_size=20).map(lambda data: frame(PING, data)),
    st.binary(max_size=20).map(lambda data: frame(BINARY, data)),
    st.lists(st.text(max_size=5), min_size=2, max_size=4).map(
        lambda parts: b"".join(
            frame(TEXT if index == 0 else CONT, part.encode(), fin=index == len(parts) - 1)
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

    async def run(kind: type[WebSocketsSansIOProtocol], reads: list[bytes]) -> Any:
        peer = await connect(kind)
        await peer.feed(*reads)
        result = peer.outcome()
        peer.transport.lose()
        await settle()
        return result

    cut = asyncio.run(run(FastProtocol, pieces))

    assert asyncio.run(run(WebSocketsSansIOProtocol, [stream] if stream else [])) == cut


# ---- what is used of others' insides -------------------------------------------------------------------------


def test_the_installed_versions_are_known() -> None:
    assert fast_path_problem("uvicorn") == ""
    assert fast_path_problem("websockets") == ""


@pytest.mark.parametrize(("library", "installed"), [("uvicorn", "0.55.0"), ("websockets", "18.0")])
def test_an_unknown_version_takes_the_plain_path(library: str, installed: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fast_frames, "version", lambda name: installed if name == library else version(name))

    assert fast_path_problem(library) == f"{library} {installed} is installed, {fast_frames.KNOWN[library]}x is known"


@pytest.mark.parametrize(
    "name",
    [
        "queue",
        "frames",
        "curr_msg_data_type",
        "read_paused",
        "close_sent",
        "disconnected",
        "handshake_initiated",
        "conn",
    ],
)
async def test_uvicorn_has_the_attribute(name: str) -> None:
    peer = await connect(WebSocketsSansIOProtocol)

    assert hasattr(peer.protocol, name)


def test_the_boundary_is_told_byte_by_byte() -> None:
    conn = ServerProtocol()
    conn.receive_data(upgrade())
    conn.send_response(conn.accept(conn.events_received()[0]))  # type: ignore[arg-type]
    found = [at_frame_boundary(conn)]
    for byte in text("abc") + frame(TEXT, b"", fin=False) + frame(PING) + frame(CONT):
        conn.receive_data(bytes([byte]))
        found.append(at_frame_boundary(conn))

    assert found == [True] + [False] * 8 + [True] + [False] * (6 + 6 + 5) + [True]


async def test_the_extension_is_found_in_the_scope_and_let_go_with_it() -> None:
    peer = await connect(FastProtocol)

    assert isinstance(peer.socket, FastSocket)
    assert not peer.protocol.scope
