"""The admin listener's routes: metrics, live calls, drain. Its own host and port; never public.

With a token every request needs it as a bearer token, compared in constant time. Without one (loopback only) the Host
must be an address or localhost, so that no web page whose name was pointed at 127.0.0.1 can read anything. A write also
needs the header `X-Archer-Admin`, which no web page of another origin can send without asking, so that a browser on
the same machine cannot be made to drain the service.
"""

import hmac
import ipaddress
from urllib.parse import urlsplit

import structlog
from prometheus_client import generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from archer_bridge.adapters.metrics import Sources, registry_of
from archer_bridge.web.context import Service

log = structlog.get_logger(__name__)

WRITE_HEADER = "x-archer-admin"


class AdminGuard:
    """Refuses what does not carry the token, and writes without the header."""

    def __init__(self, app: ASGIApp, token: str) -> None:
        self._app = app
        self._token = token

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or refuse it."""
        if scope["type"] == "http" and (refusal := self._refusal(Request(scope))) is not None:
            await refusal(scope, receive, send)
            return
        await self._app(scope, receive, send)

    def _refusal(self, request: Request) -> Response | None:
        given = request.headers.get("authorization", "").encode()
        if self._token and not hmac.compare_digest(given, f"Bearer {self._token}".encode()):
            return JSONResponse({"error": "unauthorized"}, 401, {"WWW-Authenticate": "Bearer"})
        if not self._token and not _is_address(request.headers.get("host", "")):
            return JSONResponse({"error": "without a token the host must be an address or localhost"}, 403)
        if request.method not in {"GET", "HEAD"} and WRITE_HEADER not in request.headers:
            return JSONResponse({"error": f"a write needs the header {WRITE_HEADER}"}, 403)
        return None


def _is_address(host: str) -> bool:
    """Whether a Host header names this machine by an address, which no foreign web page can have as its origin."""
    try:
        name = urlsplit(f"//{host}").hostname or ""
        return name == "localhost" or bool(ipaddress.ip_address(name))
    except ValueError:
        return False


def guarded(token: str) -> list[Middleware]:
    """Return the middleware that guards the admin app."""
    return [Middleware(AdminGuard, token=token)]


def _service(request: Request) -> Service:
    public: Starlette = request.app.state.public
    service: Service = public.state.service
    return service


async def metrics(request: Request) -> Response:
    """Prometheus text."""
    service = _service(request)
    sources = Sources(
        live=service.live,
        refusals=service.gate.counts,
        store=service.store.stats,
        vitals=service.vitals,
        unproved=service.unauthenticated,
        breaker=service.breaker_state,
        reconnects=service.live.totals.reconnects,
    )
    return Response(generate_latest(registry_of(sources)), media_type=CONTENT_TYPE_LATEST)


async def calls(request: Request) -> Response:
    """List the live calls; numbers only, no personal data."""
    live = _service(request).live
    return JSONResponse({"draining": live.draining, "calls": [session.row.call_sid for session in live]})


async def drain(request: Request) -> Response:
    """Take no new call; the process stays."""
    service = _service(request)
    service.live.drain()
    log.info("admin_drain", live_calls=len(service.live))
    return JSONResponse({"draining": True})


async def undrain(request: Request) -> Response:
    """Take calls again; not any more once the process was told to end."""
    service = _service(request)
    if service.stopping:
        return JSONResponse({"error": "the process is stopping", "draining": True}, 409)
    service.live.undrain()
    log.info("admin_undrain", live_calls=len(service.live))
    return JSONResponse({"draining": False})


ROUTES = [
    Route("/metrics", metrics),
    Route("/api/calls", calls),
    Route("/api/drain", drain, methods=["POST"]),
    Route("/api/undrain", undrain, methods=["POST"]),
]
