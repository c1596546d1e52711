"""Signatures as Twilio makes them (twilio.com/docs/usage/security).

The arithmetic is the SDK's; here is only *what is signed*: which form of the URL, in which case.
"""

from collections.abc import Mapping
from typing import Literal
from urllib.parse import urlsplit, urlunsplit

from twilio.request_validator import RequestValidator

SignatureForm = Literal["plain", "slash", "port", "wrong", "missing"]
"""How the socket upgrade is signed: over the URL as it is, with a trailing slash, with an explicit port, with
another account's token, or not at all."""


def signed_url(url: str) -> str:
    """Return the form of `url` that goes into a signature.

    Fragments are never signed; user and password never; the port only over plain http
    (twilio.com/docs/usage/security, "a few notes").
    """
    parts = urlsplit(url)
    host = _host(parts.hostname or "")
    with_port = parts.port is not None and parts.scheme in {"http", "ws"}
    netloc = f"{host}:{parts.port}" if with_port else host
    return urlunsplit((parts.scheme, netloc, parts.path, parts.query, ""))


def request_signature(auth_token: str, url: str, form: Mapping[str, str]) -> str:
    """Sign a webhook request: base64 HMAC-SHA1 over URL and sorted form fields (`form` is empty for GET)."""
    return str(RequestValidator(auth_token).compute_signature(signed_url(url), dict(form)))


def upgrade_signature(auth_token: str, url: str, form: SignatureForm = "plain") -> str | None:
    """Sign a socket upgrade over its `wss://` URL, without parameters; None when `form` is "missing"."""
    match form:
        case "missing":
            return None
        case "wrong":
            auth_token, signed = auth_token[::-1] + "x", signed_url(url)
        case "slash":
            signed = signed_url(url) + "/"
        case "port":
            signed = _with_port(url)
        case "plain":
            signed = signed_url(url)
    return str(RequestValidator(auth_token).compute_signature(signed, {}))


def _with_port(url: str) -> str:
    parts = urlsplit(url)
    port = parts.port or (443 if parts.scheme in {"https", "wss"} else 80)
    return urlunsplit((parts.scheme, f"{_host(parts.hostname or '')}:{port}", parts.path, parts.query, ""))


def _host(hostname: str) -> str:
    return f"[{hostname}]" if ":" in hostname else hostname
