"""`archer dev`, against stand-ins of ngrok and of Twilio's REST interface."""

import asyncio
import json
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from starlette.applications import Starlette
from starlette.responses import JSONResponse
from starlette.routing import Route
from twilio.request_validator import RequestValidator

from archer_bridge.adapters.web_client import RequestFailed, fetch
from archer_bridge.cli.dev import DevOptions, number_lines, reached_host, run_dev
from archer_bridge.cli.dev_address import Missing, Reachable, Startable, find_address
from archer_bridge.cli.dev_serve import exit_code
from archer_bridge.config import Settings, load_settings
from archer_bridge.devkit.phone import DEMO_ACCOUNT, Exchange, Number
from archer_bridge.devkit.serving import Served, serving
from tests.support.ngrok_agent import PUBLIC, install_ngrok, ngrok_api, said_by_ngrok, tunnel
from tests.support.twilio_api import twilio_api

ONE, OTHER = "+15550199999", "+15550100077"
OWN = "https://bridge.example.test"
CONSOLE = (
    "In the Twilio console, under Phone Numbers > Active numbers > your number > Voice, set:\n"
    "    A call comes in:      Webhook, {url}/webhooks/twilio/incoming, HTTP POST\n"
    "    Call status changes:  {url}/webhooks/twilio/status, HTTP POST"
)
KEYS = {
    "TWILIO_ACCOUNT_SID": DEMO_ACCOUNT.account_sid,
    "TWILIO_AUTH_TOKEN": DEMO_ACCOUNT.auth_token,
    "CARTESIA_API_KEY": "sk_car_simulator",
    "CARTESIA_AGENT_ID": "agent_archer",
}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def settings_for(**changes: str) -> Settings:
    return load_settings(environ={**KEYS, **changes}, env_file="", config_file=None)


@pytest.fixture(autouse=True)
def _empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)  # neither config.toml nor .env of whoever runs the tests


# Where the address comes from


@pytest.mark.parametrize(
    ("configured", "source"),
    [
        pytest.param("", "ngrok, which runs", id="nothing configured"),
        pytest.param(PUBLIC, "ngrok, which runs", id="the same"),
        pytest.param(
            "https://yesterday.ngrok-free.app",
            "ngrok, which runs; WEBHOOK_BASE_URL is https://yesterday.ngrok-free.app and not used",
            id="yesterday's",
        ),
    ],
)
async def test_a_running_tunnel_to_our_port_is_used(configured, source):
    async with serving(ngrok_api([tunnel(PUBLIC, "http://localhost:8000")])) as agent:
        found = await find_address(settings_for(WEBHOOK_BASE_URL=configured), agent.http_url, "")

    assert Reachable(PUBLIC, source) == found


async def test_without_a_tunnel_the_configured_address_is_used():
    async with serving(ngrok_api([tunnel(PUBLIC, "http://localhost:3000")])) as agent:
        found = await find_address(settings_for(WEBHOOK_BASE_URL=OWN), agent.http_url, "")

    assert Reachable(OWN, "WEBHOOK_BASE_URL, as configured") == found


@pytest.mark.parametrize("configured", ["", "https://yesterday.ngrok-free.app"])
async def test_without_an_agent_the_binary_is_used(tmp_path, configured):
    install_ngrok(tmp_path, api_port=1, port=1)
    settings = settings_for(WEBHOOK_BASE_URL=configured, ARCHER_SERVER__PORT="8123")

    found = await find_address(settings, f"http://127.0.0.1:{free_port()}", str(tmp_path))

    assert Startable(str(tmp_path / "ngrok"), "127.0.0.1", 8123) == found


ADVICE = (
    "Either install ngrok (https://ngrok.com/download), give it your authtoken, and run this again;\n"
    "or let any HTTPS tunnel or proxy lead to port 8000 of this machine, and set, in .env or the environment:\n"
    f"    WEBHOOK_BASE_URL=https://YOUR-HOST\n{CONSOLE.format(url='https://YOUR-HOST')}"
)


async def test_without_ngrok_it_says_exactly_what_to_set(tmp_path):
    api_url = f"http://127.0.0.1:{free_port()}"

    found = await find_address(settings_for(), api_url, str(tmp_path))

    reason = f"There is no public address: ngrok does not run (nothing at {api_url}) and is not installed."
    assert Missing(f"{reason}\n{ADVICE}") == found


