"""The admin listener: who may ask, who may write, and what its numbers say right after a call."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest
import structlog
from prometheus_client.parser import text_string_to_metric_families

from archer_bridge.app import create_admin
from archer_bridge.devkit.phone import Caller
from archer_bridge.devkit.serving import serving
from archer_bridge.web import admin
from tests.support.virtual import virtual
from tests.support.world import World, settings_for, world

TOKEN = "a-token-that-is-long-enough"
WRITE = {"X-Archer-Admin": "1"}
READS = ["/metrics", "/api/calls"]
WRITES = ["/api/drain", "/api/undrain"]


@asynccontextmanager
async def admin_client(here: World, token: str = "") -> AsyncIterator[httpx.AsyncClient]:
    settings = settings_for(here.bridge, "sqlite:///unused.db", ARCHER_ADMIN__TOKEN=token)
    async with (
        serving(create_admin(here.app, settings)) as served,
        httpx.AsyncClient(base_url=served.http_url, trust_env=False, timeout=None) as client,
    ):
        yield client


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def test_every_admin_route_is_in_the_tables_here() -> None:
    assert {*READS, *WRITES} == {route.path for route in admin.ROUTES}


@virtual
async def test_who_may_ask(tmp_path: Path) -> None:
    credentials: list[tuple[dict[str, str] | list[tuple[bytes, bytes]], int]] = [
        ({}, 401),
        (bearer("wrong"), 401),
        ({"Authorization": "Bearer"}, 401),
        (bearer(TOKEN[:-1]), 401),
        ({"Authorization": f"bearer {TOKEN}"}, 401),
        ({"Authorization": TOKEN}, 401),
        ({"Authorization": f"Basic {TOKEN}"}, 401),
        ([(b"Authorization", b"Bearer \xff\xfe")], 401),
        (bearer(TOKEN), 200),
    ]
    async with world(tmp_path) as here, admin_client(here, TOKEN) as client:
        for headers, status in credentials:
            for path in READS:
                answer = await client.get(path, headers=headers)

                assert (path, status) == (path, answer.status_code), headers
                assert TOKEN not in answer.text
        for path in WRITES:
            assert (await client.post(path, headers=WRITE)).status_code == 401
            assert (await client.post(path, headers=bearer(TOKEN))).status_code == 403
            assert (await client.post(path, headers={**WRITE, **bearer(TOKEN)})).status_code == 200
        refused = await client.get("/nothing/here")

        assert refused.status_code == 401  # not even which routes there are
        assert refused.headers["WWW-Authenticate"] == "Bearer"


@virtual
async def test_without_a_token_on_loopback(tmp_path: Path) -> None:
    async with world(tmp_path) as here, admin_client(here) as client:
        for path in READS:
            assert (await client.get(path)).status_code == 200
            assert (await client.get(path, headers={"Host": "localhost:8001"})).status_code == 200
            assert (await client.get(path, headers={"Host": "[::1]:8001"})).status_code == 200
            # a web page whose name was pointed at 127.0.0.1 sends its own name
            assert (await client.get(path, headers={"Host": "evil.example.com:8001"})).status_code == 403
        for path in WRITES:
            assert (await client.post(path)).status_code == 403
            assert (await client.get(path)).status_code == 405
            assert (await client.post(path, headers=WRITE)).status_code == 200


@virtual
async def test_drain_and_undrain(tmp_path: Path) -> None:
    async with world(tmp_path) as here, admin_client(here) as client:
        ready = f"{here.bridge.http_url}/readyz"
        with structlog.testing.capture_logs() as logs:
            await client.post("/api/drain", headers=WRITE)
            while_drained = await client.get(ready)
            listed = await client.get("/api/calls")
            await client.post("/api/undrain", headers=WRITE)
            afterwards = await client.get(ready)
            here.service.stopping = True
            here.service.live.drain()
            too_late = await client.post("/api/undrain", headers=WRITE)

        assert (while_drained.status_code, while_drained.json()["reasons"]) == (503, ["draining"])
        assert listed.json() == {"draining": True, "calls": []}
        assert (afterwards.status_code, afterwards.json()["status"]) == (200, "ready")
        assert (too_late.status_code, here.service.live.draining) == (409, True)
        assert [line["event"] for line in logs if "admin" in line["event"]] == ["admin_drain", "admin_undrain"]


@virtual
async def test_the_numbers_right_after_a_call(tmp_path: Path) -> None:
    seen: list[dict[str, float]] = []
    async with world(tmp_path) as here, admin_client(here) as client:

        async def numbers() -> dict[str, float]:
            text = (await client.get("/metrics")).text
            assert "+1555" not in text
            return {
                f"{sample.name}{''.join(sample.labels.values())}": sample.value
                for family in text_string_to_metric_families(text)
                for sample in family.samples
            }

        async def script(caller: Caller) -> None:
            await caller.agent_speaking()
            seen.append(await numbers())
            await caller.hang_up()

        await here.call(script)
        await here.service.live.wait_empty()
        seen.append(await numbers())
        await client.post(f"{here.bridge.http_url}/webhooks/twilio/incoming")
        seen.append(await numbers())

    during, after, refused = seen
    assert during["bridge_calls_active"] == 1.0
    assert "bridge_calls_totalcaller_hangup" not in during
    assert (after["bridge_calls_active"], after["bridge_calls_totalcaller_hangup"]) == (0.0, 1.0)
    assert after["bridge_call_duration_seconds_sum"] > 0
    assert [name for name in after if "auth_rejects" in name] == []
    assert [value for name, value in refused.items() if "auth_rejects" in name] == [1.0]


@virtual
async def test_the_public_listener_knows_nothing_of_it(tmp_path: Path) -> None:
    async with (
        world(tmp_path) as here,
        httpx.AsyncClient(base_url=here.bridge.http_url, trust_env=False, timeout=None) as client,
    ):
        for path in READS:
            assert (await client.get(path)).status_code == 404
        for path in WRITES:
            assert (await client.post(path, headers=WRITE)).status_code == 404

        assert not here.service.live.draining


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("127.0.0.1", True),
        ("127.0.0.1:8001", True),
        ("[::1]", True),
        ("10.0.0.7:8001", True),
        ("localhost", True),
        ("localhost.evil.example", False),
        ("bridge", False),
        ("", False),
        ("[::1", False),
        ("user@127.0.0.1", True),
    ],
)
def test_what_counts_as_an_address(host: str, expected: bool) -> None:
    assert expected == admin._is_address(host)
