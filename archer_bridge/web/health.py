"""Alive, and ready to take a new call."""

import asyncio

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from archer_bridge import __version__
from archer_bridge.calls.breaker import BreakerState
from archer_bridge.errors import StoreError
from archer_bridge.ports import Store
from archer_bridge.web.context import Service

BEAT_AGE_S = 2.0
"""A loop that has not turned for so long is not alive."""
FRESH_S = 2.0
"""A write this recent needs no new proof."""
GOOD_FOR_S = 5.0
"""Without a write for so long the record counts as gone."""
PATIENCE_S = 1.0
"""How long the answer waits for a write under way."""


class WriteProof:
    """When the record last took a write; asked for by who wants to know, not by a timer."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._pinged_at = float("-inf")
        self._ping: asyncio.Task[None] | None = None

    async def holds(self) -> bool:
        """Whether the record took a write within the last five seconds; tries one when none is recent."""
        if self._age_s() > FRESH_S:
            if self._ping is None or self._ping.done():
                self._ping = asyncio.get_running_loop().create_task(self._try(), name="readiness ping")
            await asyncio.wait({self._ping}, timeout=PATIENCE_S)
        return self._age_s() <= GOOD_FOR_S

    def _age_s(self) -> float:
        """Seconds since the latest write: a call's, or one made for this."""
        latest = max(self._pinged_at, self._store.stats.committed_at)
        return asyncio.get_running_loop().time() - latest

    async def _try(self) -> None:
        try:
            await self._store.ping()
        except StoreError:  # said by the store itself; here its absence of success is what counts
            return
        self._pinged_at = asyncio.get_running_loop().time()


async def healthz(request: Request) -> JSONResponse:
    """The event loop turns: nothing more, so that a vendor's or database's trouble never restarts us."""
    pulse = _service(request).vitals.pulse
    if pulse is not None and pulse.age_s > BEAT_AGE_S:
        return JSONResponse({"status": "stuck", "version": __version__}, status_code=503)
    return JSONResponse({"status": "ok", "version": __version__})


async def readyz(request: Request) -> JSONResponse:
    """Whether a new call would be answered, and every reason why not."""
    service, app = _service(request), request.app
    live = service.live
    reasons = []
    if live.draining:
        reasons.append("draining")
    if len(live) >= live.capacity:
        reasons.append("full")
    if not await _proof(app, service.store).holds():
        reasons.append("database")
    if service.breaker_state is BreakerState.OPEN:
        reasons.append("breaker")
    body = {
        "status": "unready" if reasons else "ready",
        "reasons": reasons,
        "live_calls": len(live),
        "capacity": live.capacity,
    }
    return JSONResponse(body, status_code=503 if reasons else 200)


def _service(request: Request) -> Service:
    service: Service = request.app.state.service
    return service


def _proof(app: Starlette, store: Store) -> WriteProof:
    """Return the app's one proof; made by the first who asks."""
    if not hasattr(app.state, "write_proof"):
        app.state.write_proof = WriteProof(store)
    proof: WriteProof = app.state.write_proof
    return proof


ROUTES = [Route("/healthz", healthz), Route("/readyz", readyz)]