@pytest.mark.parametrize(
    ("tunnels", "reason"),
    [
        pytest.param(
            [tunnel(PUBLIC, "http://localhost:3000")],
            f"ngrok runs, but none of its https tunnels leads to port 8000 ({PUBLIC} to http://localhost:3000): "
            "stop it and run: ngrok http 8000; or use its port: archer dev --port PORT",
            id="to another port",
        ),
        pytest.param(
            [],
            "ngrok runs, but has no tunnel: stop it and let this start it, or run: ngrok http 8000",
            id="none",
        ),
    ],
)
async def test_an_agent_whose_tunnels_lead_elsewhere_is_told(tmp_path, tunnels, reason):
    install_ngrok(tmp_path, api_port=1, port=1)
    async with serving(ngrok_api(tunnels)) as agent:
        found = await find_address(settings_for(), agent.http_url, str(tmp_path))

    assert Missing(f"{reason}\n{ADVICE}") == found


async def test_what_is_not_ngrok_is_told(tmp_path):
    install_ngrok(tmp_path, api_port=1, port=1)
    async with serving(Starlette()) as served:
        found = await find_address(settings_for(), served.http_url, str(tmp_path))
        own = await find_address(settings_for(WEBHOOK_BASE_URL=OWN), served.http_url, str(tmp_path))

    reason = (
        f"{served.http_url}/api/tunnels answered 404, and not as ngrok's API does: "
        "give its address with --ngrok-api (web_addr in ngrok's configuration)"
    )
    assert found == Missing(f"{reason}\n{ADVICE}")
    assert own == Reachable(OWN, "WEBHOOK_BASE_URL, as configured")


# What becomes of the number


@asynccontextmanager
async def twilio(*numbers: Number) -> AsyncIterator[tuple[Exchange, Served]]:
    exchange = Exchange(DEMO_ACCOUNT, numbers=numbers)
    async with serving(twilio_api(exchange)) as served:
        yield exchange, served


async def lines_for(served: Served, *, configure: bool = True, **changes: str) -> list[str]:
    environment = {"WEBHOOK_BASE_URL": OWN, "ARCHER_TWILIO__API_BASE_URL": served.http_url, **changes}
    return await number_lines(settings_for(**environment), configure=configure)


@pytest.mark.parametrize(
    ("before", "shown"),
    [
        pytest.param("", "nothing", id="nothing"),
        pytest.param("https://me:secret@old.example.com/v?key=1", "https://old.example.com/v", id="no secrets"),
    ],
)
async def test_the_only_number_is_pointed_at_the_bridge(before, shown):
    async with twilio(Number(ONE, voice_url=before)) as (exchange, served):
        first, second = await lines_for(served), await lines_for(served)

    (number,) = exchange.numbers.values()
    assert (f"{OWN}/webhooks/twilio/incoming", f"{OWN}/webhooks/twilio/status") == (
        number.voice_url,
        number.status_callback,
    )
    assert [f"{ONE} calls this bridge now (before: {shown}).", f"Dial {ONE}"] == first
    assert [f"{ONE} calls this bridge already.", f"Dial {ONE}"] == second


@pytest.mark.parametrize(
    ("numbers", "changes", "told"),
    [
        pytest.param(
            (Number(ONE), Number(OTHER)),
            {},
            "the Twilio account owns 2 numbers (***9999, ***0077): "
            "set twilio.phone_number (ARCHER_TWILIO__PHONE_NUMBER) to the one to use",
            id="several numbers",
        ),
        pytest.param(
            (Number(ONE),),
            {"TWILIO_AUTH_TOKEN": "wrong"},
            "Twilio: listing phone numbers answered 401: Authenticate (error 20003); "
            "check TWILIO_ACCOUNT_SID with TWILIO_AUTH_TOKEN, or TWILIO_API_KEY with TWILIO_API_SECRET",
            id="wrong token",
        ),
        pytest.param(
            (Number(ONE),),
            {"ARCHER_TWILIO__API_BASE_URL": "http://example.com"},
            "twilio.api_base_url is 'http://example.com': it must be https (http on this machine only)",
            id="in the clear",
        ),
    ],
)
async def test_when_it_cannot_it_says_why_and_what_to_do_by_hand(numbers, changes, told):
    async with twilio(*numbers) as (exchange, served):
        lines = await lines_for(served, **changes)

    assert [told, CONSOLE.format(url=OWN)] == lines
    assert [number.voice_url for number in exchange.numbers.values()] == [""] * len(numbers)


