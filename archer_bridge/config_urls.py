"""Addresses in the settings: what is accepted, and the sentence for what is not."""

from urllib.parse import urlsplit


def public_url_problem(value: str) -> str | None:
    """Say what is wrong with the public base URL, or None."""
    parts = urlsplit(value)
    if parts.scheme not in {"https", "http"} or not parts.hostname:
        return f"{value!r} is not a web address; expected https://your-host"
    if parts.username or parts.password or parts.query or parts.fragment:
        return "expected https://your-host with no user, query or fragment"
    if parts.scheme == "http" and parts.hostname not in {"127.0.0.1", "localhost", "::1"}:
        return f"{value!r}: Twilio's media streams need TLS; expected https://"
    if "_" in parts.hostname:
        return f"{parts.hostname!r}: Twilio refuses host names with an underscore"
    return None


def agent_socket_problem(value: str) -> str | None:
    """Say what is wrong with the vendor's socket address, or None."""
    parts = urlsplit(value)
    if parts.scheme not in {"wss", "ws"} or not parts.hostname:
        return f"{value!r} is not a WebSocket address; expected wss://api.cartesia.ai"
    if parts.scheme == "ws" and parts.hostname not in {"127.0.0.1", "localhost", "::1"}:
        return f"{value!r} would send your key in the clear; expected wss://"
    if parts.username or parts.password:
        return "expected an address without user and password"
    return None


def database_url(value: str) -> str:
    """Return the URL with its asynchronous driver.

    Raises:
        ValueError: naming the databases that are supported.
    """
    drivers = {
        "sqlite": "sqlite+aiosqlite",
        "sqlite+aiosqlite": "sqlite+aiosqlite",
        "postgres": "postgresql+asyncpg",
        "postgresql": "postgresql+asyncpg",
        "postgresql+asyncpg": "postgresql+asyncpg",
    }
    scheme, separator, rest = value.partition("://")
    if not separator or scheme not in drivers:
        raise ValueError(
            f"database scheme {scheme!r} is not supported; expected sqlite:///FILE or postgresql://HOST/NAME"
        )
    return f"{drivers[scheme]}://{rest}"


def websocket_base(public_url: str) -> str:
    """Return the wss:// (ws:// for a plain local address) form of the public URL."""
    scheme, _, rest = public_url.partition("://")
    return f"{'wss' if scheme == 'https' else 'ws'}://{rest}"
