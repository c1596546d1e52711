"""`archer doctor`, whole: against a bridge, Twilio and Cartesia that are all stand-ins on this machine."""

import asyncio
import json
import os
import socket
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from starlette.applications import Starlette
from starlette.responses import JSONResponse
from starlette.routing import Route

from archer_bridge.adapters.sql import open_store
from archer_bridge.adapters.sql.seed import DEMO_CUSTOMERS
from archer_bridge.app import create_app
from archer_bridge.cli import doctor
from archer_bridge.cli.checks.verdict import Check, Status
from archer_bridge.config import load_settings
from archer_bridge.devkit.cartesia import SimulatorOptions, create_simulator
from archer_bridge.devkit.phone import DEMO_ACCOUNT, Exchange, Number
from archer_bridge.devkit.serving import serving
from tests.support.twilio_api import twilio_api

ONE = "+15550199999"
KEY = "sk_car_simulator-of-this-test"
ONLINE = {row.name for row in doctor.table() if row.online}


@pytest.fixture(autouse=True)
def _empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@asynccontextmanager
async def healthy(folder: Path) -> AsyncIterator[dict[str, str]]:
    """Everything a call needs, running; gives the environment that describes it."""
    database = f"sqlite:///{folder / 'archer.db'}"
    async with await open_store(database) as store:
        await store.add_customers(DEMO_CUSTOMERS)
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    hooks = {"voice_url": f"{url}/webhooks/twilio/incoming", "status_callback": f"{url}/webhooks/twilio/status"}
    exchange = Exchange(DEMO_ACCOUNT, numbers=(Number(ONE, **hooks),))
    mind = create_simulator(SimulatorOptions(voice="tones", api_key=KEY))
    async with serving(twilio_api(exchange)) as twilio, serving(mind) as cartesia:
        environment = {
            "WEBHOOK_BASE_URL": url,
            "TWILIO_ACCOUNT_SID": DEMO_ACCOUNT.account_sid,
            "TWILIO_AUTH_TOKEN": DEMO_ACCOUNT.auth_token,
            "CARTESIA_API_KEY": KEY,
            "CARTESIA_AGENT_ID": "agent_archer",
            "DATABASE_URL": database,
            "ARCHER_TWILIO__API_BASE_URL": twilio.http_url,
            "ARCHER_CARTESIA__REST_URL": cartesia.http_url,
            "ARCHER_AGENT__COMPANY": "Acme",
            "ARCHER_TWILIO__TRANSFER_TO": "+15550100200",
        }
        async with serving(create_app(load_settings(environ=environment, env_file="")), port=port):
            yield environment


def by_name(checks: list[Check]) -> dict[str, Status]:
    return {check.name: check.status for check in checks}


async def test_a_healthy_bridge_has_no_failure(tmp_path):
    async with healthy(tmp_path) as environment:
        checks = await doctor.examine(environment)

    unusual = {name: status for name, status in by_name(checks).items() if status is not Status.OK}
    assert unusual.pop("compiled parts", Status.WARN) is Status.WARN  # where there is no C compiler
    assert unusual == {
        "public address": Status.WARN,  # http, on this machine
        "database": Status.WARN,  # held by the bridge that runs
        "Cartesia tools": Status.WARN,  # the simulator's own descriptions
        "twilio.api_base_url": Status.WARN,  # stand-ins for the vendors
        "cartesia.rest_url": Status.WARN,
        "calls.daily_minutes": Status.WARN,  # no limit as it comes
    }


async def test_offline_nobody_is_asked(tmp_path):
    async with healthy(tmp_path) as environment:
        pass  # and now nobody is there

    statuses = by_name(await doctor.examine(environment, offline=True))

    assert {name for name, status in statuses.items() if status is Status.SKIP} == ONLINE
    assert Status.FAIL not in statuses.values()


async def test_nobody_there_hides_nothing_else(tmp_path):
    async with healthy(tmp_path) as environment:
        pass

    statuses = by_name(await doctor.examine(environment))

    assert {"Twilio account", "Twilio number", "Cartesia agent"} == {
        name for name, status in statuses.items() if status is Status.FAIL
    }
    assert len(doctor.table()) + 2 + 3 == len(statuses)  # three settings are weak


