"""The webhooks: nothing for strangers, TwiML for Twilio, one row a call."""

import asyncio
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import httpx
import pytest

from archer_bridge.errors import StoreUnavailable
from archer_bridge.models import CallEnd, CallRow, CallState, Outcome
from tests.support.twilio import CALL_SID, post, signature, voice_form
from tests.support.virtual import virtual
from tests.support.world import PUBLIC, STRANGER, World, world

INCOMING = "/webhooks/twilio/incoming"
ENDED = "/webhooks/twilio/stream-ended"
STATUS = "/webhooks/twilio/status"
ROUTES = [INCOMING, ENDED, STATUS, "/webhooks/twilio/stream-status"]


def verbs(response: httpx.Response) -> list[str]:
    assert response.status_code == 200
    assert response.headers["content-type"].startswith("text/xml")
    return [child.tag for child in ElementTree.fromstring(response.text)]


def parameters(response: httpx.Response) -> dict[str, str]:
    root = ElementTree.fromstring(response.text)
    return {item.attrib["name"]: item.attrib["value"] for item in root.iter("Parameter")}


@virtual
async def test_an_incoming_call_is_recorded_and_connected(tmp_path: Path) -> None:
    async with world(tmp_path) as here:
        response = await post(here, INCOMING, voice_form())
        row = await here.store.get_call(CALL_SID)

        assert verbs(response) == ["Connect", "Say", "Redirect"]
        stream = ElementTree.fromstring(response.text).find("Connect/Stream")
        assert stream is not None
        assert stream.attrib["url"] == "wss://bridge.example.test/ws/cartesia"
        given = parameters(response)
        assert (given["call_sid"], given["customer_id"], given["customer_phone"]) == (
            CALL_SID,
            "demo-dana-reyes",
            "+15550100001",
        )
        assert row is not None
        assert (row.state, row.outcome, row.customer_id) == (CallState.CREATED, None, "demo-dana-reyes")
        assert here.simulator.feed.named("session_started") == []


@pytest.mark.parametrize("path", ROUTES)
@virtual
async def test_strangers_get_403_and_change_nothing(path: str, tmp_path: Path) -> None:
    form = voice_form()
    async with world(tmp_path) as here:
        answers = [
            await post(here, path, form, {}),
            await post(here, path, form, {"X-Twilio-Signature": ""}),
            await post(here, path, form, {"X-Twilio-Signature": signature(path, form, "wrong-token")}),
            await post(here, path, voice_form(From=STRANGER), {"X-Twilio-Signature": signature(path, form)}),
            await post(here, path, form, {"X-Twilio-Signature": signature(path, form), "Host": "evil"}, json=None),
        ]

        assert [answer.status_code for answer in answers[:4]] == [403] * 4
        assert {answer.content for answer in answers[:4]} == {b""}
        if path != INCOMING:
            assert await here.store.list_calls() == []
        assert sum(here.service.gate.counts.values()) == 4


@virtual
async def test_the_host_header_is_never_believed(tmp_path: Path) -> None:
    form = voice_form()
    async with world(tmp_path) as here:
        forged = {"Host": "evil.example.com", "X-Forwarded-Host": "evil.example.com", "X-Forwarded-Proto": "http"}
        good = await post(here, INCOMING, form, {**forged, "X-Twilio-Signature": signature(INCOMING, form)})

        assert "bridge.example.test" in good.text
        assert "evil" not in good.text


@pytest.mark.parametrize(
    "form",
    [
        pytest.param({"From": "+1"}, id="no-call-sid"),
        pytest.param(voice_form(CallSid="CA12"), id="short-call-sid"),
        pytest.param(voice_form(CallSid="../../etc/passwd"), id="path"),
        pytest.param(voice_form(From=""), id="no-from"),
    ],
)
@virtual
async def test_a_signed_form_without_its_facts_is_400(form: dict[str, str], tmp_path: Path) -> None:
    async with world(tmp_path) as here:
        response = await post(here, INCOMING, form)

        assert response.status_code == 400
        assert await here.store.list_calls() == []


@virtual
async def test_duplicates_share_one_row_and_get_a_fresh_token(tmp_path: Path) -> None:
    async with world(tmp_path) as here:
        answers = await asyncio.gather(*(post(here, INCOMING, voice_form()) for _ in range(5)))
        rows = await here.store.list_calls()

        assert len(rows) == 1
        assert {tuple(verbs(answer)) for answer in answers} == {("Connect", "Say", "Redirect")}
        assert len({parameters(answer)["token"] for answer in answers}) == 5


