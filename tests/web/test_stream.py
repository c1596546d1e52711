"""The media stream's socket: signed upgrade, then a one-time token, else nothing happens anywhere."""

import asyncio
import json
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Any

import pytest
from twilio.request_validator import RequestValidator
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from archer_bridge.devkit.phone import DEMO_ACCOUNT
from archer_bridge.models import CallState
from tests.support.twilio import CALL_SID, post, voice_form
from tests.support.virtual import virtual
from tests.support.world import World, world

SID = "MZ" + "1" * 32
OTHER_CALL = "CA" + "2" * 32
WSS = "wss://bridge.example.test/ws/cartesia"


def sign(url: str = WSS, token: str = DEMO_ACCOUNT.auth_token) -> dict[str, str]:
    return {"X-Twilio-Signature": RequestValidator(token).compute_signature(url, {})}


async def open_socket(here: World, headers: dict[str, str] | None = None) -> ClientConnection:
    return await connect(
        f"{here.bridge.ws_url}/ws/cartesia",
        additional_headers=sign() if headers is None else headers,
        compression=None,
        proxy=None,
        ping_interval=None,
    )


async def token_for(here: World, call_sid: str = CALL_SID) -> str:
    response = await post(here, "/webhooks/twilio/incoming", voice_form(CallSid=call_sid))
    root = ElementTree.fromstring(response.text)
    return next(item.attrib["value"] for item in root.iter("Parameter") if item.attrib["name"] == "token")


def start(token: str, **changes: Any) -> str:
    body = {
        "accountSid": DEMO_ACCOUNT.account_sid,
        "callSid": CALL_SID,
        "streamSid": SID,
        "tracks": ["inbound"],
        "mediaFormat": {"encoding": "audio/x-mulaw", "sampleRate": 8000, "channels": 1},
        "customParameters": {"token": token},
        **changes,
    }
    return json.dumps({"event": "start", "sequenceNumber": "1", "streamSid": SID, "start": body})


async def refused(socket: ClientConnection) -> int:
    """Return the close code of a socket that must get no message."""
    with pytest.raises(ConnectionClosed) as closed:
        await socket.recv()
    assert closed.value.rcvd is not None
    return closed.value.rcvd.code


@pytest.mark.parametrize(
    "headers",
    [
        pytest.param({}, id="unsigned"),
        pytest.param(sign(token="wrong"), id="wrong-token"),
        pytest.param(sign("wss://evil.example.com/ws/cartesia"), id="other-host"),
        pytest.param(sign("https://bridge.example.test/ws/cartesia"), id="other-scheme"),
    ],
)
@virtual
async def test_an_unsigned_upgrade_is_403_before_accept(headers: dict[str, str], tmp_path: Path) -> None:
    async with world(tmp_path) as here:
        with pytest.raises(InvalidStatus) as caught:
            await open_socket(here, headers)

        assert caught.value.response.status_code == 403
        assert here.service.gate.counts.total() == 1
        assert here.simulator.counters.connections == 0


@virtual
async def test_a_socket_for_another_path_is_the_apps(tmp_path: Path) -> None:
    async with world(tmp_path) as here:
        with pytest.raises(InvalidStatus) as caught:
            await connect(f"{here.bridge.ws_url}/ws/other", additional_headers=sign(), proxy=None)

        assert caught.value.response.status_code == 403
        assert here.service.gate.counts.total() == 0


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        pytest.param({"customParameters": {}}, "malformed", id="no-token"),
        pytest.param({"customParameters": {"token": "v1.a.b.c.d.e"}}, "malformed", id="nonsense"),
        pytest.param({"callSid": OTHER_CALL}, "wrong_call", id="other-call"),
        pytest.param({"accountSid": "AC" + "9" * 32}, "forged", id="other-account"),
    ],
)
@virtual
async def test_a_stream_without_its_token_is_refused(changes: dict[str, Any], reason: str, tmp_path: Path) -> None:
    async with world(tmp_path) as here:
        token = await token_for(here)
        socket = await open_socket(here)
        await socket.send(start(token, **changes))

        assert await refused(socket) == 1008
        assert here.service.gate.counts["stream", reason] == 1
        row = await here.store.get_call(CALL_SID)
        assert row is not None
        assert row.state is CallState.CREATED
        assert here.simulator.counters.connections == 0


