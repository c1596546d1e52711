"""Our side of Cartesia's socket, over a real loopback connection; and every way of not getting one."""

import asyncio
import base64
import gc
import hashlib
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

from archer_bridge.adapters.client_socket import ClientSocket, dial
from archer_bridge.adapters.outbox import LIMIT
from archer_bridge.devkit.serving import connection_reset, serving
from archer_bridge.errors import EngineError
from archer_bridge.ports import Closed
from tests.support.virtual import virtual

KEY = "sk_car_do-not-print-me"
HEADERS = {"X-API-Key": KEY, "Cartesia-Version": "2026-08-14"}
Far = Callable[[WebSocket], Awaitable[None]]


@asynccontextmanager
async def far_end(far: Far) -> AsyncIterator[ClientSocket]:
    """Connect to a server that runs `far` on the accepted socket; no task of ours may be left behind."""

    async def endpoint(websocket: WebSocket) -> None:
        await websocket.accept()
        await far(websocket)

    async with serving(Starlette(routes=[WebSocketRoute("/", endpoint)])) as served:
        here = await dial(served.ws_url, HEADERS)
        try:
            yield here
        finally:
            await here.close()
            assert [t.get_name() for t in asyncio.all_tasks() if "writer" in t.get_name()] == []


@asynccontextmanager
async def raw_server(
    talk: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]],
) -> AsyncIterator[str]:
    """Run a TCP server that says what `talk` says and leaves its connections open; yields its ws:// address."""
    writers: list[asyncio.StreamWriter] = []

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.append(writer)
        await talk(reader, writer)

    async with await asyncio.start_server(connected, "127.0.0.1", 0) as server:
        try:
            yield f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
        finally:
            for writer in writers:
                writer.transport.abort()
            server.close()


async def until_closed(websocket: WebSocket) -> list[str]:
    heard = []
    try:
        while True:
            heard.append(await websocket.receive_text())
    except WebSocketDisconnect:
        return heard


@virtual
async def test_messages_arrive_in_order_both_ways() -> None:
    async def echo(websocket: WebSocket) -> None:
        async for message in websocket.iter_text():
            await websocket.send_text(message)

    got: list[str | bytes] = []
    sent = [f"message {n} é" for n in range(100)]
    async with far_end(echo) as here:
        everything = asyncio.Event()

        def take(message: str | bytes) -> None:
            got.append(message)
            if len(got) == len(sent):
                everything.set()

        for message in sent:
            here.write(message.encode())
        reading = asyncio.create_task(here.pump(take))
        await everything.wait()
        await here.close(1000, "over")

        assert sent == got
        assert Closed(1000, "over") == await reading


@pytest.mark.parametrize(("code", "reason"), [(1000, ""), (1011, "agent failed"), (4008, "é")])
@virtual
async def test_the_peers_close_is_reported(code: int, reason: str) -> None:
    async with far_end(lambda websocket: websocket.close(code, reason)) as here:
        assert Closed(code, reason) == await here.pump(lambda message: None)
        assert Closed(code, reason) == await here.pump(lambda message: None)


@virtual
async def test_a_reset_is_1006() -> None:
    async def reset(websocket: WebSocket) -> None:
        connection_reset(websocket.scope)()

    async with far_end(reset) as here:
        closed = await here.pump(lambda message: None)

        assert closed.code == 1006


@virtual
async def test_binary_messages_are_given_on_as_bytes() -> None:
    async def send(websocket: WebSocket) -> None:
        await websocket.send_bytes(b"\x00\xff")
        await websocket.send_text("text")
        await websocket.close()

    got: list[str | bytes] = []
    async with far_end(send) as here:
        await here.pump(got.append)

        assert got == [b"\x00\xff", "text"]


@virtual
async def test_a_message_over_a_mebibyte_ends_the_connection_with_1009() -> None:
    async def send(websocket: WebSocket) -> None:
        await websocket.send_text("x" * ((1 << 20) + 1))
        await until_closed(websocket)

    async with far_end(send) as here:
        closed = await here.pump(lambda message: None)

        assert closed.code == 1006
        assert "1048576" in closed.reason or "exceeds" in closed.reason


