"""Cartesia's socket without a task and a queue per message: an own asyncio protocol over `websockets`' Sans-I/O one.

The handshake, closing, control frames and everything odd are the library's. Whole text frames are given to the sink
within the read, and messages are written at once. Dead peers are found as the library finds them: a ping that is not
answered in time.
"""

import asyncio
import functools
import ssl
from collections.abc import Callable, Mapping

import structlog
from websockets.client import ClientProtocol
from websockets.exceptions import InvalidHandshake, InvalidURI
from websockets.uri import parse_uri

from archer_bridge.adapters.client_socket import MAX_MESSAGE, dial, engine_error
from archer_bridge.adapters.fast_connection import FastConnection
from archer_bridge.adapters.fast_frames import fast_path_problem
from archer_bridge.adapters.frames import Write
from archer_bridge.ports import Closed, Dialer

log = structlog.get_logger(__name__)


def best_dialer() -> Dialer:
    """Return the fast dialer where the installed `websockets` lets us, else the plain one; say which in the log."""
    problem = fast_path_problem()
    log.info("websocket_path", side="engine", path="plain" if problem else "fast", problem=problem)
    return dial if problem else dial_fast


async def dial_fast(url: str, headers: Mapping[str, str]) -> "FastClientSocket":
    """Open a socket; implements `ports.Dialer` as `client_socket.dial` does, errors included."""
    try:
        address = _address(url)
        transport, connection = await asyncio.get_running_loop().create_connection(
            lambda: FastConnection(ClientProtocol(address, max_size=MAX_MESSAGE)),
            address.host,
            address.port,
            ssl=_verifying() if address.secure else None,
            server_hostname=address.host if address.secure else None,
        )
        try:
            await connection.shake_hands(headers)
        except BaseException:
            transport.abort()
            raise
    except (OSError, InvalidHandshake, InvalidURI, ValueError) as error:
        raise engine_error(error, url, headers) from None
    return FastClientSocket(connection)


_address = functools.lru_cache(maxsize=8)(parse_uri)
"""One for all connections, which keep it."""


@functools.cache
def _verifying() -> ssl.SSLContext:
    """Return the default context, which verifies; reading the certificates takes too long to do it for every call."""
    return ssl.create_default_context()


class FastClientSocket:
    """An open connection as a `ports.TextSocket`."""

    def __init__(self, connection: FastConnection) -> None:
        assert connection.writer is not None, "the handshake is over"
        self._connection = connection
        self._writer = connection.writer
        self.write: Write = connection.writer.write
        """Send one message: the writer's own method, for it runs 50 times a second."""

    async def pump(self, on_message: Callable[[str | bytes], None]) -> Closed:
        """Let every message go to `on_message` as it is read, until the connection ends or its peer stops reading."""
        self._connection.set_sink(on_message)
        try:
            await self._connection.ended.wait()
            return self._connection.outcome()
        finally:
            self._connection.set_sink(None)
            self._writer.shut()

    async def close(self, code: int = 1000, reason: str = "") -> None:
        """Close at once: what still waits is caller audio that nobody will hear."""
        self._writer.shut()
        self._connection.start_close(code, reason)
        await self._connection.lost.wait()
