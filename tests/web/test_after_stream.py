"""What follows a stream: a verdict of this process, the record's, or another stream; whoever is asked."""

import asyncio
import json
import xml.etree.ElementTree as ElementTree
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import httpx
import pytest
from websockets.asyncio.client import ClientConnection

from archer_bridge.adapters.fast_client import dial_fast
from archer_bridge.adapters.server import PatientFastProtocol
from archer_bridge.app import create_app
from archer_bridge.calls.before import UNKNOWN_TURNS
from archer_bridge.calls.record_keeper import Verdict
from archer_bridge.devkit.serving import serving
from archer_bridge.errors import StoreUnavailable
from archer_bridge.models import CallEnd, CallState, Outcome, Transfer, Turn
from tests.support.streams import FRAME, STREAM_SID, message, open_stream, start_message, stream_token
from tests.support.twilio import CALL_SID, post, voice_form
from tests.support.virtual import virtual
from tests.support.world import World, settings_for, world

ENDED = "/webhooks/twilio/stream-ended"
STATUS = "/webhooks/twilio/status"
ON_THE_LINE = voice_form(CallStatus="in-progress")


def verbs(response: httpx.Response) -> list[str]:
    assert response.status_code == 200
    return [child.tag for child in ElementTree.fromstring(response.text)]


def token_of(response: httpx.Response) -> str:
    root = ElementTree.fromstring(response.text)
    return next(item.attrib["value"] for item in root.iter("Parameter") if item.attrib["name"] == "token")


async def talking(here: World, token: str, stream_sid: str = STREAM_SID) -> ClientConnection:
    """Open a stream that proves itself, and wait until its call is active."""
    socket = await open_stream(here)
    start = start_message(token).replace(STREAM_SID, stream_sid)
    await socket.send('{"event":"connected","protocol":"Call","version":"1.0.0"}')
    await socket.send(start)
    for number in range(20):
        await socket.send(json.dumps(json.loads(frame(number)) | {"streamSid": stream_sid}))
        await asyncio.sleep(0.02)
    while (row := await here.store.get_call(CALL_SID)) is None or row.state is not CallState.ACTIVE:
        await asyncio.sleep(0.05)
    return socket


def frame(number: int) -> str:
    media = {"track": "inbound", "chunk": str(number + 1), "timestamp": str(number * 20), "payload": FRAME}
    return message("media", number + 2, media=media)


@asynccontextmanager
async def another_process(here: World) -> AsyncIterator[World]:
    """A second bridge on the same record and the same agent."""
    settings = settings_for(here.served_simulator, "sqlite:///unused.db")
    app = create_app(settings, store=here.store, dialer=dial_fast, isolate_tools=False)
    async with serving(app, ws=PatientFastProtocol) as bridge:
        yield replace(here, app=app, bridge=bridge)


@virtual
async def test_a_call_goes_on_in_another_process(tmp_path: Path) -> None:
    async with world(tmp_path) as here, another_process(here) as there:
        first = await talking(here, await stream_token(here))
        answer = await post(there, ENDED, ON_THE_LINE)
        waiting = await here.store.get_call(CALL_SID)
        second = await talking(there, token_of(answer), "MZ" + "2" * 32)
        first.transport.abort()
        await here.settled()
        row = await here.store.get_call(CALL_SID)
        sessions = len(here.simulator.calls)
        await second.close()
        await there.settled()
        ended = await here.store.get_call(CALL_SID)

        assert verbs(answer) == ["Connect", "Say", "Redirect"]
        assert waiting is not None
        assert (waiting.state, waiting.stream_sid, waiting.owner_id) == (CallState.CREATED, None, None)
        assert row is not None
        assert (row.state, row.stream_sid) == (CallState.ACTIVE, "MZ" + "2" * 32)
        assert row.owner_id == there.service.owner_id
        assert sessions == 2
        assert ended is not None
        assert ended.outcome is Outcome.CALLER_HANGUP
        assert (here.service.live.ended, there.service.live.ended) == ({}, {"caller_hangup": 1})
        assert (await here.store.check()).problems == ()


