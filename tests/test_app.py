"""The composition root: what is wired to what, and the drain."""

import asyncio
from pathlib import Path

import httpx
import pytest
from starlette.routing import BaseRoute

from archer_bridge.app import create_app, drain
from archer_bridge.devkit.phone import Caller
from archer_bridge.devkit.serving import Served, serving
from archer_bridge.errors import PluginError
from archer_bridge.models import Outcome
from archer_bridge.web.context import Service
from tests.support.brains import heard_texts
from tests.support.streams import open_stream, start_message, stream_token
from tests.support.virtual import virtual
from tests.support.world import SAM, settings_for, world

PUBLIC_ROUTES = {
    "/webhooks/twilio/incoming",
    "/webhooks/twilio/stream-ended",
    "/webhooks/twilio/status",
    "/webhooks/twilio/stream-status",
    "/ws/cartesia",
    "/healthz",
    "/readyz",
}


def path(route: BaseRoute) -> str:
    return str(getattr(route, "path", route))


@virtual
async def test_nothing_else_is_public(tmp_path: Path) -> None:
    async with world(tmp_path) as here:
        async with httpx.AsyncClient(base_url=here.bridge.http_url, trust_env=False, timeout=None) as client:
            nothing = [
                (await client.get(url)).status_code
                for url in ("/", "/docs", "/metrics", "/api/calls", "/var/archer.db")
            ]
            health = (await client.get("/healthz")).json()

        assert {path(route) for route in here.app.routes} == PUBLIC_ROUTES
        assert nothing == [404] * 5
        assert health["status"] == "ok"


@virtual
async def test_readiness_tells_full_from_ready(tmp_path: Path) -> None:
    async with (
        world(tmp_path, ARCHER_SERVER__MAX_CALLS="1") as here,
        httpx.AsyncClient(trust_env=False, timeout=None) as client,
    ):
        ready = await client.get(f"{here.bridge.http_url}/readyz")
        here.service.live.reserve("CA1")
        full = await client.get(f"{here.bridge.http_url}/readyz")

    assert (ready.status_code, ready.json()) == (
        200,
        {"status": "ready", "reasons": [], "live_calls": 0, "capacity": 1},
    )
    assert (full.status_code, full.json()) == (
        503,
        {"status": "unready", "reasons": ["full"], "live_calls": 1, "capacity": 1},
    )


@virtual
async def test_a_drain_waits_for_the_call_that_is_live(tmp_path: Path) -> None:
    async with world(tmp_path) as here:
        settings = settings_for(here.bridge, "sqlite:///unused.db", ARCHER_SERVER__MIN_DRAIN_S="1")
        drained: list[asyncio.Task[None]] = []

        async def script(caller: Caller) -> None:
            await caller.agent_finished()
            drained.append(asyncio.create_task(drain(here.app, settings)))
            await caller.wait(5)
            assert not drained[0].done()
            await caller.hang_up()

        report = await here.call(script)
        await drained[0]
        row = await here.store.get_call(report.call_sid)

    assert report.script_error == ""
    assert row is not None
    assert row.outcome is Outcome.CALLER_HANGUP


def test_every_broken_plugin_is_listed(tmp_path: Path) -> None:
    settings = settings_for(
        Served("127.0.0.1", 9), "sqlite:///unused.db", ARCHER_TOOLS__ENABLED='["end_call", "one", "two"]'
    )
    with pytest.raises(PluginError) as caught:
        create_app(settings)

    assert len(caught.value.problems) == 2


@virtual
async def test_it_opens_and_closes_its_own_database(tmp_path: Path) -> None:
    async with world(tmp_path) as here:
        settings = settings_for(here.bridge, f"sqlite:///{tmp_path / 'own.db'}")
        app = create_app(settings)
        async with serving(app):
            assert (tmp_path / "own.db").is_file()
        again = create_app(settings)
        async with serving(again):  # the lock of the first is free again
            assert list(await again.state.service.store.list_calls()) == []


@virtual
async def test_at_the_deadline_of_a_drain_every_caller_hears_a_goodbye_before_the_process_ends(tmp_path: Path) -> None:
    async with world(tmp_path, ARCHER_SERVER__MIN_DRAIN_S="0.5", ARCHER_SERVER__MAX_DRAIN_S="2") as here:
        ended_at: list[float] = []

        async def stays(caller: Caller) -> None:
            await caller.ended.wait()

        async def drained() -> None:
            while len(here.service.live) < 2:
                await asyncio.sleep(0.1)
            await drain(here.app, settings_for(here.served_simulator, "sqlite:///x.db", **SHORT_DRAIN))
            ended_at.append(asyncio.get_running_loop().time())

        draining = asyncio.create_task(drained(), name="drained")
        reports = await asyncio.gather(here.call(stays), here.call(stays, SAM))
        await draining
        rows = await here.store.list_calls()

        assert {row.outcome for row in rows} == {Outcome.DRAINED}
        for report in reports:
            assert "we have to interrupt this call" in heard_texts(report)[-1]
            assert report.verbs == ("Connect", "Say", "Hangup")
        assert here.service.unanswered == set()


@pytest.mark.parametrize(
    ("outcome", "expected"),
    [
        pytest.param(Outcome.TRANSFERRED, ["asked", "drained"], id="transferred"),
        pytest.param(Outcome.VENDOR_LOST, ["asked", "drained"], id="the-agent-is-lost"),
        pytest.param(Outcome.CALLER_HANGUP, ["drained"], id="the-caller-is-gone"),
    ],
)
@virtual
async def test_a_drain_waits_for_the_question_that_follows_its_last_call(
    outcome: Outcome, expected: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else the port is closed when Twilio asks whom to dial."""
    async with world(tmp_path) as here:
        order: list[str] = []
        asked = type(here.service).asked

        def noted(service: Service, call_sid: str) -> None:
            order.append("asked")
            asked(service, call_sid)

        async def drained() -> None:
            await drain(here.app, settings_for(here.served_simulator, "sqlite:///x.db", **SHORT_DRAIN))
            order.append("drained")

        async def talks(caller: Caller) -> None:
            await caller.agent_speaking(after_ms=300)
            draining = asyncio.create_task(drained(), name="drained")
            await asyncio.sleep(1)
            if outcome is Outcome.CALLER_HANGUP:
                await caller.hang_up()
            else:
                (session,) = here.service.live
                session.end_now(outcome, "test")
                await caller.ended.wait()
            await draining

        monkeypatch.setattr(Service, "asked", noted)
        await here.call(talks)

        assert order == expected


@virtual
async def test_a_drain_waits_for_a_call_that_was_answered_just_before(tmp_path: Path) -> None:
    async with world(tmp_path) as here:
        settings = settings_for(here.served_simulator, "sqlite:///x.db", **SHORT_DRAIN)
        draining = asyncio.create_task(drain(here.app, settings), name="draining")
        await asyncio.sleep(0.4)  # of half a second in which calls are still answered
        token = await stream_token(here)
        await asyncio.sleep(0.5)
        still = not draining.done()
        socket = await open_stream(here)
        await socket.send(start_message(token))
        await here.simulator.feed.expect("session_started")
        await socket.close()
        await draining

        assert still
        assert (await here.store.list_calls())[0].outcome is Outcome.CALLER_HANGUP


SHORT_DRAIN = {"ARCHER_SERVER__MIN_DRAIN_S": "0.5", "ARCHER_SERVER__MAX_DRAIN_S": "2"}
