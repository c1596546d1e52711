"""Cartesia's socket over the `websockets` client."""

import asyncio
import ssl
from collections.abc import Callable, Mapping

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus, InvalidURI

from archer_bridge.adapters.outbox import DOES_NOT_READ, Outbox
from archer_bridge.errors import EngineError
from archer_bridge.ports import Closed

PING_EVERY_S = 5.0
"""With the same wait for the answer a dead peer is found within about 10 s."""
MAX_MESSAGE = 1 << 20
USER_AGENT = "archer-bridge"
CLOSE_WAIT_S = 1.0
RETRYABLE = frozenset({429, 500, 502, 503, 504})
BODY_SHOWN = 300


class _Connect(connect):
    """`connect`, without following redirects: the library would carry our API key to whatever host is named."""

    def process_redirect(self, exc: Exception) -> Exception | str:
        return exc


async def dial(url: str, headers: Mapping[str, str]) -> "ClientSocket":
    """Open a socket; implements `ports.Dialer`.

    Raises:
        EngineError: with the HTTP status when the upgrade was refused; `retryable` says whether to try again. No
            header's value and no query of the URL is in its text.
    """
    try:
        connection = await _Connect(
            url,
            additional_headers=dict(headers),
            compression=None,  # base64 audio does not compress
            max_size=MAX_MESSAGE,
            ping_interval=PING_EVERY_S,
            ping_timeout=PING_EVERY_S,
            close_timeout=CLOSE_WAIT_S,
            user_agent_header=USER_AGENT,
            open_timeout=None,  # the caller bounds the whole attempt
            proxy=None,
        )
    except (OSError, InvalidHandshake, InvalidURI, ValueError) as error:
        raise engine_error(error, url, headers) from None
    return ClientSocket(connection)


def engine_error(error: Exception, url: str, headers: Mapping[str, str]) -> EngineError:
    """Return what a failed attempt to open a socket means, without secrets."""
    if isinstance(error, InvalidStatus):
        return _refused(error, url, headers)
    if isinstance(error, (OSError, InvalidHandshake)) and not isinstance(error, InvalidURI):
        text = _without_secrets(f"{type(error).__name__}: {error}", url, headers)
        return EngineError(text, retryable=not isinstance(error, ssl.SSLCertVerificationError))
    return EngineError(_without_secrets(str(error), url, headers))


def _refused(error: InvalidStatus, url: str, headers: Mapping[str, str]) -> EngineError:
    status = error.response.status_code
    body = _without_secrets((error.response.body or b"").decode("utf-8", "replace"), url, headers)
    said = " ".join(body.split())[:BODY_SHOWN]
    detail = f"refused with HTTP {status}: {said}" if said else f"refused with HTTP {status}"
    return EngineError(detail, status=status, retryable=status in RETRYABLE)


def _without_secrets(text: str, url: str, headers: Mapping[str, str]) -> str:
    """Return the text with no header's value in it, and nothing of the URL behind its `?`."""
    query = url.partition("?")[2]
    for secret in sorted((value for value in (*headers.values(), query) if value), key=len, reverse=True):
        text = text.replace(secret, "***")
    return text


class ClientSocket:
    """An open client connection as a `ports.TextSocket`."""

    def __init__(self, connection: ClientConnection) -> None:
        self._connection = connection
        self._outbox = Outbox(self._send, self._give_up, name="cartesia writer")
        self._reading: asyncio.Timeout | None = None

    def write(self, message: bytes, droppable: bool = False) -> None:
        """Queue one message."""
        self._outbox.put(message, droppable=droppable)

    async def _send(self, message: bytes) -> None:
        await self._connection.send(message, text=True)

    def _give_up(self) -> None:
        if self._reading is not None:
            self._reading.reschedule(asyncio.get_running_loop().time())

    async def pump(self, on_message: Callable[[str | bytes], None]) -> Closed:
        """Read until the connection closes, for whatever reason, or its peer stops reading what we send."""
        if self._outbox.overflowed:
            return DOES_NOT_READ
        receive = self._connection.recv
        patience = self._reading = asyncio.timeout(None)  # due when the peer is given up
        try:
            async with patience:
                while True:
                    on_message(await receive())
        except ConnectionClosed as closed:
            return _how(closed)
        except TimeoutError:
            if not patience.expired():
                raise
            return DOES_NOT_READ
        finally:
            self._reading = None
            await self._outbox.finish(0)

    async def close(self, code: int = 1000, reason: str = "") -> None:
        """Close at once: what still waits is caller audio that nobody will hear."""
        await self._outbox.finish(0)
        try:
            async with asyncio.timeout(2 * CLOSE_WAIT_S):
                await self._connection.close(code, reason)
        except TimeoutError:  # its buffers are full, so that not even the close fits in
            self._connection.transport.abort()


def _how(closed: ConnectionClosed) -> Closed:
    """Return the peer's close frame; without one 1006, and what the library saw instead."""
    if closed.rcvd is not None:
        return Closed(closed.rcvd.code, closed.rcvd.reason)
    if closed.sent is not None and closed.sent.reason:
        return Closed(1006, closed.sent.reason)
    return Closed(1006, "no close frame received")
