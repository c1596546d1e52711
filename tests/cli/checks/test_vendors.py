"""Checks of Twilio and Cartesia, against their stand-ins."""

import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.responses import JSONResponse
from starlette.routing import Route

from archer_bridge.adapters.cartesia_rest import CartesiaRest
from archer_bridge.adapters.cartesia_tools import definition, push
from archer_bridge.adapters.plugins import load_tools
from archer_bridge.cli.checks import vendors
from archer_bridge.cli.checks.verdict import Status, Verdict
from archer_bridge.config import Settings, load_settings
from archer_bridge.devkit.cartesia import SimulatorOptions, create_simulator
from archer_bridge.devkit.phone import DEMO_ACCOUNT, Exchange, Number
from archer_bridge.devkit.serving import serving
from tests.support.twilio_api import twilio_api

ONE, OTHER = "+15550199999", "+15550100077"
OWN = "https://bridge.example.test"
VOICE, STATUS = f"{OWN}/webhooks/twilio/incoming", f"{OWN}/webhooks/twilio/status"
OURS = Number(ONE, voice_url=VOICE, status_callback=STATUS)
KEYS = {
    "TWILIO_ACCOUNT_SID": DEMO_ACCOUNT.account_sid,
    "TWILIO_AUTH_TOKEN": DEMO_ACCOUNT.auth_token,
    "WEBHOOK_BASE_URL": OWN,
    "CARTESIA_API_KEY": "sk_car_simulator",
    "CARTESIA_AGENT_ID": "agent_archer",
}


def settings(**changes: str) -> Settings:
    return load_settings(environ={**KEYS, **changes}, env_file="")


@asynccontextmanager
async def twilio(*numbers: Number, **more: str) -> AsyncIterator[dict[str, str]]:
    """Twilio's REST interface; gives the setting that leads there."""
    async with serving(twilio_api(Exchange(DEMO_ACCOUNT, numbers=numbers), **more)) as served:
        yield {"ARCHER_TWILIO__API_BASE_URL": served.http_url}


@pytest.mark.parametrize(
    ("account", "status", "found"),
    [
        pytest.param({}, "ok", "active, Full", id="good"),
        pytest.param({"status": "suspended"}, "FAIL", "the account is suspended", id="suspended"),
        pytest.param(
            {"kind": "Trial"},
            "warn",
            "a trial account: callers hear Twilio's notice first, and only verified numbers may call or be called",
            id="trial",
        ),
    ],
)
async def test_the_twilio_account(account, status, found):
    async with twilio(**account) as there:
        verdict = await vendors.twilio_account(settings(**there))

    assert (status, found) == (verdict.status, verdict.found)


async def test_the_auth_token_is_proved_even_if_there_is_a_key():
    key = {"TWILIO_API_KEY": DEMO_ACCOUNT.api_key, "TWILIO_API_SECRET": DEMO_ACCOUNT.api_secret}
    async with twilio(OURS) as there:
        configured = settings(**there, **key, TWILIO_AUTH_TOKEN="wrong-token")
        account, number = await vendors.twilio_account(configured), await vendors.twilio_number(configured)

    assert (account.status, number.status) == (Status.FAIL, Status.OK)
    assert account.found.startswith("Twilio: fetching the account answered 401: Authenticate (error 20003); ")


@pytest.mark.parametrize(
    ("numbers", "changes", "status", "found"),
    [
        pytest.param((OURS,), {}, "ok", "***9999 calls this bridge", id="ours"),
        pytest.param((Number(ONE),), {}, "FAIL", "***9999 does not call this bridge", id="not ours"),
        pytest.param(
            (Number(ONE, voice_url=VOICE),),
            {},
            "warn",
            "***9999 calls this bridge, but does not report the status of calls",
            id="no status",
        ),
        pytest.param((OURS, Number(OTHER)), {}, "ok", "***9999 of 2 call this bridge", id="one of two"),
        pytest.param(
            (Number(ONE), Number(OTHER)), {}, "FAIL", "none of the account's 2 numbers calls this bridge", id="no one"
        ),
        pytest.param(
            (OURS, Number(OTHER)),
            {"ARCHER_TWILIO__PHONE_NUMBER": OTHER},
            "FAIL",
            "***0077 does not call this bridge",
            id="the one meant does not",
        ),
        pytest.param(
            (),
            {},
            "FAIL",
            "the Twilio account owns no phone number: buy one in the console (Phone Numbers > Buy a number)",
            id="none at all",
        ),
        pytest.param(
            (OURS,),
            {"ARCHER_TWILIO__PHONE_NUMBER": OTHER},
            "FAIL",
            "twilio.phone_number (ARCHER_TWILIO__PHONE_NUMBER) is ***0077, "
            "which this Twilio account does not own; it owns ***9999",
            id="not owned",
        ),
        pytest.param((OURS,), {"WEBHOOK_BASE_URL": ""}, "skip", "WEBHOOK_BASE_URL is not set", id="no address"),
    ],
)
async def test_the_twilio_number(numbers, changes, status, found):
    async with twilio(*numbers) as there:
        verdict = await vendors.twilio_number(settings(**there, **changes))

    assert (status, found) == (verdict.status, verdict.found)


async def test_a_number_that_an_application_answers():
    row = {"sid": "PN1", "phone_number": ONE, "voice_url": VOICE, "voice_application_sid": "AP1"}
    path = f"/2010-04-01/Accounts/{DEMO_ACCOUNT.account_sid}/IncomingPhoneNumbers.json"
    body = {"incoming_phone_numbers": [row], "next_page_uri": None}
    async with serving(Starlette(routes=[Route(path, lambda _: JSONResponse(body))])) as served:
        verdict = await vendors.twilio_number(settings(ARCHER_TWILIO__API_BASE_URL=served.http_url))

    expected = f"make that call {VOICE} with POST, or detach it and: archer dev"
    assert Verdict(Status.WARN, "***9999 is answered by the TwiML application AP1", expected) == verdict


