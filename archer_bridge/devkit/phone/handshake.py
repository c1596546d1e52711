"""Opening and resetting the media stream's socket, as Twilio's client does it."""

import socket
import ssl
import struct
from dataclasses import dataclass
from urllib.parse import urlsplit

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import InvalidHandshake, InvalidStatus

from archer_bridge.devkit.phone.account import Account
from archer_bridge.devkit.phone.errors import PhoneError
from archer_bridge.devkit.phone.http import Route
from archer_bridge.devkit.phone.signing import SignatureForm, upgrade_signature

USER_AGENT = "Twilio.TmeWs/1.0"
CLOSE_TIMEOUT_S = 2.0
"""How long `stop` and the close handshake may take before the connection is dropped."""
_SEND_BUFFER = 16_384
"""Bytes on their way to the bridge: little, so that a bridge that does not read is noticed, as Twilio does (31930)."""
_LINGER_RESET = struct.pack("ii", 1, 0)


@dataclass(frozen=True, slots=True)
class Door:
    """How to reach the stream: `url` is the absolute public `wss://` URL, as signed."""

    account: Account
    url: str
    route: Route
    signature_form: SignatureForm
    timeout_s: float


class HandshakeFailed(PhoneError):
    """The upgrade was refused or did not happen; `code` is Twilio's error code."""

    def __init__(self, code: int, detail: str) -> None:
        super().__init__(code, detail)
        self.code = code
        self.detail = detail

    def __str__(self) -> str:
        return f"{self.code}: {self.detail}"


async def open_socket(door: Door) -> ClientConnection:
    """Open the socket: signed, no Origin, no subprotocol, no extensions.

    Raises:
        HandshakeFailed: 31901 timeout, 31902 refused, 31910 TLS, 31920 any answer but 101.
    """
    host, port, is_tls = door.route.locate(door.url)
    signature = upgrade_signature(door.account.auth_token, door.url, door.signature_form)
    scheme = "wss" if is_tls else "ws"
    try:
        connection = await connect(
            urlsplit(door.url)._replace(scheme=scheme).geturl(),
            host=host,
            port=port,
            compression=None,
            user_agent_header=USER_AGENT,
            additional_headers={} if signature is None else {"x-twilio-signature": signature},
            proxy=None,
            open_timeout=door.timeout_s,
            close_timeout=CLOSE_TIMEOUT_S,
            ping_interval=None,
            max_size=None,
            write_limit=_SEND_BUFFER,
        )
    except InvalidStatus as error:
        detail = f"{door.url} answered {error.response.status_code} to the upgrade: expected 101"
        raise HandshakeFailed(31920, detail) from error
    except InvalidHandshake as error:
        raise HandshakeFailed(31920, f"{door.url}: {error}") from error
    except TimeoutError as error:
        raise HandshakeFailed(31901, f"{door.url} did not answer within {door.timeout_s:g} s") from error
    except ssl.SSLError as error:
        raise HandshakeFailed(31910, f"TLS with {host}:{port} failed: {error}") from error
    except OSError as error:
        raise HandshakeFailed(31902, f"cannot connect to {host}:{port}: {error}") from error
    raw = connection.transport.get_extra_info("socket")
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER)
    return connection


def reset(connection: ClientConnection) -> None:
    """Reset the connection: RST on the wire, no close frame."""
    raw = connection.transport.get_extra_info("socket")
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_RESET)
    connection.transport.abort()
