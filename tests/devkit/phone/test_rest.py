"""The REST stub, driven by the official SDK and by plain requests."""

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urlencode

import pytest
from starlette.responses import Response
from twilio.base.exceptions import TwilioRestException
from twilio.http.async_http_client import AsyncTwilioHttpClient
from twilio.rest import Client

from archer_bridge.devkit.phone import (
    DEMO_ACCOUNT,
    Caller,
    Exchange,
    Number,
    PhoneOptions,
    make_route,
    twilio_rest,
)
from archer_bridge.devkit.phone.http import Route, request
from archer_bridge.devkit.phone.interrupt import Goto
from archer_bridge.devkit.phone.options import HttpPolicy
from archer_bridge.devkit.serving import serving
from tests.devkit.phone.bridge import (
    CALLED,
    CALLER,
    PUBLIC,
    Bridge,
    Peer,
    connect,
    make_phone,
    started,
    tone,
    twiml,
    words,
)
from tests.support.virtual import virtual

# The SDK's own use of aiohttp (twilio 9.13.0 with aiohttp 3.14).
pytestmark = [
    pytest.mark.filterwarnings("ignore:BasicAuth is deprecated:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:The 'auth' parameter is deprecated:DeprecationWarning"),
]

BASE = f"/2010-04-01/Accounts/{DEMO_ACCOUNT.account_sid}"
TONES = PhoneOptions(voice="tones")


@asynccontextmanager
async def sdk(exchange: Exchange, *, by_key: bool = False) -> AsyncIterator[Client]:
    account = DEMO_ACCOUNT
    user, secret = (account.api_key, account.api_secret) if by_key else (account.account_sid, account.auth_token)
    async with serving(twilio_rest(account, exchange)) as served:
        http = AsyncTwilioHttpClient()
        client = Client(user, secret, account.account_sid, http_client=http)
        client.api.base_url = served.http_url
        try:
            yield client
        finally:
            await http.close()


@pytest.mark.parametrize("by_key", [False, True], ids=["auth token", "API key"])
@virtual
async def test_the_sdk_hangs_up_a_live_call(by_key):
    bridge = Bridge({"/voice": [connect("<Say>never</Say>")]})
    exchange = Exchange(DEMO_ACCOUNT)
    statuses: list[str] = []

    async with serving(bridge.app) as served, sdk(exchange, by_key=by_key) as client:

        async def script(caller: Caller) -> None:
            await caller.wait(1)
            (sid,) = exchange.calls
            statuses.append((await client.calls(sid).fetch_async()).status)
            await client.calls(sid).update_async(status="completed")
            await caller.ended.wait()

        report = await make_phone(served, exchange=exchange).call(script)
        statuses.append((await client.calls(report.call_sid).fetch_async()).status)
        with pytest.raises(TwilioRestException) as caught:
            await client.calls(report.call_sid).update_async(status="completed")

    assert (report.ended_by, report.verbs) == ("rest", ("Connect",))
    assert bridge.peers[0].received[-1]["event"] == "stop"
    assert statuses == ["in-progress", "completed"]
    assert (caught.value.status, caught.value.code) == (400, 21220)


@pytest.mark.parametrize(
    "target",
    [
        pytest.param({"twiml": "<Response><Say>Transfer.</Say><Hangup/></Response>"}, id="Twiml"),
        pytest.param({"url": f"{PUBLIC}/transfer"}, id="Url"),
    ],
)
@virtual
async def test_the_sdk_redirects_a_live_call(target):
    bridge = Bridge({"/voice": [connect("<Say>never</Say>", attributes=" action='/never'")]})
    bridge.answers["/transfer"] = [twiml("<Say>Transfer.</Say><Hangup/>")]
    exchange = Exchange(DEMO_ACCOUNT)

    async with serving(bridge.app) as served, sdk(exchange) as client:

        async def script(caller: Caller) -> None:
            await caller.wait(1)
            await client.calls(next(iter(exchange.calls))).update_async(**target)
            await caller.ended.wait()

        report = await make_phone(served, exchange=exchange).call(script)

    assert report.verbs == ("Connect", "Say", "Hangup")
    assert [message["event"] for message in bridge.peers[0].received][-1] == "stop"
    assert report.streams[0].end.by == "rest"
    assert words(report.heard[round(report.streams[0].end_ms * 8) :]) == "Transfer."
    assert bridge.forms("/never") == []


@virtual
async def test_the_sdk_places_a_call():
    async def agent(peer: Peer) -> None:
        await started(peer)
        await peer.media(tone(200))
        await peer.mark("m")
        await peer.until("mark")

    bridge = Bridge({"/outbound": [connect("<Hangup/>")], "/status": [Response(status_code=204)]}, agent)
    async with serving(bridge.app) as served:
        route = make_route(PUBLIC, (served.host, served.port))
        async with Exchange(DEMO_ACCOUNT, route=route, options=TONES) as exchange, sdk(exchange) as client:
            made = await client.calls.create_async(
                to=CALLER,
                from_=CALLED,
                url=f"{PUBLIC}/outbound",
                status_callback=f"{PUBLIC}/status",
                status_callback_event=["answered", "completed"],
            )
            while made.sid not in exchange.reports:
                await asyncio.sleep(0.1)
            listed = await client.calls.list_async(to=CALLER)

    report = exchange.reports[made.sid]
    (form,) = bridge.forms("/outbound")
    assert made.status == "queued"
    assert (form["Direction"], form["CallStatus"], form["From"], form["To"]) == (
        "outbound-api",
        "in-progress",
        CALLED,
        CALLER,
    )
    assert [segment.data for segment in report.played] == [tone(200)]
    assert sorted(f["CallStatus"] for f in bridge.forms("/status")) == ["completed", "in-progress"]
    assert [call.sid for call in listed] == [made.sid]