@asynccontextmanager
async def cartesia() -> AsyncIterator[tuple[Any, dict[str, str]]]:
    """The simulator and the setting that leads there."""
    app = create_simulator(SimulatorOptions(voice="tones"))
    async with serving(app) as served:
        yield app.state.simulator, {"ARCHER_CARTESIA__REST_URL": served.http_url}


async def pushed(configured: Settings) -> None:
    wanted = [definition(tool, configured.tools.timeout_s) for tool in load_tools(configured.tools.enabled).values()]
    key = configured.cartesia.api_key.get_secret_value()
    async with CartesiaRest(configured.cartesia.rest_url, key, version=configured.cartesia.version) as rest:
        await push(rest, configured.cartesia.agent_id, wanted)


async def test_an_agent_that_has_all():
    async with cartesia() as (_, there):
        await pushed(settings(**there))
        agent, tools = (
            await vendors.cartesia_agent(settings(**there)),
            await vendors.cartesia_tools(settings(**there)),
        )

    assert Verdict(Status.OK, "Archer (agent_archer)") == agent
    assert Verdict(Status.OK, "all 5 attached, as described here") == tools


async def test_tools_described_otherwise_are_told():
    async with cartesia() as (_, there):
        verdict = await vendors.cartesia_tools(settings(**there))

    assert (verdict.status, verdict.fix) == (Status.WARN, "archer tools push")
    assert verdict.found.startswith("described differently at Cartesia: ")


async def test_tools_that_are_not_attached_are_told():
    async with cartesia() as (simulator, there):
        await pushed(settings(**there))
        attached = simulator.account.agent("agent_archer")["config"]["tools"]
        simulator.account.change_agent("agent_archer", {"config": {"tools": attached[:3]}})
        verdict = await vendors.cartesia_tools(settings(**there))

    expected = "the agent does not have transfer_to_human, end_call"
    assert Verdict(Status.FAIL, expected, "archer tools push") == verdict


async def test_a_name_that_is_taken_is_told():
    async with cartesia() as (simulator, there):
        ids = {tool["name"]: key for key, tool in simulator.account.tools.items()}
        webhook = {"type": "webhook", "name": "end_call", "description": "Ends it.", "url": "https://x.example.test"}
        simulator.account.tools[ids["end_call"]] |= webhook
        verdict = await vendors.cartesia_tools(settings(**there))

    assert (verdict.status, verdict.fix) == (Status.FAIL, "then: archer tools push")
    assert verdict.found.startswith("'end_call' is a webhook tool at Cartesia (")


@pytest.mark.parametrize(
    ("changes", "start"),
    [
        pytest.param(
            {"CARTESIA_API_KEY": "sk_car_wrong"}, "Cartesia: GET /v1/agents/agent_archer answered 401: ", id="wrong key"
        ),
        pytest.param(
            {"CARTESIA_AGENT_ID": "agent_gone"},
            "Cartesia: GET /v1/agents/agent_gone answered 404: ",
            id="no agent",
        ),
    ],
)
async def test_cartesia_that_refuses_is_told(changes, start):
    async with cartesia() as (_, there):
        configured = settings(**there, **changes)
        agent, tools = await vendors.cartesia_agent(configured), await vendors.cartesia_tools(configured)

    assert (agent.status, agent.found.startswith(start), tools.status) == (Status.FAIL, True, Status.SKIP)


async def test_keys_are_not_sent_in_the_clear():
    configured = settings(
        ARCHER_CARTESIA__REST_URL="http://example.com", ARCHER_TWILIO__API_BASE_URL="http://example.com"
    )

    found = [
        await vendors.cartesia_agent(configured),
        await vendors.twilio_account(configured),
        await vendors.twilio_number(configured),
    ]

    assert [verdict.status for verdict in found] == ["FAIL"] * 3
    assert ["https" in verdict.found for verdict in found] == [True] * 3


async def test_nobody_there_is_told():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        gone = f"http://127.0.0.1:{listener.getsockname()[1]}"

    verdict = await vendors.twilio_account(settings(ARCHER_TWILIO__API_BASE_URL=gone))

    expected = f"Twilio: fetching the account failed: {gone[7:]} cannot be reached"
    assert (Status.FAIL, expected) == (verdict.status, verdict.found)


@pytest.mark.parametrize(
    ("check", "missing"),
    [
        ("twilio_account", "TWILIO_ACCOUNT_SID"),
        ("twilio_account", "TWILIO_AUTH_TOKEN"),
        ("twilio_number", "TWILIO_ACCOUNT_SID"),
        ("twilio_number", "TWILIO_AUTH_TOKEN"),
        ("cartesia_agent", "CARTESIA_API_KEY"),
        ("cartesia_tools", "CARTESIA_AGENT_ID"),
    ],
)
async def test_nobody_is_asked_without_a_key(check, missing):
    verdict = await getattr(vendors, check)(settings(**{missing: ""}))

    assert (verdict.status, missing in verdict.found) == (Status.SKIP, True)


async def test_tools_that_do_not_load_are_told_elsewhere():
    verdict = await vendors.cartesia_tools(settings(ARCHER_TOOLS__ENABLED='["no_such_tool"]'))

    assert Verdict(Status.SKIP, "the tools do not load") == verdict
