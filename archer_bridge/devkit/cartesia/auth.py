"""Who may talk to the simulator, and how it says no.

Error objects, versions and credentials: https://docs.cartesia.ai/use-the-api/api-conventions and
https://docs.cartesia.ai/use-the-api/api-errors
"""

import asyncio
import hmac
import secrets
import uuid
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any

from starlette.requests import HTTPConnection
from starlette.responses import JSONResponse, PlainTextResponse, Response

from archer_bridge.errors import ArcherError

LATEST_VERSION = "2026-08-14"
VERSIONS = ("2024-06-10", "2024-11-13", "2025-04-16", "2025-11-04", "2026-03-01", LATEST_VERSION)
V1_VERSIONS = (LATEST_VERSION,)
AGENTS_VERSIONS = ("2026-03-01", LATEST_VERSION)
_FIRST_WITH_OBJECTS = "2026-03-01"  # older versions get "Title: Message" as plain text
_TOKEN_LIMIT_S = 3600

_TITLES = {
    400: "Bad request",
    401: "Unauthorized",
    402: "Payment required",
    403: "Forbidden",
    404: "Not found",
    409: "Conflict",
    422: "Unprocessable entity",
    429: "Too many concurrent requests",
    500: "Internal server error",
    503: "Service unavailable",
}
_CODES = {402: "quota_exceeded", 429: "concurrency_limited"}


class ApiError(ArcherError):
    """A refusal in the vendor's form; `error_code` is one of the vendor's codes or None."""

    code = "simulated_api_error"

    def __init__(self, status: int, message: str, *, error_code: str | None = None) -> None:
        super().__init__(status, message)
        self.status = status
        self.message = message
        self.error_code = error_code if error_code is not None else _CODES.get(status)
        self.title = _TITLES.get(status, "Error")

    def __str__(self) -> str:
        return f"{self.status} {self.title}: {self.message}"

    def fields(self) -> dict[str, Any]:
        """Return the error object's fields, with a new request id."""
        return {
            "error_code": self.error_code,
            "title": self.title,
            "message": self.message,
            "request_id": str(uuid.uuid4()),
        }

    def response(self, connection: HTTPConnection) -> Response:
        """Return the HTTP answer in the form of the version the caller asked for."""
        if (asked_version(connection) or LATEST_VERSION) < _FIRST_WITH_OBJECTS:
            return PlainTextResponse(f"{self.title}: {self.message}", self.status)
        return JSONResponse(self.fields(), self.status)


@dataclass(frozen=True, slots=True)
class Credential:
    """What a caller proved: an API key, or an access token with grants."""

    kind: str
    grants: frozenset[str] = frozenset()


@dataclass(slots=True)
class Gate:
    """Checks credentials and versions, and issues access tokens."""

    api_key: str
    _tokens: dict[str, tuple[float, frozenset[str]]] = field(default_factory=dict)

    def issue(self, grants: frozenset[str], expires_in: int) -> str:
        """Make a token for `expires_in` seconds, at most 3600.

        Raises:
            ApiError: 400, the life time is out of range.
        """
        if not 1 <= expires_in <= _TOKEN_LIMIT_S:
            raise ApiError(400, f"expires_in must be 1 to {_TOKEN_LIMIT_S} seconds, not {expires_in}")
        token = f"eyJ{secrets.token_urlsafe(32)}"
        self._tokens[token] = (asyncio.get_running_loop().time() + expires_in, grants)
        return token

    def admit(self, connection: HTTPConnection, *, grant: str | None, versions: Collection[str]) -> Credential:
        """Check version, then credential.

        `grant` is what an access token must carry; None means that only an API key will do.

        Raises:
            ApiError: 400 version, 401 credential, 403 grant.
        """
        version = asked_version(connection)
        if version is None:
            raise ApiError(400, "the Cartesia-Version header or cartesia_version query parameter is required")
        if version not in versions:
            raise ApiError(400, f"version {version!r} is not one of {', '.join(versions)} here")
        return self._identify(connection, grant)

    def _identify(self, connection: HTTPConnection, grant: str | None) -> Credential:
        bearer = connection.headers.get("authorization", "").removeprefix("Bearer ").strip()
        offered = connection.headers.get("x-api-key") or bearer
        if offered and hmac.compare_digest(offered.encode(), self.api_key.encode()):
            return Credential("key")
        token = connection.query_params.get("access_token") or bearer
        expiry, grants = self._tokens.get(token, (0.0, frozenset()))
        if asyncio.get_running_loop().time() >= expiry:
            raise ApiError(401, "invalid API key or access token" if offered or token else "no credential given")
        if grant is None or grant not in grants:
            raise ApiError(403, f"the access token has no {grant!r} grant" if grant else "an API key is required")
        return Credential("token", grants)


def asked_version(connection: HTTPConnection) -> str | None:
    """Return the API version asked for; the query parameter wins over the header."""
    return connection.query_params.get("cartesia_version") or connection.headers.get("cartesia-version")