@virtual
async def test_a_question_played_back_ends_no_live_call(tmp_path: Path) -> None:
    async with world(tmp_path) as here:
        socket = await talking(here, await stream_token(here))
        asking = asyncio.create_task(post(here, ENDED, ON_THE_LINE), name="asking")
        for number in range(20, 120):
            await socket.send(frame(number))
            await asyncio.sleep(0.02)
        answer = await asking
        row = await here.store.get_call(CALL_SID)
        alive = CALL_SID in here.service.live
        await socket.close()
        await here.settled()

        assert verbs(answer) == []
        assert alive
        assert row is not None
        assert row.state is CallState.ACTIVE
        assert here.service.gate.counts["webhook", "live_stream"] == 1


@virtual
async def test_a_stream_that_is_silent_when_twilio_asks_is_over(tmp_path: Path) -> None:
    async with world(tmp_path) as here:
        socket = await talking(here, await stream_token(here))
        await asyncio.sleep(1)
        answer = await post(here, ENDED, ON_THE_LINE)
        row = await here.store.get_call(CALL_SID)
        socket.transport.abort()

        assert verbs(answer) == ["Connect", "Say", "Redirect"]
        assert row is not None
        assert row.state is CallState.CREATED
        assert CALL_SID not in here.service.live


@virtual
async def test_a_call_goes_on_twice_and_no_more(tmp_path: Path) -> None:
    async with world(tmp_path) as here:
        token, answers = await stream_token(here), []
        for number in range(3):
            socket = await talking(here, token, f"MZ{number}" + "2" * 31)
            socket.transport.abort()
            answers.append(await post(here, ENDED, ON_THE_LINE))
            token = token_of(answers[-1]) if number < 2 else ""
        await here.settled()
        row = await here.store.get_call(CALL_SID)

        assert [verbs(answer)[0] for answer in answers] == ["Connect", "Connect", "Say"]
        assert row is not None
        assert row.outcome is Outcome.CALLER_HANGUP
        assert here.service.live.ended == {"caller_hangup": 1}


@virtual
async def test_nobody_comes_back_to_a_call_that_waited(tmp_path: Path) -> None:
    async with world(tmp_path) as here:
        socket = await talking(here, await stream_token(here))
        socket.transport.abort()
        await post(here, ENDED, ON_THE_LINE)
        await post(here, STATUS, voice_form(CallStatus="completed"))
        row = await here.store.get_call(CALL_SID)

        assert row is not None
        assert (row.outcome, row.reason) == (Outcome.CALLER_HANGUP, "Twilio: completed")


@virtual
async def test_nobody_comes_back_to_a_call_that_waits_elsewhere_while_its_old_session_leaves(tmp_path: Path) -> None:
    async with world(tmp_path) as here, another_process(here) as there:
        socket = await talking(here, await stream_token(here))
        await post(there, ENDED, ON_THE_LINE)
        was_here = CALL_SID in here.service.live
        told = asyncio.create_task(post(here, STATUS, voice_form(CallStatus="completed")))
        await asyncio.sleep(0.5)
        socket.transport.abort()
        await told
        row = await here.store.get_call(CALL_SID)

        assert was_here
        assert row is not None
        assert (row.outcome, row.reason) == (Outcome.CALLER_HANGUP, "Twilio: completed")


