"""Alive, and ready to take a new call."""

from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from archer_bridge import __version__
from archer_bridge.web.context import Service


async def healthz(request: Request) -> JSONResponse:
    """The event loop turns: nothing more, so that a vendor's trouble never restarts us."""
    return JSONResponse({"status": "ok", "version": __version__})


async def readyz(request: Request) -> JSONResponse:
    """Whether a new call would be answered: 503 while draining or full."""
    service: Service = request.app.state.service
    ready = service.live.has_room
    reason = "ready" if ready else ("draining" if service.live.draining else "full")
    body = {"status": reason, "live_calls": len(service.live), "capacity": service.live.capacity}
    return JSONResponse(body, status_code=200 if ready else 503)


ROUTES = [Route("/healthz", healthz), Route("/readyz", readyz)]