@virtual
async def test_closing_twice_and_writing_afterwards_is_harmless() -> None:
    async with far_end(until_closed) as here:
        here.write(b"before")
        await asyncio.gather(here.close(), here.close(1011, "twice at once"))
        here.write(b"after")
        await here.close()


@virtual
async def test_a_cancelled_reader_stays_cancelled_and_leaves_nothing() -> None:
    async with far_end(until_closed) as here:
        here.write(b"x")
        reading = asyncio.create_task(here.pump(lambda message: None))
        await asyncio.sleep(0.01)
        reading.cancel()
        await asyncio.wait({reading})

        assert reading.cancelled()


@virtual
async def test_a_writer_that_fails_is_reported_by_the_reader_only() -> None:
    gone = asyncio.Event()

    async def reset(websocket: WebSocket) -> None:
        await gone.wait()
        connection_reset(websocket.scope)()

    complaints: list[dict[str, object]] = []
    asyncio.get_running_loop().set_exception_handler(lambda loop, context: complaints.append(context))
    async with far_end(reset) as here:
        reading = asyncio.create_task(here.pump(lambda message: None))
        gone.set()
        for _ in range(100):
            here.write(b"x" * 10_000)
            await asyncio.sleep(0.001)

        assert (await reading).code == 1006
    gc.collect()

    assert complaints == []


@virtual
async def test_a_peer_that_does_not_read_is_given_up_and_closed() -> None:
    async def stuck(websocket: WebSocket) -> None:
        await asyncio.Event().wait()

    async with far_end(stuck) as here:
        reading = asyncio.create_task(here.pump(lambda message: None))
        while not reading.done():
            here.write(b"x" * 60_000)
            await asyncio.sleep(0.005)

        assert Closed(1013, "the peer does not read") == await reading


@virtual
async def test_caller_audio_for_a_slow_peer_is_dropped_not_kept() -> None:
    async def stuck(websocket: WebSocket) -> None:
        await asyncio.Event().wait()

    async with far_end(stuck) as here:
        reading = asyncio.create_task(here.pump(lambda message: None))
        for _ in range(4 * LIMIT):
            here.write(b"x" * 60_000, droppable=True)
            await asyncio.sleep(0.001)

        assert not reading.done()
        reading.cancel()
        await asyncio.wait({reading})


