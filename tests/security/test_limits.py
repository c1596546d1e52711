"""Limits: strangers cost nothing, one number and one day have a bound, and a live call notices none of it."""

import asyncio
from datetime import timedelta
from pathlib import Path

import pytest
from structlog.testing import capture_logs
from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed, InvalidStatus

from archer_bridge.adapters.sql.types import utc_now
from archer_bridge.calls.registry import PROMISED_S
from archer_bridge.devkit.phone import Caller
from archer_bridge.models import CallEnd, CallState, NewCall, Outcome
from archer_bridge.web.stream import UNAUTHENTICATED_LIMIT
from tests.support.asgi import ask
from tests.support.streams import message, open_stream, start_message, stream_token
from tests.support.twilio import CALL_SID, post, voice_form
from tests.support.virtual import virtual
from tests.support.world import DANA, PUBLIC, SAM, World, world

INCOMING = "/webhooks/twilio/incoming"
STRANGERS = 100


async def until_closed(socket: ClientConnection) -> int | None:
    """Return the close code."""
    try:
        while True:
            await socket.recv()
    except ConnectionClosed as closed:
        return closed.rcvd.code if closed.rcvd else None


@virtual
async def test_silent_strangers_are_closed_in_time_and_a_live_call_loses_nothing(tmp_path: Path) -> None:
    loop = asyncio.get_running_loop()

    async def talk(caller: Caller) -> None:
        await caller.wait(7)
        await caller.hang_up()

    async with world(tmp_path) as here:
        call = asyncio.create_task(here.call(talk))
        await here.simulator.feed.expect("session_started")
        rows, vendor = len(await here.store.list_calls()), here.simulator.counters.connections
        began = loop.time()
        sockets = await asyncio.gather(*(open_stream(here) for _ in range(STRANGERS)))
        for number, socket in enumerate(sockets):
            if number % 3 == 0:
                await socket.send(message("connected", 0, protocol="Call", version="1.0.0"))
            if number % 3 == 1:
                await socket.send(start_message("v1.no.such.token.at.all"))
        codes = await asyncio.gather(*(until_closed(socket) for socket in sockets))
        took = loop.time() - began
        await call

        assert set(codes) == {1008}
        assert took < 6
        assert here.service.unauthenticated == 0
        assert (rows, vendor) == (len(await here.store.list_calls()), here.simulator.counters.connections)
        row = (await here.store.list_calls())[0]
        assert (row.numbers["frames_missing"], row.numbers["bad_frames"]) == (0, {})
        assert row.numbers["frames_in"] >= 50 * 6


@virtual
async def test_unproved_sockets_are_capped(tmp_path: Path) -> None:
    async with world(tmp_path) as here:
        sockets = await asyncio.gather(*(open_stream(here) for _ in range(UNAUTHENTICATED_LIMIT)))
        with pytest.raises(InvalidStatus) as caught:
            await open_stream(here)
        codes = await asyncio.gather(*(until_closed(socket) for socket in sockets))
        later = await open_stream(here)

        assert caught.value.response.status_code == 403
        assert here.service.gate.counts["socket", "too_many"] == 1
        assert set(codes) == {1008}
        await later.close()


@pytest.mark.parametrize("size", [1 << 17, 1 << 24])
@virtual
async def test_a_body_bomb_is_refused_by_its_size(size: int, tmp_path: Path) -> None:
    async with world(tmp_path) as here:
        headers = [(b"content-type", b"application/x-www-form-urlencoded")]
        status, _ = await ask(here.app, INCOMING, headers=headers, body=b"a=" + b"x" * size)

        assert status == 413


@pytest.mark.parametrize(
    "frame",
    [
        pytest.param("x" * 70_000, id="large"),
        pytest.param("[" * 60_000, id="nested"),
        pytest.param('{"event":"start","streamSid":' + "9" * 60_000 + "}", id="digits"),
    ],
)
@virtual
async def test_frame_bombs_before_the_start_end_the_socket_only(frame: str, tmp_path: Path) -> None:
    async with world(tmp_path) as here:
        socket = await open_stream(here)
        await socket.send(frame)
        code = await until_closed(socket)

        assert code == (1009 if len(frame) > 65536 else 1008)
        assert here.service.unauthenticated == 0


async def outcome(here: World, call_sid: str, number: str) -> Outcome | None:
    """Ring and return how the call ended at once, if it did."""
    await post(here, INCOMING, voice_form(CallSid=call_sid, From=number))
    row = await here.store.get_call(call_sid)
    assert row is not None
    return row.outcome


