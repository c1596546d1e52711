"""Alive, and ready or why not."""

import asyncio

import httpx
import pytest
from starlette.applications import Starlette

from archer_bridge.adapters.vitals import Pulse
from archer_bridge.app import create_app
from archer_bridge.devkit.serving import Served
from archer_bridge.errors import StoreUnavailable
from archer_bridge.memory_store import MemoryStore
from archer_bridge.ports import StoreStats
from archer_bridge.tally import Tally
from archer_bridge.web.context import Service
from archer_bridge.web.health import WriteProof
from tests.support.virtual import virtual
from tests.support.world import settings_for

SETTINGS = settings_for(Served("127.0.0.1", 9), "sqlite:///none.db", ARCHER_SERVER__MAX_CALLS="1")


class PatientStore(MemoryStore):
    """A database that takes writes, refuses them, or stands still."""

    def __init__(self) -> None:
        super().__init__()
        self.committed_at = float("-inf")
        self.pings = 0
        self.refuses = False
        self.stands = asyncio.Event()
        self.stands.set()

    @property
    def stats(self) -> StoreStats:
        return StoreStats(0, 0, 0, 0, is_available=True, commit_seconds=Tally(), committed_at=self.committed_at)

    async def ping(self) -> None:
        self.pings += 1
        await self.stands.wait()
        if self.refuses:
            raise StoreUnavailable("no")


async def ask(app: Starlette, path: str) -> tuple[int, dict[str, object]]:
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://bridge") as client:
        answer = await client.get(path)
    return answer.status_code, answer.json()


def service_of(app: Starlette) -> Service:
    service: Service = app.state.service
    return service


@virtual
async def test_ready() -> None:
    app = create_app(SETTINGS, store=PatientStore(), isolate_tools=False)
    async with app.router.lifespan_context(app):
        answered = await ask(app, "/readyz")

    assert answered == (200, {"status": "ready", "reasons": [], "live_calls": 0, "capacity": 1})


@virtual
async def test_every_reason_is_named() -> None:
    store = PatientStore()
    app = create_app(SETTINGS, store=store, isolate_tools=False)
    async with app.router.lifespan_context(app):
        service = service_of(app)
        service.live.drain()
        service.live.reserve("CA1")
        store.refuses = True
        assert service.breaker is not None
        service.breaker.failed(401, "no such key")
        status, body = await ask(app, "/readyz")

    assert status == 503
    assert body["reasons"] == ["draining", "full", "database", "breaker"]


@virtual
async def test_a_recent_write_needs_no_ping() -> None:
    store = PatientStore()
    store.committed_at = asyncio.get_running_loop().time()
    proof = WriteProof(store)

    assert await proof.holds()
    assert store.pings == 0


@virtual
async def test_an_old_write_is_proved_again_and_holds_for_five_seconds() -> None:
    store = PatientStore()
    store.committed_at = asyncio.get_running_loop().time()
    proof = WriteProof(store)
    store.refuses = True
    answers = []
    for _ in range(4):
        await asyncio.sleep(2.1)
        answers.append(await proof.holds())

    assert answers == [True, True, False, False]


@virtual
async def test_a_database_that_stands_still_is_asked_once_and_not_waited_for() -> None:
    store = PatientStore()
    store.stands.clear()
    proof = WriteProof(store)
    began = asyncio.get_running_loop().time()
    answers = [await proof.holds() for _ in range(3)]
    took = asyncio.get_running_loop().time() - began
    store.stands.set()
    await asyncio.sleep(0)
    await asyncio.sleep(0)

    assert answers == [False, False, False]
    assert took == pytest.approx(3.0, abs=0.1)
    assert store.pings == 1
    assert await proof.holds()


@virtual
async def test_alive_while_the_loop_turns() -> None:
    app = create_app(SETTINGS, store=PatientStore(), isolate_tools=False)
    async with app.router.lifespan_context(app):
        pulse = service_of(app).vitals.pulse = Pulse()
        beating = asyncio.create_task(pulse.beat())
        await asyncio.sleep(3.0)
        alive = await ask(app, "/healthz")
        beating.cancel()
        await asyncio.sleep(2.1)
        stuck = await ask(app, "/healthz")

    assert (alive[0], alive[1]["status"]) == (200, "ok")
    assert (stuck[0], stuck[1]["status"]) == (503, "stuck")
    assert pulse.lag.total == pytest.approx(0.0, abs=1e-6)
