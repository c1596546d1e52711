import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from archer_bridge.devkit.serving import LifespanError, Served, connection_reset, serving
from tests.support.virtual import virtual


async def hello(request: Request) -> PlainTextResponse:
    return PlainTextResponse("hello")


async def echo(websocket: WebSocket) -> None:
    await websocket.accept()
    while True:
        text = await websocket.receive_text()
        if text == "reset":
            connection_reset(websocket.scope)()
        await websocket.send_text(text)


async def refuse(websocket: WebSocket) -> None:
    await websocket.send_denial_response(PlainTextResponse("busy", 429))


async def stuck(websocket: WebSocket) -> None:
    await websocket.accept()
    websocket.app.state.reached.set()
    try:
        await asyncio.Event().wait()
    finally:
        websocket.app.state.ended = True


def make_app() -> Starlette:
    return Starlette(
        routes=[
            Route("/", hello),
            WebSocketRoute("/echo", echo),
            WebSocketRoute("/refuse", refuse),
            WebSocketRoute("/stuck", stuck),
        ]
    )


def dial(served: Served, path: str) -> connect:
    return connect(f"{served.ws_url}{path}", proxy=None, ping_interval=None)


@virtual
async def test_http_and_websockets_are_served() -> None:
    async with serving(make_app()) as served, httpx.AsyncClient(trust_env=False) as client:
        answer = await client.get(served.http_url)
        async with dial(served, "/echo") as peer:
            await peer.send("one")
            echoed = await peer.recv()
            offered = peer.response.headers if peer.response else {}

    assert answer.text == "hello"
    assert echoed == "one"
    assert "Sec-WebSocket-Extensions" not in offered


@virtual
async def test_a_refused_upgrade_is_an_http_answer() -> None:
    async with serving(make_app()) as served:
        with pytest.raises(Exception, match="HTTP 429"):
            async with dial(served, "/refuse"):
                pass


@virtual
async def test_leaving_closes_open_sockets_with_1012() -> None:
    async with serving(make_app()) as served:
        peer = await dial(served, "/echo")
    with pytest.raises(ConnectionClosed):
        await peer.recv()

    assert peer.close_code == 1012


@virtual
async def test_leaving_cancels_what_does_not_return() -> None:
    app = make_app()
    app.state.reached, app.state.ended = asyncio.Event(), False
    async with serving(app) as served:
        peer = await dial(served, "/stuck")
        await app.state.reached.wait()
    await peer.close()

    assert app.state.ended
    assert asyncio.all_tasks() == {asyncio.current_task()}


@virtual
async def test_a_reset_leaves_no_close_frame() -> None:
    async with serving(make_app()) as served, dial(served, "/echo") as peer:
        await peer.send("reset")
        with pytest.raises(ConnectionClosed) as closed:
            await peer.recv()

    assert closed.value.rcvd is None
    assert peer.close_code == 1006


@virtual
async def test_a_message_above_the_limit_closes_with_1009() -> None:
    async with serving(make_app(), ws_max_size=1000) as served, dial(served, "/echo") as peer:
        await peer.send("x" * 1001)
        with pytest.raises(ConnectionClosed):
            await peer.recv()

    assert peer.close_code == 1009


@virtual
async def test_a_taken_port_is_an_os_error() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(OSError, match="in use"):
        async with serving(make_app(), port=taken.getsockname()[1]):
            pass


@virtual
async def test_a_failing_start_up_is_an_error_here() -> None:
    @contextlib.asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        raise ValueError("no voice")
        yield

    app = Starlette(lifespan=lifespan)
    with pytest.raises(LifespanError, match="lifespan start-up"):
        async with serving(app):
            pass


def test_urls_of_both_families() -> None:
    assert Served("127.0.0.1", 80).http_url == "http://127.0.0.1:80"
    assert Served("::1", 80).ws_url == "ws://[::1]:80"