async def test_settings_that_cannot_be_used_are_all_told():
    checks = await doctor.examine({"ARCHER_SERVER__PORT": "many", "ARCHER_NO_SUCH": "1"})

    first, *rest = checks
    assert (
        first.status,
        [line.replace(":", " ").split()[0] for line in first.found.splitlines()],
    ) == (Status.FAIL, ["ARCHER_NO_SUCH", "server.port"])
    always = {row.name for row in doctor.table() if row.without_settings} | {"secrets"}
    assert always == {check.name for check in rest if check.status is not Status.SKIP}
    assert {"the settings cannot be used"} == {check.found for check in rest if check.status is Status.SKIP}


async def test_a_check_that_breaks_hides_no_other(monkeypatch):
    def broken(settings):
        raise RuntimeError("not foreseen")

    rows = (doctor.Row("broken", broken), doctor.Row("good", doctor.table()[0].examine))
    monkeypatch.setattr(doctor, "table", lambda: rows)

    *_, first, second, _ = await doctor.examine({})  # the last line is calls.daily_minutes, weak as it comes

    assert (first.status, first.found) == (Status.FAIL, "the check broke: RuntimeError('not foreseen')")
    assert second.status is Status.OK


async def test_a_check_that_does_not_end_is_given_up(monkeypatch):
    async def endless(settings):
        await asyncio.Event().wait()

    monkeypatch.setattr(doctor, "table", lambda: (doctor.Row("endless", endless),))
    monkeypatch.setattr(doctor, "CHECK_TIMEOUT_S", 0.05)

    *_, last, _ = await doctor.examine({})

    assert (last.status, last.found) == (Status.FAIL, "not known after 0.05 s")


async def test_no_secret_is_shown_even_if_others_repeat_it(tmp_path):
    def telling(request):
        return JSONResponse({"message": f"{request.headers['authorization']} \x1b[31mis bad"}, 401)

    async with healthy(tmp_path) as environment, serving(Starlette(routes=[Route("/{p:path}", telling)])) as evil:
        checks = await doctor.examine({**environment, "ARCHER_CARTESIA__REST_URL": evil.http_url})

    (agent,) = [check for check in checks if check.name == "Cartesia agent"]
    text = repr(checks)
    assert r"Bearer ***test \x1b[31mis bad" in agent.found
    assert [KEY in text, DEMO_ACCOUNT.auth_token in text] == [False, False]


async def ran(folder: Path, environment: Mapping[str, str], *arguments: str) -> tuple[int, str, str]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "archer_bridge", "doctor", *arguments),
        cwd=folder,
        env={"PATH": os.environ["PATH"], **environment},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, error = await process.communicate()
    assert process.returncode is not None
    return process.returncode, out.decode(), error.decode()


@pytest.mark.timeout(60)
async def test_the_command_on_a_healthy_bridge(tmp_path):
    async with healthy(tmp_path) as environment:
        code, out, error = await ran(tmp_path, environment, "--json")

    document = json.loads(out)
    assert (code, document["ok"], error) == (0, True, "")
    weak = ["twilio.api_base_url", "cartesia.rest_url", "calls.daily_minutes"]
    assert ["settings", "secrets", *(row.name for row in doctor.table()), *weak] == [
        check["name"] for check in document["checks"]
    ]
    assert {"name", "status", "found", "fix"} == set(document["checks"][0])


@pytest.mark.timeout(60)
async def test_the_command_where_nothing_is_set(tmp_path):
    (tmp_path / "mine.toml").write_text("[server]\nmax_calls = 7\n")

    code, out, error = await ran(tmp_path, {}, "--offline", "--config", "mine.toml")

    lines = out.splitlines()
    assert (code, error) == (1, "")
    assert lines[0] == "ok    settings                mine.toml, environment"
    assert (
        "                              -> set them in .env or the environment; config.toml names every setting" in lines
    )
    assert any("enough for 7 calls" in line for line in lines)
    assert lines[-1].startswith(f"{len(doctor.table()) + 3} checks: ")  # calls.daily_minutes is weak as it comes
    assert "1 failed" in lines[-1]
    assert list(tmp_path.iterdir()) == [tmp_path / "mine.toml"]