@pytest.mark.parametrize(
    ("outcome", "is_broken_off", "expected"),
    [
        pytest.param(Outcome.COMPLETED, False, ["Hangup"], id="said-goodbye"),
        pytest.param(Outcome.VENDOR_LOST, False, ["Say", "Hangup"], id="lost-its-agent"),
        pytest.param(Outcome.CALLER_HANGUP, True, ["Say", "Hangup"], id="broke-off"),
    ],
)
@virtual
async def test_this_process_knows_its_verdicts_while_the_database_is_away(
    outcome: Outcome, is_broken_off: bool, expected: list[str], tmp_path: Path
) -> None:
    async with world(tmp_path) as here:
        await post(here, "/webhooks/twilio/incoming", voice_form())
        here.service.store = AwayStore()  # type: ignore[assignment]  # what is asked of it
        keeper = here.service.agent.keeper
        keeper.write(CALL_SID, Verdict(CallEnd(outcome, "test"), STREAM_SID, is_broken_off), after_s=60)
        answer = await post(here, ENDED, voice_form(CallStatus="completed"))
        here.service.store = here.store
        keeper.take_back(CALL_SID)

        assert verbs(answer) == expected


class AwayStore:
    """A database that is away."""

    async def get_call(self, call_sid: str) -> None:
        raise StoreUnavailable("away")


@virtual
async def test_the_status_of_a_call_that_another_process_has_changes_nothing(tmp_path: Path) -> None:
    async with world(tmp_path) as here, another_process(here) as there:
        socket = await talking(here, await stream_token(here))
        await post(there, STATUS, voice_form(CallStatus="completed"))
        row = await here.store.get_call(CALL_SID)
        await socket.close()
        await here.settled()
        ended = await here.store.get_call(CALL_SID)

        assert row is not None
        assert row.state is CallState.ACTIVE
        assert ended is not None
        assert ended.outcome is Outcome.CALLER_HANGUP


@virtual
async def test_a_history_that_cannot_be_read_is_not_written_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def away(call_sid: str) -> list[Turn]:
        raise StoreUnavailable("away")

    async with world(tmp_path) as here:
        first = await talking(here, await stream_token(here))
        await asyncio.sleep(3)  # the greeting is said, as far as frames come
        first.transport.abort()
        answer = await post(here, ENDED, ON_THE_LINE)
        with monkeypatch.context() as broken:
            broken.setattr(here.store, "turns", away)
            second = await talking(here, token_of(answer), "MZ" + "2" * 32)
        await asyncio.sleep(3)
        await second.close()
        await here.settled()
        numbers = [turn.number for turn in await here.store.turns(CALL_SID)]

        assert min(numbers) < 10
        assert max(numbers) > UNKNOWN_TURNS


@virtual
async def test_a_question_while_the_next_stream_proves_itself_changes_nothing(tmp_path: Path) -> None:
    async with world(tmp_path) as here:
        await stream_token(here)
        here.service.live.reserve(CALL_SID)
        answer = await post(here, ENDED, ON_THE_LINE)
        here.service.live.release(CALL_SID)
        row = await here.store.get_call(CALL_SID)

        assert verbs(answer) == []
        assert row is not None
        assert row.state is CallState.CREATED
        assert here.service.gate.counts["webhook", "live_stream"] == 1


@pytest.mark.parametrize(
    ("asked", "said", "outcome"),
    [
        pytest.param(True, ["Say", "Dial"], Outcome.TRANSFERRED, id="the-caller-is-there"),
        pytest.param(False, [], Outcome.CALLER_HANGUP, id="the-caller-is-gone"),
    ],
)
@virtual
async def test_a_transfer_is_owed_to_a_caller_whose_stream_broke_off(
    asked: bool, said: list[str], outcome: Outcome, tmp_path: Path
) -> None:
    async with world(tmp_path) as here:
        socket = await talking(here, await stream_token(here))
        (session,) = here.service.live
        session.ending.bid_farewell(Transfer(to="+15550107777", announce="Hold on.", reason="asked for"))
        socket.transport.abort()
        answers = [verbs(await post(here, ENDED, ON_THE_LINE)) for _ in range(2 if asked else 0)]
        await here.settled()
        row = await here.store.get_call(CALL_SID)

        assert answers == [said] * len(answers)
        assert row is not None
        assert (row.state, row.outcome) == (CallState.ENDED, outcome)
        assert here.service.live.ended == {outcome.value: 1}
        assert (await here.store.check()).problems == ()
