"""uvicorn, made to let live calls finish.

Stock uvicorn closes every WebSocket within a tenth of a second of SIGTERM, whatever its graceful timeout says, which
would hang up every caller on each deploy. Here the first signal starts a drain: not ready at once, still serving for
the proxy's sake, live calls go on to their end or to the deadline; a second signal stops at once.
"""

import asyncio
import functools
import signal
import socket
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from types import FrameType

import structlog
import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

from archer_bridge.adapters.fast_frames import fast_path_problem
from archer_bridge.adapters.fast_server import FastProtocol, refuse_bad_text
from archer_bridge.errors import ArcherError

log = structlog.get_logger(__name__)

WS_MAX_SIZE = 64 * 1024
"""Twilio's messages are under 1 KiB; a larger frame is refused with 1009."""
ABORT_AFTER_S = 10.0
"""A peer that does not read cannot keep a connection longer than this after our side is done with it."""
BACKLOG = 2048
GRACE_S = 5
"""For requests that run when the process stops; calls have had their drain by then."""

Drain = Callable[[], Awaitable[None]]


class CannotListen(ArcherError):
    """An address that cannot be listened on."""

    code = "cannot_listen"

    def __init__(self, host: str, port: int, setting: str, problem: str) -> None:
        super().__init__(host, port, setting, problem)
        self.host = host
        self.port = port
        self.setting = setting
        self.problem = problem

    def __str__(self) -> str:
        return (
            f"cannot listen on {self.host}:{self.port}: {self.problem}; "
            f"stop what listens there, or set {self.setting}.host and {self.setting}.port"
        )


class PlainProtocol(WebSocketsSansIOProtocol):
    """uvicorn's WebSocket, whose transport is let go even if the peer never reads the close."""

    _patience: asyncio.TimerHandle | None = None

    def on_task_complete(self, task: asyncio.Task[None]) -> None:
        """The application is done; what is left of the connection then has a bounded time."""
        super().on_task_complete(task)
        self._patience = _abort_later(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is gone: nothing is left to bound."""
        super().connection_lost(exc)
        if self._patience is not None:
            self._patience.cancel()

    def send_receive_event_to_app(self) -> None:
        """Pass a message on that is what it says."""
        if not refuse_bad_text(self):
            super().send_receive_event_to_app()


class PatientFastProtocol(FastProtocol):
    """The same with the fast path."""

    _patience: asyncio.TimerHandle | None = None

    def on_task_complete(self, task: asyncio.Task[None]) -> None:
        """The application is done; what is left of the connection then has a bounded time."""
        super().on_task_complete(task)
        self._patience = _abort_later(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is gone: nothing is left to bound."""
        super().connection_lost(exc)
        if self._patience is not None:
            self._patience.cancel()


def _abort_later(protocol: WebSocketsSansIOProtocol) -> asyncio.TimerHandle | None:
    """Bound how long the peer may take to let go; a timer of a connection that is gone would keep its memory."""
    if protocol.disconnected:
        return None
    return protocol.loop.call_later(ABORT_AFTER_S, protocol.transport.abort)


@functools.cache
def _websocket_class() -> type[asyncio.Protocol]:
    """Return the fastest that works with the installed libraries; say which in the log, once."""
    problem = fast_path_problem("uvicorn")
    log.info("websocket_path", side="caller", path="plain" if problem else "fast", problem=problem)
    return PlainProtocol if problem else PatientFastProtocol


def server_config(app: ASGIApp) -> uvicorn.Config:
    """Return uvicorn's configuration with our limits."""
    return uvicorn.Config(
        app,
        interface="asgi3",
        ws=_websocket_class(),
        ws_max_size=WS_MAX_SIZE,
        ws_per_message_deflate=False,  # Twilio offers none, and base64 audio does not compress
        ws_ping_interval=20.0,
        ws_ping_timeout=20.0,
        lifespan="off",  # `archer serve` enters it itself: a failure there is one sentence, not two tracebacks
        log_config=None,
        access_log=False,  # it would print phone numbers in query strings
        server_header=False,
        proxy_headers=False,  # nothing here believes X-Forwarded-*: the public URL is configured
        timeout_graceful_shutdown=GRACE_S,
    )


def bind(host: str, port: int, setting: str) -> list[socket.socket]:
    """Listen on every address that `host` names; what comes waits until a server takes it.

    Raises:
        CannotListen: with the section of the settings to change.
    """
    sockets: list[socket.socket] = []
    try:
        found = socket.getaddrinfo(host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        for family, kind, protocol, _, address in dict.fromkeys(found):
            sockets.append(one := socket.socket(family, kind, protocol))
            one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                one.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            one.bind(address)
            one.listen(BACKLOG)
    except OSError as error:
        for one in sockets:
            one.close()
        raise CannotListen(host, port, setting, error.strerror or str(error)) from None
    return sockets


class DrainServer(uvicorn.Server):
    """One listener whose first SIGTERM or SIGINT runs `drain` before it exits; `name` says which in the log."""

    def __init__(self, config: uvicorn.Config, *, name: str, drain: Drain | None = None) -> None:
        super().__init__(config)
        self.name = name
        self._drain = drain
        self._signals = 0
        self._draining: asyncio.Task[None] | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen, then say where."""
        self._loop = asyncio.get_running_loop()
        await super().startup(sockets)
        for listener in sockets or []:
            host, port = listener.getsockname()[:2]
            log.info("listening", listener=self.name, host=host, port=port)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Start the drain on the first signal, stop at once on the second, and do not even tidy up on the third."""
        self._signals += 1
        if self._signals == 1 and self.started and self._drain is not None and self._loop is not None:
            # A signal handler must not touch the loop's state itself.
            self._loop.call_soon_threadsafe(self._begin_drain, signal.Signals(sig).name)
            return
        self.should_exit = True
        self.force_exit = self._signals > 2

    def _begin_drain(self, name: str) -> None:
        log.info("draining", signal=name)
        self._draining = asyncio.get_running_loop().create_task(self._drain_and_exit(), name="drain")

    async def _drain_and_exit(self) -> None:
        assert self._drain is not None
        try:
            await self._drain()
        except Exception:  # a bug in the drain must not keep the process: it was told to stop
            log.exception("drain_failed")
        finally:
            self.should_exit = True


class SideServer(DrainServer):
    """A second listener in the same process: it takes no signals and stops when it is told to."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave the process's signals to the main listener."""
        yield


async def serve_both(
    main: DrainServer, sockets: list[socket.socket], side: SideServer | None, side_sockets: list[socket.socket]
) -> None:
    """Serve on `main` until it ends, and on `side` while `main` serves."""
    async with asyncio.TaskGroup() as group:
        if side is not None:
            group.create_task(side.serve(side_sockets), name=f"{side.name} listener")
        await main.serve(sockets)
        if side is not None:
            side.should_exit = True