@virtual
async def test_the_sdk_points_a_number_at_a_new_webhook():
    exchange = Exchange(DEMO_ACCOUNT, numbers=(Number(CALLED), Number("+15550100077")))

    async with sdk(exchange) as client:
        (found,) = await client.incoming_phone_numbers.list_async(phone_number=CALLED)
        await client.incoming_phone_numbers(found.sid).update_async(
            voice_url="https://t.example.test/v", voice_method="POST"
        )
        fetched = await client.incoming_phone_numbers(found.sid).fetch_async()
        everything = await client.incoming_phone_numbers.list_async()

    assert (fetched.phone_number, fetched.voice_url) == (CALLED, "https://t.example.test/v")
    assert len(everything) == 2
    assert exchange.numbers[found.sid].voice_url == "https://t.example.test/v"


async def ask(
    method: str, path: str, form: dict[str, str] | None = None, *, auth: tuple[str, str] | None = None
) -> tuple[int, dict[str, Any]]:
    stub = twilio_rest(DEMO_ACCOUNT, Exchange(DEMO_ACCOUNT, numbers=(Number(CALLED, sid="PN1"),)))
    user, password = auth or (DEMO_ACCOUNT.account_sid, DEMO_ACCOUNT.auth_token)
    headers = [
        ("Authorization", "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()),
        ("Content-Type", "application/x-www-form-urlencoded"),
    ]
    async with serving(stub) as served:
        response = await request(
            method,
            served.http_url + path,
            headers=headers,
            body=urlencode(form or {}).encode(),
            route=Route({}),
            policy=HttpPolicy(),
        )
    return response.status, json.loads(response.body)


@pytest.mark.parametrize(
    ("method", "path", "form", "status", "code"),
    [
        pytest.param("GET", f"{BASE}/Calls/CA404.json", None, 404, 20404, id="no such call"),
        pytest.param("POST", f"{BASE}/Calls/CA404.json", {"Status": "completed"}, 404, 20404, id="update of none"),
        pytest.param("GET", f"{BASE}/IncomingPhoneNumbers/PN2.json", None, 404, 20404, id="no such number"),
        pytest.param("POST", f"{BASE}/IncomingPhoneNumbers/PN2.json", {}, 404, 20404, id="update of no number"),
        pytest.param("GET", "/2010-04-01/Accounts/ACother/Calls.json", None, 404, 20404, id="another account"),
        pytest.param("POST", f"{BASE}/Calls.json", {"From": "+1", "Url": "https://h"}, 400, 21201, id="no To"),
        pytest.param("POST", f"{BASE}/Calls.json", {"To": "+1", "Url": "https://h"}, 400, 21213, id="no From"),
        pytest.param("POST", f"{BASE}/Calls.json", {"To": "+1", "From": "+2"}, 400, 21205, id="no Url"),
        pytest.param(
            "POST", f"{BASE}/Calls.json", {"To": "+1", "From": "+2", "Url": "h", "Twiml": "t"}, 400, 21205, id="both"
        ),
        pytest.param(
            "POST", f"{BASE}/Calls.json", {"To": "+1", "From": "+2", "Twiml": "t" * 4001}, 400, 21219, id="long Twiml"
        ),
        pytest.param(
            "POST",
            f"{BASE}/Calls.json",
            {"To": "+1", "From": "+2", "Url": "h", "StatusCallbackEvent": "nope"},
            400,
            21626,
            id="unknown event",
        ),
    ],
)
@virtual
async def test_refusals(method, path, form, status, code):
    found, body = await ask(method, path, form)

    assert (status, status, code) == (found, body["status"], body["code"])


@pytest.mark.parametrize(
    "auth",
    [
        pytest.param((DEMO_ACCOUNT.account_sid, "wrong"), id="wrong token"),
        pytest.param((DEMO_ACCOUNT.api_key, DEMO_ACCOUNT.auth_token), id="key with the token"),
        pytest.param(("", ""), id="nobody"),
    ],
)
@virtual
async def test_credentials_are_checked(auth):
    status, body = await ask("GET", f"{BASE}/Calls.json", auth=auth)

    assert (status, body["code"]) == (401, 20003)


@virtual
async def test_a_live_call_takes_exactly_one_instruction():
    bridge = Bridge({"/voice": [connect()]})
    exchange = Exchange(DEMO_ACCOUNT)
    codes: list[int] = []

    async with serving(bridge.app) as served, sdk(exchange) as client:

        async def script(caller: Caller) -> None:
            await caller.wait(0.5)
            for fields in (
                {"url": "https://h", "twiml": "<Response/>"},
                {"status": "completed", "url": "https://h"},
                {},
            ):
                with pytest.raises(TwilioRestException) as caught:
                    await client.calls(next(iter(exchange.calls))).update_async(**fields)
                codes.append(caught.value.code)
            await caller.hang_up()

        report = await make_phone(served, exchange=exchange).call(script)

    assert codes == [21218, 21218, 21218]
    assert report.ended_by == "caller"


@virtual
async def test_an_exchange_that_is_not_open_places_no_call():
    with pytest.raises(RuntimeError, match="the exchange is not open"):
        Exchange(DEMO_ACCOUNT).place(CALLED, CALLER, Goto(f"{PUBLIC}/x"))