@virtual
async def test_an_unknown_number_is_told_so_and_costs_nothing(tmp_path: Path) -> None:
    async with world(tmp_path) as here:
        response = await post(here, INCOMING, voice_form(From=STRANGER))
        row = await here.store.get_call(CALL_SID)

        assert verbs(response) == ["Say", "Hangup"]
        assert "could not match the number" in response.text
        assert row is not None
        assert row.outcome is Outcome.UNKNOWN_CALLER
        assert here.simulator.counters.connections == 0


@virtual
async def test_a_full_bridge_says_busy_in_time(tmp_path: Path) -> None:
    async with world(tmp_path, ARCHER_SERVER__MAX_CALLS="1") as here:
        here.service.live.reserve("CA" + "9" * 32)
        response = await post(here, INCOMING, voice_form())
        row = await here.store.get_call(CALL_SID)

        assert verbs(response) == ["Say", "Hangup"]
        assert "busy" in response.text
        assert row is not None
        assert row.outcome is Outcome.BUSY


@virtual
async def test_a_large_body_is_refused_before_it_is_parsed(tmp_path: Path) -> None:
    async with world(tmp_path) as here:
        response = await post(here, INCOMING, voice_form(CallerName="x" * 70_000))

        assert response.status_code == 413
        assert await here.store.list_calls() == []


@pytest.mark.parametrize(
    ("outcome", "settings", "expected"),
    [
        pytest.param(Outcome.COMPLETED, {}, ["Hangup"], id="completed"),
        pytest.param(Outcome.VERIFICATION_FAILED, {}, ["Hangup"], id="verification-failed"),
        pytest.param(Outcome.VENDOR_LOST, {}, ["Say", "Hangup"], id="vendor-lost-apologises"),
        pytest.param(Outcome.ORPHANED, {}, ["Say", "Hangup"], id="orphaned-apologises"),
        pytest.param(Outcome.MAX_DURATION, {}, ["Say", "Hangup"], id="too-long-says-so"),
        pytest.param(Outcome.DRAINED, {}, ["Say", "Hangup"], id="drained-says-so"),
        pytest.param(Outcome.CALLER_HANGUP, {}, ["Hangup"], id="hung-up"),
        pytest.param(Outcome.CALLER_HANGUP, {"CallStatus": "in-progress"}, ["Say", "Hangup"], id="not-hung-up-at-all"),
        pytest.param(Outcome.TRANSFERRED, {}, ["Say", "Hangup"], id="transfer-without-a-number"),
        pytest.param(
            Outcome.TRANSFERRED, {"ARCHER_TWILIO__TRANSFER_TO": "+15550100200"}, ["Dial"], id="transfer-dials"
        ),
    ],
)
@virtual
async def test_what_follows_the_stream(
    outcome: Outcome, settings: dict[str, str], expected: list[str], tmp_path: Path
) -> None:
    form = voice_form(CallStatus=settings.pop("CallStatus", "completed"))
    async with world(tmp_path, **settings) as here:
        await post(here, INCOMING, voice_form())
        await here.store.end_call(CALL_SID, CallEnd(outcome, "test"))

        assert verbs(await post(here, ENDED, form)) == expected
        assert verbs(await post(here, ENDED, form)) == expected


@pytest.mark.parametrize(
    ("setting", "wanted", "number", "said"),
    [
        pytest.param("", {"to": "+15550107777", "announce": ""}, "+15550107777", [], id="the-tools-number"),
        pytest.param("+15550100200", {"to": "", "announce": "Hold on."}, "+15550100200", ["Hold on."], id="announced"),
        pytest.param("+15550100200", {"to": "+15550107777"}, "+15550107777", [], id="the-tools-number-first"),
    ],
)
@virtual
async def test_a_transfer_dials_whom_the_tool_named(
    setting: str, wanted: dict[str, str], number: str, said: list[str], tmp_path: Path
) -> None:
    async with world(tmp_path, ARCHER_TWILIO__TRANSFER_TO=setting) as here:
        await post(here, INCOMING, voice_form())
        await here.store.end_call(CALL_SID, CallEnd(Outcome.TRANSFERRED, "asked", 1, {"transfer": wanted}))
        document = ElementTree.fromstring((await post(here, ENDED, voice_form(CallStatus="in-progress"))).text)

        assert [verb.text for verb in document.iter("Say")] == said
        assert [verb.text for verb in document.iter("Number")] == [number]


