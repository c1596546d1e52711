"""One HTTP/1.1 request at a time, on asyncio streams and h11; it runs on any event loop, virtual time included."""

import asyncio
import ssl
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

import h11

from archer_bridge.devkit.phone.errors import RequestFailed
from archer_bridge.devkit.phone.options import Address, HttpPolicy

MAX_BODY = 64 * 1024
"""Twilio refuses longer answers (error 11750)."""

Headers = Sequence[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Response:
    """An answer, read whole."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes

    def header(self, name: str) -> str:
        """Return the first header of that name (lower case), or an empty string."""
        return next((value for key, value in self.headers if key == name), "")

    @property
    def content_type(self) -> str:
        """The media type without parameters, lower case."""
        return self.header("content-type").partition(";")[0].strip().lower()


@dataclass(frozen=True, slots=True)
class Route:
    """Where requests really go: public host -> local address spoken to in plain HTTP, as `curl --connect-to`."""

    overrides: Mapping[str, Address]

    def locate(self, url: str) -> tuple[str, int, bool]:
        """Return host, port and whether to speak TLS for an http, https, ws or wss URL."""
        parts = urlsplit(url)
        host = parts.hostname or ""
        if host in self.overrides:
            address = self.overrides[host]
            return address[0], address[1], False
        is_tls = parts.scheme in {"https", "wss"}
        return host, parts.port or (443 if is_tls else 80), is_tls


async def request(
    method: str, url: str, *, headers: Headers = (), body: bytes = b"", route: Route, policy: HttpPolicy
) -> Response:
    """Send one request on a connection of its own and read the whole answer.

    Raises:
        RequestFailed: no connection, no answer in time, broken HTTP, or a body over 64 kB.
    """
    reader, writer = await _connect(url, route, policy.connect_s)
    try:
        async with asyncio.timeout(policy.read_s):
            return await _exchange(reader, writer, _encode(method, url, headers, body), url)
    except TimeoutError as error:
        detail = f"no answer within {policy.read_s:g} s"
        raise RequestFailed(11200, url, detail, stage="rt") from error
    except (h11.RemoteProtocolError, asyncio.IncompleteReadError) as error:
        raise RequestFailed(11206, url, f"broken HTTP: {error}") from error
    except OSError as error:
        raise RequestFailed(11205, url, f"connection lost: {error}", stage="ct") from error
    finally:
        writer.close()


async def _connect(url: str, route: Route, timeout_s: float) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    host, port, is_tls = route.locate(url)
    tls = ssl.create_default_context() if is_tls else None
    try:
        async with asyncio.timeout(timeout_s):
            return await asyncio.open_connection(host, port, ssl=tls)
    except TimeoutError as error:
        detail = f"no connection to {host}:{port} within {timeout_s:g} s"
        raise RequestFailed(11205, url, detail, stage="ct") from error
    except ssl.SSLError as error:
        raise RequestFailed(11220, url, f"TLS with {host}:{port} failed: {error}", stage="ct") from error
    except OSError as error:
        raise RequestFailed(11205, url, f"cannot connect to {host}:{port}: {error}", stage="ct") from error


def _encode(method: str, url: str, headers: Headers, body: bytes) -> tuple[h11.Request, bytes]:
    parts = urlsplit(url)
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    host = parts.netloc.rpartition("@")[2]
    fixed = [("Host", host), ("Connection", "close"), ("Content-Length", str(len(body)))]
    return h11.Request(method=method, target=target, headers=[*fixed, *headers]), body


async def _exchange(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, message: tuple[h11.Request, bytes], url: str
) -> Response:
    wire = h11.Connection(h11.CLIENT)
    writer.write(wire.send(message[0]) or b"")
    writer.write(wire.send(h11.Data(data=message[1])) or b"")
    writer.write(wire.send(h11.EndOfMessage()) or b"")
    await writer.drain()
    head: h11.Response | None = None
    body = bytearray()
    received = 0
    while True:
        event = wire.next_event()
        if event is h11.NEED_DATA:
            data = await reader.read(65536)
            if not data and not received:
                raise RequestFailed(11205, url, "the server closed the connection without an answer", stage="ct")
            received += len(data)
            wire.receive_data(data)
        elif isinstance(event, h11.Response):
            head = event
        elif isinstance(event, h11.Data):
            body += event.data
            if len(body) > MAX_BODY:
                raise RequestFailed(11750, url, f"the answer is longer than {MAX_BODY} bytes")
        elif isinstance(event, h11.EndOfMessage) and head is not None:
            pairs = tuple((name.decode("latin-1"), value.decode("latin-1")) for name, value in head.headers)
            return Response(head.status_code, pairs, bytes(body))