@virtual
async def test_a_token_is_good_once(tmp_path: Path) -> None:
    async with world(tmp_path) as here:
        token = await token_for(here)
        first = await open_socket(here)
        await first.send(start(token))
        await here.simulator.feed.expect("session_started")
        second = await open_socket(here)
        await second.send(start(token))

        assert await refused(second) == 1008
        assert len(here.service.live) == 1  # the genuine call goes on
        assert json.loads(await first.recv())["event"] in {"mark", "media"}
        await first.close()
        await here.service.live.wait_empty()

        replay = await open_socket(here)
        await replay.send(start(token))
        assert await refused(replay) == 1008
        assert here.service.gate.counts["stream", "second_stream"] == 1
        assert here.service.gate.counts["stream", "token_spent"] == 1
        assert here.simulator.counters.sessions == 1


@virtual
async def test_two_streams_at_once_have_one_winner(tmp_path: Path) -> None:
    async with world(tmp_path) as here:
        token = await token_for(here)
        sockets = [await open_socket(here) for _ in range(6)]
        await asyncio.gather(*(socket.send(start(token)) for socket in sockets))
        await here.simulator.feed.expect("session_started")

        assert len(here.service.live) == 1
        assert here.simulator.counters.sessions == 1
        await asyncio.gather(*(socket.close() for socket in sockets))


@virtual
async def test_a_socket_that_never_starts_is_closed_in_time(tmp_path: Path) -> None:
    async with world(tmp_path) as here:
        loop = asyncio.get_running_loop()
        socket = await open_socket(here)
        began = loop.time()

        assert await refused(socket) == 1008
        assert 4.9 <= loop.time() - began <= 6.0  # virtual seconds: start_timeout_s is 5
        assert here.service.gate.counts["stream", "no_start"] == 1
        assert here.service.unauthenticated == 0


@virtual
async def test_chatter_before_start_does_not_last_either(tmp_path: Path) -> None:
    async with world(tmp_path) as here:
        socket = await open_socket(here)
        for _ in range(20):
            await socket.send("{}")

        assert await refused(socket) == 1008


@virtual
async def test_a_frame_over_64_kib_is_refused(tmp_path: Path) -> None:
    async with world(tmp_path) as here:
        socket = await open_socket(here)
        await socket.send("x" * 70_000)

        assert await refused(socket) == 1009


@virtual
async def test_what_a_stream_says_about_its_customer_is_not_believed(tmp_path: Path) -> None:
    async with world(tmp_path) as here:
        token = await token_for(here)
        socket = await open_socket(here)
        claims = {"token": token, "customer_id": "demo-sam-okafor", "customer_phone": "+15550100002"}
        await socket.send(start(token, customParameters=claims))
        session = await here.simulator.feed.expect("session_started")

        assert session["variables"]["caller_number"] == "+15550100001"
        assert session["variables"]["customer_first_name"] == "Dana"
        await socket.close()
        await here.service.live.wait_empty()


@virtual
async def test_a_call_with_only_garbage_ends_with_its_reason(tmp_path: Path) -> None:
    async with world(tmp_path, ARCHER_CALLS__BAD_FRAMES_IN_A_ROW="10") as here:
        token = await token_for(here)
        socket = await open_socket(here)
        await socket.send(start(token))
        await here.simulator.feed.expect("session_started")
        for _ in range(9):
            await socket.send('{"event":"media","streamSid":"MZother","media":{"payload":"/w=="}}')
        await socket.send(json.dumps({"event": "mark", "streamSid": SID, "mark": {"name": "none"}}))
        for _ in range(10):
            await socket.send("not json")
        await here.service.live.wait_empty()
        row = await here.store.get_call(CALL_SID)

        assert row is not None
        assert row.outcome is not None
        assert row.outcome.value == "protocol_error"
        assert row.numbers["bad_frames"] == {"wrong_stream": 9, "not_json": 10}
