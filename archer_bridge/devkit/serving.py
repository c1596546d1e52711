"""Run an ASGI application on a real socket inside the running event loop."""

import asyncio
import socket
import struct
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, cast

import uvicorn
from starlette.types import ASGIApp, Scope
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

from archer_bridge.errors import ArcherError

_RESET_KEY = "devkit_reset"
_LINGER_RESET = struct.pack("ii", 1, 0)  # SO_LINGER on, zero seconds: close() sends RST instead of FIN


@dataclass(frozen=True, slots=True)
class Served:
    """Where a served application listens."""

    host: str
    port: int

    @property
    def http_url(self) -> str:
        """Base URL for HTTP, without a trailing slash."""
        return f"http://{self._authority}"

    @property
    def ws_url(self) -> str:
        """Base URL for WebSockets, without a trailing slash."""
        return f"ws://{self._authority}"

    @property
    def _authority(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


class LifespanError(ArcherError):
    """The application refused to start."""

    code = "lifespan_error"

    def __str__(self) -> str:
        return "the application failed in its lifespan start-up; the log of 'uvicorn.error' has its traceback"


@asynccontextmanager
async def serving(
    app: ASGIApp,
    *,
    host: str = "127.0.0.1",
    port: int = 0,
    ws: type[WebSocketsSansIOProtocol] = WebSocketsSansIOProtocol,
    ws_max_size: int = 65536,
    grace_s: int = 2,
) -> AsyncIterator[Served]:
    """Serve `app` until the block is left; port 0 picks a free one, `ws` is what carries WebSockets.

    No signal handlers, no compression, no keep-alive pings, no periodic timer: nothing here moves time, so it
    runs under a virtual clock. On leaving, open sockets are closed with 1012, and application tasks that have
    not returned within `grace_s` seconds are cancelled; none is left behind.

    Raises:
        OSError: the address cannot be bound.
        LifespanError: the application failed to start.
    """
    config = _configure(app, ws=ws, ws_max_size=ws_max_size, grace_s=grace_s)
    config.load()
    server = uvicorn.Server(config)
    server.lifespan = config.lifespan_class(config)
    listener = _bind(host, port)
    try:
        await server.startup(sockets=[listener])
    except SystemExit as stop:
        listener.close()
        raise LifespanError from stop
    except BaseException:
        listener.close()
        raise
    try:
        yield Served(host, listener.getsockname()[1])
    finally:
        await _stop(server, listener)


def connection_reset(scope: Scope) -> Callable[[], None]:
    """Return the function that resets this WebSocket's TCP connection (RST, no close frame).

    Raises:
        KeyError: the connection was not accepted by `serving`.
    """
    return cast("Callable[[], None]", scope["state"][_RESET_KEY])


def _configure(app: ASGIApp, *, ws: type[WebSocketsSansIOProtocol], ws_max_size: int, grace_s: int) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        interface="asgi3",
        ws=cast("Any", partial(_make_websocket_protocol, ws)),
        ws_max_size=ws_max_size,
        ws_ping_interval=None,
        ws_per_message_deflate=False,
        lifespan="on",
        log_config=None,
        access_log=False,
        date_header=False,
        server_header=False,
        timeout_graceful_shutdown=grace_s,
    )


def _bind(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.create_server((host, port), family=family, backlog=2048)
    listener.setblocking(False)
    # Accepted sockets inherit it. asyncio sets it only where the protocol is named, which `create_server` leaves out;
    # without it a small message waits for the acknowledgement of the one before, up to 40 ms.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listener


def _make_websocket_protocol(
    kind: type[WebSocketsSansIOProtocol],
    config: uvicorn.Config,
    server_state: Any,
    app_state: dict[str, Any],
    _loop: asyncio.AbstractEventLoop | None = None,
) -> WebSocketsSansIOProtocol:
    """Make uvicorn's WebSocket protocol, with its reset function in the scope's state.

    ASGI has no message for a reset, and the scope carries no transport; the state dict is the way uvicorn
    offers to hand something to the application.
    """
    state = dict(app_state)
    protocol = kind(config, server_state, state, _loop)

    def reset() -> None:
        raw = protocol.transport.get_extra_info("socket")
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_RESET)
        protocol.transport.abort()

    state[_RESET_KEY] = reset
    return protocol


async def _stop(server: uvicorn.Server, listener: socket.socket) -> None:
    tasks = set(server.server_state.tasks)
    await server.shutdown(sockets=[listener])
    stragglers = {task for task in tasks | server.server_state.tasks if not task.done()}
    for task in stragglers:
        task.cancel()
    await asyncio.gather(*stragglers, return_exceptions=True)