@virtual
async def test_one_number_has_so_many_calls_and_others_are_not_touched(tmp_path: Path) -> None:
    async with world(tmp_path, ARCHER_CALLS__PER_NUMBER="1") as here:
        socket = await open_stream(here)
        await socket.send(start_message(await stream_token(here)))
        await here.simulator.feed.expect("session_started")
        same, other = await outcome(here, "CA" + "a" * 32, DANA), await outcome(here, "CA" + "b" * 32, SAM)
        repeated = await outcome(here, CALL_SID, DANA)
        await socket.close()
        row = await here.store.get_call("CA" + "a" * 32)

        assert (same, other, repeated) == (Outcome.BUSY, None, None)
        assert row is not None
        assert row.reason == "1 live calls of this number"


@pytest.mark.parametrize(
    ("settings", "admitted"),
    [
        pytest.param({"ARCHER_SERVER__MAX_CALLS": "3"}, 3, id="lines"),
        pytest.param({"ARCHER_CALLS__PER_NUMBER": "2"}, 2, id="of-one-number"),
        pytest.param(
            {"ARCHER_SERVER__MAX_CALLS": "3", "ARCHER_CALLS__DAILY_MINUTES": "9"}, 3, id="with-a-budget-to-read"
        ),
    ],
)
@virtual
async def test_a_burst_of_webhooks_admits_no_more_than_there_is_room_for(
    settings: dict[str, str], admitted: int, tmp_path: Path
) -> None:
    """Their streams are still on their way when the next webhooks come."""
    async with world(tmp_path, **settings) as here:
        sids = [f"CA{number:032x}" for number in range(12)]
        burst = await asyncio.gather(*(outcome(here, sid, DANA) for sid in sids))
        again = await asyncio.gather(*(outcome(here, sid, DANA) for sid in sids))
        await asyncio.sleep(PROMISED_S + 1)  # no stream came
        later = await outcome(here, "CA" + "e" * 32, DANA)

        assert burst.count(None) == admitted
        assert set(burst) == {None, Outcome.BUSY}
        assert again == burst  # a repeated webhook takes no second place
        assert later is None


@pytest.mark.parametrize(
    ("minutes", "expected", "told"),
    [
        pytest.param(7, None, [], id="room"),
        pytest.param(8, None, ["warning"], id="warned-once"),
        pytest.param(10, Outcome.BUSY, ["error"], id="used-up"),
    ],
)
@virtual
async def test_a_day_has_so_many_minutes(
    minutes: int, expected: Outcome | None, told: list[str], tmp_path: Path
) -> None:
    async with world(tmp_path, ARCHER_CALLS__DAILY_MINUTES="10") as here:
        await here.store.open_call(NewCall("CA" + "c" * 32, "AC", DANA, "+1"))
        await here.store.end_call("CA" + "c" * 32, CallEnd(Outcome.COMPLETED, "", minutes * 60_000))
        with capture_logs() as lines:
            ends = [await outcome(here, f"CA{number:032x}", DANA) for number in range(2)]

        assert ends == [expected, expected]
        assert [line["log_level"] for line in lines if line["event"] == "minutes_budget"] == told


@virtual
async def test_yesterday_does_not_count(tmp_path: Path) -> None:
    async with world(tmp_path) as here:
        await here.store.open_call(NewCall(CALL_SID, "AC", DANA, "+1"))
        await here.store.end_call(CALL_SID, CallEnd(Outcome.COMPLETED, "", 60_000))
        now = utc_now()

        assert await here.store.talk_seconds(now - timedelta(minutes=1)) == 60
        assert await here.store.talk_seconds(now + timedelta(minutes=1)) == 0


@virtual
async def test_proxy_headers_are_not_believed(tmp_path: Path) -> None:
    spoofed = {
        "X-Forwarded-Host": "evil.example.org",
        "X-Forwarded-Proto": "http",
        "Forwarded": "host=evil.example.org",
    }
    async with world(tmp_path) as here:
        token_page = await post(here, INCOMING, voice_form())
        again = await post(here, INCOMING, voice_form(), {**spoofed, "X-Twilio-Signature": "x"})

        assert again.status_code == 403
        assert PUBLIC.removeprefix("https://") in token_page.text
        assert "evil" not in token_page.text


@virtual
async def test_a_refused_stream_does_not_touch_its_victims_call(tmp_path: Path) -> None:
    async with world(tmp_path) as here:
        token = await stream_token(here)
        socket = await open_stream(here)
        await socket.send(start_message(token))
        await here.simulator.feed.expect("session_started")
        before = await here.store.get_call(CALL_SID)
        for hostile in (token, token[:-1] + "A", "v1.x", ""):
            newcomer = await open_stream(here)
            await newcomer.send(start_message(hostile))
            assert await until_closed(newcomer) == 1008
        after = await here.store.get_call(CALL_SID)
        await socket.close()

        assert before is not None
        assert after is not None
        assert (before.stream_sid, before.owner_id) == (after.stream_sid, after.owner_id)
        assert after.state in {CallState.CONNECTING, CallState.ACTIVE}