async def shake_hands(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Accept the upgrade by hand (RFC 6455, section 4.2.2), and then be as good as dead."""
    request = (await reader.readuntil(b"\r\n\r\n")).decode()
    key = next(line.split(": ")[1] for line in request.splitlines() if line.lower().startswith("sec-websocket-key"))
    digest = hashlib.sha1(f"{key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11".encode()).digest()
    head = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade"
    writer.write(f"{head}\r\nSec-WebSocket-Accept: {base64.b64encode(digest).decode()}\r\n\r\n".encode())


@virtual
async def test_a_dead_peer_is_found_by_pings() -> None:
    """The peer's machine is gone: nothing is answered, and nothing is refused either."""
    async with raw_server(shake_hands) as url:
        here = await dial(url, HEADERS)
        loop = asyncio.get_running_loop()
        began = loop.time()
        closed = await here.pump(lambda message: None)
        took_s = loop.time() - began
        await here.close()

    assert Closed(1006, "keepalive ping timeout") == closed
    assert took_s <= 11.5  # virtual: 5 s to the ping, 5 s for its answer, 1 s for the close


# ---- not getting a connection ------------------------------------------------------------------------------


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


async def refusal(url: str) -> EngineError:
    with pytest.raises(EngineError) as caught:
        await dial(url, HEADERS)
    assert KEY not in f"{caught.value}{caught.value!r}"
    assert caught.value.__cause__ is None  # a chained error would print the request's headers
    return caught.value


async def test_a_refused_connection_may_be_tried_again() -> None:
    error = await refusal(f"ws://127.0.0.1:{free_port()}/")

    assert (error.status, error.retryable) == (None, True)
    assert "ConnectionRefusedError" in str(error)


async def test_a_name_that_does_not_resolve_may_be_tried_again() -> None:
    error = await refusal("ws://no-such-host.invalid/")

    assert (error.status, error.retryable) == (None, True)
    assert "gaierror" in str(error)


@pytest.mark.parametrize(
    ("status", "retryable"),
    [(401, False), (402, False), (403, False), (404, False), (429, True), (500, True), (502, True), (503, True)],
)
@virtual
async def test_an_http_refusal_has_its_status_and_what_was_said(status: int, retryable: bool) -> None:
    async def refuse(websocket: WebSocket) -> None:
        await websocket.send_denial_response(PlainTextResponse(f"key {KEY} is\nno good " + "." * 900, status))

    async with serving(Starlette(routes=[WebSocketRoute("/", refuse)])) as served:
        error = await refusal(f"{served.ws_url}/?access_token=hidden-too")

    assert (status, retryable) == (error.status, error.retryable)
    assert str(error).startswith(f"refused with HTTP {status}: key *** is no good ...")
    assert len(str(error)) < 340


@virtual
async def test_a_refusal_that_echoes_the_url_does_not_show_its_query() -> None:
    async def refuse(websocket: WebSocket) -> None:
        await websocket.send_denial_response(PlainTextResponse(f"no {websocket.url}", 401))

    async with serving(Starlette(routes=[WebSocketRoute("/agent", refuse)])) as served:
        error = await refusal(f"{served.ws_url}/agent?access_token=hidden-too")

    assert "hidden-too" not in str(error)
    assert "/agent?***" in str(error)


@virtual
async def test_a_redirect_is_a_refusal_because_the_key_would_follow_it() -> None:
    asked: list[str] = []

    async def elsewhere(websocket: WebSocket) -> None:
        asked.append(websocket.headers["x-api-key"])

    async def redirect(websocket: WebSocket) -> None:
        await websocket.send_denial_response(RedirectResponse(f"{thief.ws_url}/", 307))

    async with (
        serving(Starlette(routes=[WebSocketRoute("/", elsewhere)])) as thief,
        serving(Starlette(routes=[WebSocketRoute("/", redirect)])) as served,
    ):
        error = await refusal(served.ws_url)

    assert (error.status, error.retryable) == (307, False)
    assert asked == []


@virtual
async def test_a_web_server_that_knows_no_sockets_is_a_refusal() -> None:
    async def page(request: Request) -> Response:
        return PlainTextResponse("hello")

    async with serving(Starlette(routes=[Route("/", page)])) as served:
        error = await refusal(served.ws_url)

    assert error.status in {200, 403, 404}
    assert not error.retryable


@virtual
async def test_tls_to_a_plain_port_is_told() -> None:
    async with serving(Starlette()) as served:
        error = await refusal(served.ws_url.replace("ws://", "wss://"))

    assert error.status is None
    assert "SSL" in str(error)


async def test_a_server_that_talks_nonsense_may_be_tried_again() -> None:
    async def greet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 mail.example.com ESMTP\r\n\r\n")
        writer.close()

    async with raw_server(greet) as url:
        error = await refusal(url)

    assert (error.status, error.retryable) == (None, True)


async def test_an_address_that_is_none_is_not_tried_again() -> None:
    error = await refusal("https://api.example.com/?token=hidden")

    assert not error.retryable
    assert "hidden" not in str(error)


async def test_a_server_that_accepts_and_is_silent_is_left_at_the_callers_limit() -> None:
    async def say_nothing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)

    async with raw_server(say_nothing) as url:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await dial(url, HEADERS)


async def test_a_certificate_that_does_not_fit_is_not_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    async def fail(*args: object, **more: object) -> None:
        raise ssl.SSLCertVerificationError(1, "certificate verify failed")

    monkeypatch.setattr(asyncio.get_running_loop(), "create_connection", fail)
    error = await refusal("wss://api.example.com/")

    assert (error.status, error.retryable) == (None, False)