async def test_the_number_can_be_left_alone():
    async with twilio(Number(ONE, voice_url="https://old.example.com")) as (exchange, served):
        lines = await lines_for(served, configure=False)

    (number,) = exchange.numbers.values()
    assert ["The phone number is left as it is (--no-configure).", CONSOLE.format(url=OWN)] == lines
    assert number.voice_url == "https://old.example.com"


async def test_a_number_that_an_application_answers_is_left_alone():
    row = {"sid": "PN1", "phone_number": ONE, "voice_url": "", "voice_application_sid": "AP1"}
    path = f"/2010-04-01/Accounts/{DEMO_ACCOUNT.account_sid}/IncomingPhoneNumbers.json"
    body = {"incoming_phone_numbers": [row], "next_page_uri": None}
    async with serving(Starlette(routes=[Route(path, lambda _: JSONResponse(body))])) as served:
        lines = await lines_for(served)

    told = f"{ONE} is answered by the TwiML application AP1, which goes before any webhook: detach it."
    assert lines == [told, CONSOLE.format(url=OWN)]


async def test_a_local_address_is_no_use_to_twilio():
    async with twilio(Number(ONE)) as (exchange, served):
        lines = await lines_for(served, WEBHOOK_BASE_URL="http://127.0.0.1:8000")

    (number,) = exchange.numbers.values()
    expected = "http://127.0.0.1:8000 cannot be reached from Twilio, so the phone number is left as it is."
    assert [expected] == lines
    assert number.voice_url == ""


# The command


@pytest.mark.parametrize(
    ("host", "reached"), [("0.0.0.0", "127.0.0.1"), ("::", "::1"), ("10.0.0.5", "10.0.0.5"), ("bridge", "bridge")]
)
def test_where_this_machine_reaches_its_listener(host, reached):
    assert reached_host(settings_for(ARCHER_SERVER__HOST=host)) == reached


@pytest.mark.parametrize(("returncode", "code"), [(0, 0), (3, 3), (-9, 137)])
def test_the_exit_code_is_a_shells(returncode, code):
    assert exit_code(returncode) == code


async def test_all_that_is_missing_is_told_before_anything_is_started(tmp_path):
    said: list[str] = []
    listener = socket.create_server(("127.0.0.1", 0))
    port = listener.getsockname()[1]
    environment = {"TWILIO_ACCOUNT_SID": DEMO_ACCOUNT.account_sid, "PATH": str(tmp_path)}
    options = DevOptions(port=port, ngrok_api=f"http://127.0.0.1:{free_port()}")

    code = await run_dev(options, environment, say=said.append)
    listener.close()

    assert code == 2
    assert said[0].startswith("There is no public address: ngrok does not run")
    assert [
        "4 configuration problems:",
        "  - TWILIO_AUTH_TOKEN (signatures are checked with it) is not set",
        "  - CARTESIA_API_KEY is not set",
        "  - CARTESIA_AGENT_ID is not set",
        f"  - port {port} is taken: stop what listens there, or use another: archer dev --port PORT",
        "`archer doctor` checks them one by one.",
    ] == said[1].splitlines()


async def test_settings_that_cannot_be_read_are_told():
    said: list[str] = []

    code = await run_dev(DevOptions(), {"ARCHER_SERVER__PORT": "many"}, say=said.append)

    assert code == 2
    assert said[0].startswith("1 configuration problem:\n  - server.port: ")


async def test_a_tunnel_needs_a_port_that_stays():
    said: list[str] = []

    code = await run_dev(DevOptions(), {**KEYS, "ARCHER_SERVER__PORT": "0", "PATH": ""}, say=said.append)

    assert code == 2
    assert "  - server.port is 0, any free one: a tunnel needs a port that stays; use --port 8000" in said[1]


async def test_ngrok_that_fails_is_told(tmp_path):
    said: list[str] = []
    (tmp_path / "ngrok").write_text(f"#!{sys.executable}\nraise SystemExit('ERROR: no authtoken')\n")
    (tmp_path / "ngrok").chmod(0o755)
    options = DevOptions(port=free_port(), ngrok_api=f"http://127.0.0.1:{free_port()}")

    code = await run_dev(options, {**KEYS, "PATH": str(tmp_path)}, say=said.append)

    assert (code, said) == (1, ["ngrok ended at once with code 1; it said: ERROR: no authtoken"])


