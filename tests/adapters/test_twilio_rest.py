"""The official SDK, pointed at the stand-in of Twilio's REST interface."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.responses import JSONResponse, PlainTextResponse
from starlette.routing import Route

from archer_bridge.adapters.twilio_rest import (
    STATUS_PATH,
    VOICE_PATH,
    NumberNotChosen,
    PhoneNumber,
    TwilioAccount,
    TwilioApiError,
    TwilioRest,
    open_twilio,
)
from archer_bridge.config_models import TwilioSettings
from archer_bridge.devkit.phone import DEMO_ACCOUNT, Exchange, Number
from archer_bridge.devkit.serving import serving
from archer_bridge.web import webhooks
from tests.support.twilio_api import twilio_api

PUBLIC = "https://bridge.example.test"
ONE, OTHER = "+15550199999", "+15550100077"
KEY = {"api_key": DEMO_ACCOUNT.api_key, "api_secret": DEMO_ACCOUNT.api_secret}


def exchange_with(*numbers: str) -> Exchange:
    return Exchange(DEMO_ACCOUNT, numbers=tuple(Number(number) for number in numbers))


@asynccontextmanager
async def connected(app: Starlette, *, by_token: bool = False, **changes: Any) -> AsyncIterator[TwilioRest]:
    async with serving(app) as served:
        values = {"account_sid": DEMO_ACCOUNT.account_sid, "auth_token": DEMO_ACCOUNT.auth_token, **changes}
        settings = TwilioSettings(**values, api_base_url=served.http_url)
        async with open_twilio(settings, by_token=by_token) as twilio:
            yield twilio


def test_our_paths_are_the_routes_of_the_bridge():
    assert {VOICE_PATH, STATUS_PATH} <= {route.path for route in webhooks.ROUTES}


@pytest.mark.parametrize("changes", [{}, KEY], ids=["auth token", "API key"])
@pytest.mark.parametrize("wanted", ["", ONE, "+1 (555) 019-9999"])
async def test_the_number_is_found_and_pointed_at_the_bridge(changes, wanted):
    exchange = exchange_with(ONE)

    async with connected(twilio_api(exchange), **changes) as twilio:
        found = await twilio.find_number(wanted)
        changed = await twilio.point(found, PUBLIC)

    (kept,) = exchange.numbers.values()
    assert (found.number, found.voice_url, found.calls(PUBLIC)) == (ONE, "", False)
    assert changed.calls(PUBLIC)
    assert (f"{PUBLIC}/webhooks/twilio/incoming", "POST", f"{PUBLIC}/webhooks/twilio/status") == (
        kept.voice_url,
        kept.voice_method,
        kept.status_callback,
    )


@pytest.mark.parametrize(
    ("owned", "wanted", "told"),
    [
        pytest.param(
            (),
            "",
            "the Twilio account owns no phone number: buy one in the console (Phone Numbers > Buy a number)",
            id="none",
        ),
        pytest.param(
            (ONE, OTHER),
            "",
            "the Twilio account owns 2 numbers (***9999, ***0077): "
            "set twilio.phone_number (ARCHER_TWILIO__PHONE_NUMBER) to the one to use",
            id="several",
        ),
        pytest.param(
            (ONE,),
            OTHER,
            "twilio.phone_number (ARCHER_TWILIO__PHONE_NUMBER) is ***0077, "
            "which this Twilio account does not own; it owns ***9999",
            id="not owned",
        ),
    ],
)
async def test_a_number_that_is_not_clear_is_not_chosen(owned, wanted, told):
    async with connected(twilio_api(exchange_with(*owned))) as twilio:
        with pytest.raises(NumberNotChosen) as caught:
            await twilio.find_number(wanted)

    assert told == str(caught.value)


async def test_one_of_several_numbers_can_be_named():
    async with connected(twilio_api(exchange_with(ONE, OTHER))) as twilio:
        found = await twilio.find_number(OTHER)

    assert found.number == OTHER


async def test_the_filter_that_finds_parts_is_not_believed():
    row = {"sid": "PN1", "phone_number": ONE}
    path = f"/2010-04-01/Accounts/{DEMO_ACCOUNT.account_sid}/IncomingPhoneNumbers.json"
    body = {"incoming_phone_numbers": [row], "next_page_uri": None}

    async with connected(Starlette(routes=[Route(path, lambda _: JSONResponse(body))])) as twilio:
        with pytest.raises(NumberNotChosen):
            await twilio.find_number("+1555")


@pytest.mark.parametrize(
    ("number", "handler", "reaches"),
    [
        pytest.param(PhoneNumber("PN1", ONE, f"{PUBLIC}{VOICE_PATH}"), "", True, id="ours"),
        pytest.param(PhoneNumber("PN1", ONE, f"{PUBLIC}{VOICE_PATH}", "GET"), "", False, id="GET"),
        pytest.param(PhoneNumber("PN1", ONE, "https://demo.twilio.com/x"), "", False, id="elsewhere"),
        pytest.param(
            PhoneNumber("PN1", ONE, f"{PUBLIC}{VOICE_PATH}", application_sid="AP1"),
            "TwiML application AP1",
            False,
            id="an application goes before",
        ),
        pytest.param(
            PhoneNumber("PN1", ONE, f"{PUBLIC}{VOICE_PATH}", application_sid="AP1", trunk_sid="TK1"),
            "SIP trunk TK1",
            False,
            id="a trunk goes before all",
        ),
    ],
)
def test_who_answers_a_number(number, handler, reaches):
    assert (handler, reaches) == (number.handler, number.calls(PUBLIC))


async def test_the_account_is_fetched_with_the_token():
    async with connected(twilio_api(exchange_with(), kind="Trial"), by_token=True, **KEY) as twilio:
        found = await twilio.account()

    assert TwilioAccount("active", "Trial") == found


async def test_wrong_credentials_are_told():
    async with connected(twilio_api(exchange_with(ONE)), auth_token="wrong") as twilio:
        with pytest.raises(TwilioApiError) as caught:
            await twilio.find_number()

    expected = (
        "Twilio: listing phone numbers answered 401: Authenticate (error 20003); "
        "check TWILIO_ACCOUNT_SID with TWILIO_AUTH_TOKEN, or TWILIO_API_KEY with TWILIO_API_SECRET"
    )
    assert expected == str(caught.value)


async def test_a_number_that_went_away_is_told():
    async with connected(twilio_api(exchange_with(ONE))) as twilio:
        with pytest.raises(TwilioApiError) as caught:
            await twilio.point(PhoneNumber("PN404", ONE), PUBLIC)

    assert (caught.value.status, caught.value.api_code) == (404, 20404)
    assert str(caught.value).startswith("Twilio: changing the number ***9999 answered 404: ")


async def test_an_answer_that_is_not_twilios_is_told():
    path = f"/2010-04-01/Accounts/{DEMO_ACCOUNT.account_sid}.json"
    app = Starlette(routes=[Route(path, lambda _: PlainTextResponse("<html>"))])

    async with connected(app) as twilio:
        with pytest.raises(TwilioApiError, match="^Twilio: fetching the account failed: 127.*gave no usable answer: "):
            await twilio.account()


async def test_a_list_that_is_not_twilios_is_told():
    path = f"/2010-04-01/Accounts/{DEMO_ACCOUNT.account_sid}/IncomingPhoneNumbers.json"
    app = Starlette(routes=[Route(path, lambda _: PlainTextResponse("bad gateway", 502))])

    async with connected(app) as twilio:
        with pytest.raises(TwilioApiError) as caught:
            await twilio.numbers()

    assert str(caught.value) == "Twilio: listing phone numbers answered 502: bad gateway"


async def test_silence_is_bounded():
    never = asyncio.Event()

    async def silent(_request):
        await never.wait()
        return PlainTextResponse("too late")

    app = Starlette(routes=[Route(f"/2010-04-01/Accounts/{DEMO_ACCOUNT.account_sid}.json", silent)])
    async with (
        serving(app, grace_s=0) as served,
        TwilioRest(DEMO_ACCOUNT.account_sid, "u", "s", base_url=served.http_url, timeout_s=0.2) as twilio,
    ):
        with pytest.raises(TwilioApiError) as caught:
            await twilio.account()
        never.set()

    expected = f"Twilio: fetching the account failed: 127.0.0.1:{served.port} did not answer in 0.2 s"
    assert expected == str(caught.value)


async def test_nobody_there_is_told(unused_tcp_port):
    twilio = TwilioRest("AC1", "u", "s", base_url=f"http://127.0.0.1:{unused_tcp_port}")
    async with twilio:
        with pytest.raises(TwilioApiError, match="fetching the account failed: 127.0.0.1:.* cannot be reached$"):
            await twilio.account()


async def test_the_environment_does_not_move_the_host(monkeypatch):
    monkeypatch.setenv("TWILIO_EDGE", "dublin")
    monkeypatch.setenv("TWILIO_REGION", "ie1")

    async with connected(twilio_api(exchange_with(ONE))) as twilio:
        found = await twilio.find_number()

    assert found.number == ONE


@pytest.mark.parametrize("url", ["http://api.twilio.com", "ftp://127.0.0.1", "api.twilio.com"])
def test_the_secret_is_never_sent_in_the_clear(url):
    with pytest.raises(ValueError, match="twilio.api_base_url is .*: it must be https"):
        TwilioRest("AC1", "u", "s", base_url=url)