@pytest.mark.parametrize(("dialled", "expected"), [("completed", ["Hangup"]), ("no-answer", ["Say", "Hangup"])])
@virtual
async def test_after_a_transfer(dialled: str, expected: list[str], tmp_path: Path) -> None:
    async with world(tmp_path) as here:
        await post(here, INCOMING, voice_form())
        response = await post(here, ENDED, voice_form(DialCallStatus=dialled, DialBridged="true"))
        await here.store.flush()
        kinds = [event.kind for event in await here.store.events(CALL_SID)]

        assert verbs(response) == expected
        assert "dialled" in kinds


@virtual
async def test_a_call_that_never_streamed_ends_by_its_status(tmp_path: Path) -> None:
    async with world(tmp_path) as here:
        await post(here, INCOMING, voice_form())
        await post(here, STATUS, voice_form(CallStatus="in-progress"))
        before = await here.store.get_call(CALL_SID)
        await post(here, STATUS, voice_form(CallStatus="completed"))
        after = await here.store.get_call(CALL_SID)

        assert before is not None
        assert before.state is CallState.CREATED
        assert after is not None
        assert after.outcome is Outcome.NO_STREAM


@virtual
async def test_a_last_status_that_comes_while_the_record_is_away_is_kept_and_ends_the_call(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with world(tmp_path) as here:
        await post(here, INCOMING, voice_form())
        read, tries = here.store.get_call, iter(range(3))

        async def away(call_sid: str) -> CallRow | None:
            if next(tries, None) is not None:
                raise StoreUnavailable("the connection was cut")
            return await read(call_sid)

        monkeypatch.setattr(here.store, "get_call", away)
        answer = await post(here, STATUS, voice_form(CallStatus="completed"))
        row = await read(CALL_SID)
        await here.store.flush()
        kinds = [event.kind for event in await here.store.events(CALL_SID)]

        assert answer.status_code == 200
        assert row is not None
        assert row.outcome is Outcome.NO_STREAM
        assert "twilio_status" in kinds


@virtual
async def test_status_of_a_call_nobody_knows_changes_nothing(tmp_path: Path) -> None:
    async with world(tmp_path) as here:
        assert (await post(here, STATUS, voice_form(CallStatus="completed"))).status_code == 200
        assert await here.store.list_calls() == []


@virtual
async def test_while_the_engine_is_in_trouble_new_calls_hear_busy_and_one_may_try(tmp_path: Path) -> None:
    async with world(tmp_path, ARCHER_CARTESIA__BREAKER_OPEN_S="5") as here:
        breaker = here.service.breaker
        assert breaker is not None
        breaker.failed(429, "refused with HTTP 429")
        shed = await post(here, INCOMING, voice_form())
        unready = await get(here, "/readyz")
        row = await here.store.get_call(CALL_SID)
        await asyncio.sleep(5)
        ready = await get(here, "/readyz")
        sids = ["CA" + digit * 32 for digit in "234"]
        tries = [verbs(await post(here, INCOMING, voice_form(CallSid=sid)))[0] for sid in sids]

        assert verbs(shed) == ["Say", "Hangup"]
        assert "busy" in shed.text
        assert row is not None
        assert (row.outcome, row.reason) == (Outcome.BUSY, "the engine is in trouble")
        assert (unready.status_code, unready.json()["reasons"]) == (503, ["breaker"])
        assert ready.status_code == 200
        assert tries == ["Connect", "Say", "Say"]


async def get(here: World, path: str) -> httpx.Response:
    async with httpx.AsyncClient(base_url=here.bridge.http_url, trust_env=False) as client:
        return await client.get(path)


@virtual
async def test_health_and_readiness(tmp_path: Path) -> None:
    async with world(tmp_path) as here:
        assert (await get(here, "/healthz")).json()["status"] == "ok"
        assert (await get(here, "/readyz")).status_code == 200

        here.service.live.drain()
        assert (await get(here, "/healthz")).status_code == 200
        drained = await get(here, "/readyz")
        assert (drained.status_code, drained.json()["reasons"]) == (503, ["draining"])


@virtual
async def test_nothing_else_is_on_the_public_port(tmp_path: Path) -> None:
    async with world(tmp_path) as here:
        for path in ["/", "/metrics", "/api/calls", "/api/drain", "/docs", "/openapi.json", INCOMING]:
            assert (await get(here, path)).status_code in {404, 405}, path
        assert PUBLIC.startswith("https://")