class Running:
    """`archer dev` in a process of its own; `lines` is what it printed."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.lines: list[str] = []

    async def until(self, start: str) -> str:
        assert self.process.stdout is not None
        async for raw in self.process.stdout:
            self.lines.append(raw.decode().rstrip())
            if self.lines[-1].startswith(start):
                return self.lines[-1]
        pytest.fail(f"it ended without a line that begins with {start!r}:\n" + "\n".join(self.lines))

    async def end(self) -> int:
        assert self.process.stdout is not None
        self.lines += (await self.process.stdout.read()).decode().splitlines()
        return await self.process.wait()


@asynccontextmanager
async def running(folder: Path, environment: Mapping[str, str], *arguments: str) -> AsyncIterator[Running]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "archer_bridge", "dev", *arguments),
        cwd=folder,
        env={**KEYS, **environment},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        yield Running(process)
    finally:
        if process.returncode is None:
            process.terminate()
            await process.wait()


async def signed_status(port: int) -> int:
    """Post a webhook to the bridge, signed for the tunnel's address."""
    path, form = (
        "/webhooks/twilio/status",
        {
            "AccountSid": DEMO_ACCOUNT.account_sid,
            "CallSid": "CA" + "0" * 32,
            "CallStatus": "ringing",
        },
    )
    signature = RequestValidator(DEMO_ACCOUNT.auth_token).compute_signature(PUBLIC + path, form)
    url = f"http://127.0.0.1:{port}{path}"
    return (await fetch(url, method="POST", form=form, headers={"X-Twilio-Signature": signature})).status


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.mark.slow  # starts four Python processes one after the other
@pytest.mark.timeout(90)
@pytest.mark.parametrize(
    ("number", "arguments"),
    [
        pytest.param(signal.SIGINT, (), id="Ctrl-C, reloading"),
        pytest.param(signal.SIGTERM, ("--no-reload",), id="SIGTERM, not reloading"),
    ],
)
async def test_from_nothing_to_the_number_to_dial_and_back(tmp_path, number, arguments):
    api_port, port = free_port(), free_port()
    said_file = install_ngrok(tmp_path, api_port=api_port, port=port)
    async with twilio(Number(ONE)) as (exchange, served):
        environment = {
            "PATH": str(tmp_path),
            "ARCHER_TWILIO__API_BASE_URL": served.http_url,
            "ARCHER_SERVER__PUBLIC_URL": "https://yesterday.ngrok-free.app",
            "ARCHER_SERVER__MIN_DRAIN_S": "0",
            "ARCHER_ADMIN__ENABLED": "false",
        }
        api = ("--ngrok-api", f"http://127.0.0.1:{api_port}")
        async with running(tmp_path, environment, "--port", str(port), *api, *arguments) as archer:
            await archer.until("Dial ")
            accepted = await signed_status(port)
            ngrok = said_by_ngrok(said_file)
            archer.process.send_signal(number)
            code = await archer.end()

    (owned,) = exchange.numbers.values()
    told = [line for line in archer.lines if not line.startswith("{")]
    assert [
        f"Public address: {PUBLIC} (ngrok, started for this)",
        f"{ONE} calls this bridge now (before: nothing).",
        f"Dial {ONE}",
    ] == told
    assert f"{PUBLIC}/webhooks/twilio/incoming" == owned.voice_url
    assert ["http", str(port)] == ngrok["arguments"][:2]
    assert (accepted, code, is_alive(ngrok["pid"])) == (200, 0, False)
    with pytest.raises(RequestFailed, match="nobody answers there"):
        await fetch(f"http://127.0.0.1:{port}/healthz")
    assert "service_stopped" in [json.loads(line).get("event") for line in archer.lines if line.startswith("{")]


@pytest.mark.slow  # starts two Python processes one after the other
@pytest.mark.timeout(60)
async def test_a_bridge_that_does_not_start_leaves_the_number_alone(tmp_path):
    api_port, port = free_port(), free_port()
    said_file = install_ngrok(tmp_path, api_port=api_port, port=port)
    async with twilio(Number(ONE)) as (exchange, served):
        environment = {
            "PATH": str(tmp_path),
            "ARCHER_TWILIO__API_BASE_URL": served.http_url,
            "ARCHER_TOOLS__ENABLED": '["no_such_tool"]',
        }
        api = ("--ngrok-api", f"http://127.0.0.1:{api_port}")
        async with running(tmp_path, environment, "--port", str(port), *api, "--no-reload") as archer:
            code = await archer.end()

    (owned,) = exchange.numbers.values()
    assert (code, owned.voice_url) == (1, "")
    assert "tool 'no_such_tool' is enabled" in "\n".join(archer.lines)
    assert not is_alive(said_by_ngrok(said_file)["pid"])
