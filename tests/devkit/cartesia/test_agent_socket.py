import asyncio
import base64
import contextlib
import json
from typing import Any

import pytest
from websockets.exceptions import InvalidStatus

from archer_bridge.devkit.cartesia import DEFAULT_API_KEY, AgentLink
from archer_bridge.devkit.dialogue import HangUp, Say
from tests.devkit.cartesia.agent_client import CREATE, VERSION, agent_client, simulator
from tests.devkit.cartesia.brains import Scripted, maker
from tests.support.virtual import virtual

KEY = {"X-API-Key": DEFAULT_API_KEY}


@pytest.mark.parametrize(
    ("headers", "query", "agent_id", "status", "code"),
    [
        pytest.param({}, f"?cartesia_version={VERSION}", "agent_archer", 401, None, id="no-credential"),
        pytest.param({"X-API-Key": "no"}, f"?cartesia_version={VERSION}", "agent_archer", 401, None, id="bad-key"),
        pytest.param(KEY, "?cartesia_version=2026-03-01", "agent_archer", 400, None, id="too-old"),
        pytest.param(KEY, "", "agent_archer", 400, None, id="no-version"),
        pytest.param(
            {**KEY, "Cartesia-Version": VERSION},
            "?cartesia_version=2026-03-01",
            "agent_archer",
            400,
            None,
            id="query-version-wins",
        ),
        pytest.param(KEY, f"?cartesia_version={VERSION}", "agent_x", 404, "agent_not_found", id="no-agent"),
        pytest.param({}, f"?cartesia_version={VERSION}&access_token=eyJx", "agent_archer", 401, None, id="bad-token"),
    ],
)
@virtual
async def test_upgrades_are_refused_by_http(
    headers: dict[str, str], query: str, agent_id: str, status: int, code: str | None
) -> None:
    async with simulator() as (served, sim):
        with pytest.raises(InvalidStatus) as refused:
            async with agent_client(served, agent_id=agent_id, headers=headers, query=query):
                pass
    body = json.loads(refused.value.response.body or b"")

    assert refused.value.response.status_code == status
    assert body["error_code"] == code
    assert set(body) == {"error_code", "title", "message", "request_id"}
    assert sim.counters.refused == 1


@pytest.mark.parametrize(
    ("headers", "query"),
    [
        pytest.param({"Authorization": f"Bearer {DEFAULT_API_KEY}"}, f"?cartesia_version={VERSION}", id="bearer"),
        pytest.param({**KEY, "Cartesia-Version": VERSION}, "", id="header-version"),
        pytest.param({**KEY, "Cartesia-Version": "2025-04-16"}, f"?cartesia_version={VERSION}", id="query-wins"),
    ],
)
@virtual
async def test_every_documented_way_in_works(headers: dict[str, str], query: str) -> None:
    async with simulator() as (served, _), agent_client(served, headers=headers, query=query) as client:
        ready = await client.start()

    assert ready["audio"] == {"input_format": "mulaw_8000", "output_delivery": "speaking_pace"}


@virtual
async def test_the_session_limit_is_429() -> None:
    async with simulator(max_sessions=1) as (served, sim), agent_client(served) as first:
        await first.start()
        with pytest.raises(InvalidStatus) as refused:
            async with agent_client(served):
                pass
        await first.socket.close()
        await sim.feed.expect("closed", code=1000, by="client")
        async with agent_client(served) as second:
            await second.start()

    assert refused.value.response.status_code == 429
    assert json.loads(refused.value.response.body or b"")["error_code"] == "concurrency_limited"


@virtual
async def test_an_unknown_path_is_404() -> None:
    async with simulator() as (served, _):
        with pytest.raises(InvalidStatus) as refused:
            async with agent_client(served, agent_id="x/y"):
                pass

    assert refused.value.response.status_code == 404


AUDIO = {"input_format": "mulaw_8000"}


@pytest.mark.parametrize(
    ("first", "code"),
    [
        pytest.param("not json", "invalid_event", id="not-json"),
        pytest.param(b"\x00", "invalid_event", id="binary"),
        pytest.param({"type": "audio_input", "audio": ""}, "invalid_event", id="audio-first"),
        pytest.param({"type": "session_create"}, "invalid_event", id="no-audio"),
        pytest.param({"type": "session_create", "audio": AUDIO, "x": 1}, "invalid_event", id="unknown-field"),
        pytest.param(
            {"type": "session_create", "audio": {**AUDIO, "rate": 8000}}, "invalid_event", id="unknown-audio-field"
        ),
        pytest.param(
            {"type": "session_create", "audio": {"input_format": "mulaw_16000"}}, "invalid_event", id="bad-format"
        ),
        pytest.param(
            {"type": "session_create", "audio": {**AUDIO, "output_delivery": "fast"}},
            "invalid_event",
            id="bad-delivery",
        ),
        pytest.param(
            {**CREATE, "dynamic_variables": {f"v{n}": n for n in range(65)}}, "invalid_dynamic_variables", id="65"
        ),
        pytest.param({**CREATE, "dynamic_variables": {"a-b": 1}}, "invalid_dynamic_variables", id="bad-name"),
        pytest.param({**CREATE, "dynamic_variables": {"": 1}}, "invalid_dynamic_variables", id="empty-name"),
        pytest.param({**CREATE, "dynamic_variables": {"a" * 65: 1}}, "invalid_dynamic_variables", id="long-name"),
        pytest.param(
            {**CREATE, "dynamic_variables": {"system__time": "x"}}, "invalid_dynamic_variables", id="reserved"
        ),
        pytest.param({**CREATE, "dynamic_variables": {"a": None}}, "invalid_dynamic_variables", id="null"),
        pytest.param({**CREATE, "dynamic_variables": {"a": [1]}}, "invalid_dynamic_variables", id="list"),
    ],
)
@virtual
async def test_a_bad_first_event_closes_with_1008(first: Any, code: str) -> None:
    async with simulator() as (served, sim), agent_client(served) as client:
        await client.send(first)
        close_code, _ = await client.closed()

    assert close_code == 1008
    assert [(event["type"], event["code"], event["fatal"]) for event in client.events] == [("error", code, True)]
    assert sim.counters.sessions == 0


@virtual
async def test_silence_instead_of_session_create_closes_after_ten_seconds() -> None:
    async with simulator() as (served, sim), agent_client(served) as client:
        close = await client.closed()
        waited = sim.feed.named("closed")[0]["t"] - sim.feed.named("connected")[0]["t"]

    assert close == (1008, "no session_create within 10 seconds")
    assert client.events[0]["fatal"] is True
    assert waited == pytest.approx(10, abs=0.01)


@virtual
async def test_an_access_token_may_not_bring_variables() -> None:
    async with simulator() as (served, sim):
        token = sim.gate.issue(frozenset({"agent"}), 60)
        query = f"?cartesia_version={VERSION}&access_token={token}"
        async with agent_client(served, headers={}, query=query) as client:
            await client.start()
        async with agent_client(served, headers={}, query=query) as refused:
            await refused.send({**CREATE, "dynamic_variables": {"a": 1}})
            close_code, _ = await refused.closed()

    assert (close_code, refused.events[0]["code"]) == (1008, "dynamic_variables_not_allowed")


@virtual
async def test_a_token_without_the_grant_is_403() -> None:
    async with simulator() as (served, sim):
        token = sim.gate.issue(frozenset({"tts"}), 60)
        with pytest.raises(InvalidStatus) as refused:
            async with agent_client(served, headers={}, query=f"?cartesia_version={VERSION}&access_token={token}"):
                pass

    assert refused.value.response.status_code == 403


@virtual
async def test_a_text_that_needs_a_variable_gets_it_or_the_session_fails() -> None:
    async with simulator() as (served, sim):
        sim.account.change_agent("agent_archer", {"config": {"initial_message": "Hi {{name}}"}})
        async with agent_client(served) as client:
            await client.send(CREATE)
            close_code, _ = await client.closed()
        async with agent_client(served) as named:
            await named.start(dynamic_variables={"name": "Dana", "vip": True, "count": 3, "rate": 0.5})

    assert (close_code, client.events[0]["code"]) == (1008, "missing_dynamic_variables")


@pytest.mark.parametrize(
    "event",
    [
        pytest.param("{", id="not-json"),
        pytest.param("[]", id="not-an-object"),
        pytest.param(b"\xff\xff", id="binary"),
        pytest.param({"type": "say", "text": "hi"}, id="unknown-type"),
        pytest.param({"type": "audio_input"}, id="no-audio"),
        pytest.param({"type": "audio_input", "audio": "%%%"}, id="not-base64"),
        pytest.param({"type": "dtmf_input", "digit": "12"}, id="two-digits"),
        pytest.param({"type": "dtmf_input", "digit": "A"}, id="no-key"),
        pytest.param({"type": "dtmf_input", "digit": "1\n"}, id="newline"),
        pytest.param({"type": "client_tool_result", "tool_call_id": "x"}, id="no-result"),
        pytest.param({"type": "client_tool_result", "tool_call_id": "x" * 257, "result": ""}, id="long-id"),
        pytest.param({"type": "client_tool_result", "tool_call_id": "x", "result": {}}, id="result-object"),
        pytest.param(
            {"type": "client_tool_result", "tool_call_id": "x", "result": "", "error_type": "é" * 129}, id="long-type"
        ),
        pytest.param(CREATE, id="second-create"),
    ],
)
@virtual
async def test_a_bad_later_event_is_ignored_and_said_so(event: Any) -> None:
    async with simulator(agent=maker(Scripted())) as (served, sim), agent_client(served) as client:
        await client.start()
        await client.send(event)
        error = await client.until("error")
        await client.send({"type": "dtmf_input", "digit": "1"})
        await sim.feed.expect("dtmf", digit="1")

    assert (error["code"], error["fatal"]) == ("invalid_event", False)
    assert sim.counters.invalid_events == 1


@virtual
async def test_unknown_fields_of_later_events_are_tolerated() -> None:
    async with simulator(agent=maker(Scripted())) as (served, sim), agent_client(served) as client:
        await client.start()
        await client.send({"type": "dtmf_input", "digit": "1", "duration_ms": 100})
        await sim.feed.expect("dtmf", digit="1")

    assert sim.counters.invalid_events == 0


@virtual
async def test_audio_before_ready_is_dropped() -> None:
    frame = {"type": "audio_input", "audio": base64.b64encode(b"\xff" * 160).decode()}
    async with simulator(agent=maker(Scripted())) as (served, sim), agent_client(served) as client:
        await client.send(CREATE)
        await client.send(frame)
        await client.until("session_ready")
        await client.send(frame)
        await client.send({"type": "dtmf_input", "digit": "1"})
        await sim.feed.expect("dtmf")

    assert sim.counters.audio_dropped_before_ready == 160
    assert sim.counters.audio_bytes_in == 160


@virtual
async def test_two_minutes_without_a_valid_event_close_the_session() -> None:
    async with simulator(agent=maker(Scripted())) as (served, sim), agent_client(served) as client:
        await client.start()
        await asyncio.sleep(60)
        await client.send({"type": "dtmf_input", "digit": "#"})
        await asyncio.sleep(60)
        await client.send({"type": "nonsense"})
        close = await client.closed()
        waited = sim.feed.named("closed")[0]["t"] - sim.feed.named("dtmf")[0]["t"]

    assert close == (1008, "no valid client event for 120 seconds")
    assert waited == pytest.approx(120, abs=0.01)


@virtual
async def test_a_bug_in_the_agent_is_a_failed_agent() -> None:
    class Broken(Scripted):
        def open(self) -> list[Any]:
            raise LookupError("lost my mind")

    async with simulator(agent=maker(Broken())) as (served, sim), agent_client(served) as client:
        await client.send(CREATE)
        close_code, _ = await client.closed()

    assert close_code == 1011
    assert client.events[-1]["code"] == "agent_failed"
    assert [type(bug) for group in sim.failures for bug in group.exceptions] == [LookupError]  # type: ignore[attr-defined]


@virtual
async def test_new_event_types_and_fields_can_be_sprinkled_in() -> None:
    options = {
        "unknown_events": True,
        "unknown_fields": True,
        "agent": maker(Scripted([Say("one two three."), HangUp()])),
    }
    async with simulator(**options) as (served, _), agent_client(served) as client:
        await client.send(CREATE)
        events = [json.loads(frame) async for frame in client.socket]

    assert {"x_new_event"} < {event["type"] for event in events}
    assert all("x_new_field" in event for event in events if event["type"] != "x_new_event")


@virtual
async def test_a_raw_session_has_full_control() -> None:
    got: list[Any] = []

    async def raw(link: AgentLink) -> None:
        got.append(await link.start())
        await link.send_text("junk")
        await link.send({"type": "audio_output_clear"})
        got.append(await link.receive_event())
        await link.close(1011, "enough")

    async with simulator(raw_session=raw) as (served, sim), agent_client(served) as client:
        await client.start()
        junk = await client.socket.recv()
        await client.until("audio_output_clear")
        await client.send({"type": "dtmf_input", "digit": "7"})
        close = await client.closed()

    assert got == [CREATE, {"type": "dtmf_input", "digit": "7"}]
    assert junk == "junk"
    assert close == (1011, "enough")
    assert sim.sessions == {}


@virtual
async def test_a_raw_session_that_returns_closes_with_1000() -> None:
    async def raw(link: AgentLink) -> None:
        await link.start({"input_format": "pcm_16000"})

    async with simulator(raw_session=raw) as (served, _), agent_client(served) as client:
        ready = await client.start()
        close_code, _ = await client.closed()

    assert ready["audio"]["input_format"] == "pcm_16000"
    assert close_code == 1000


@virtual
async def test_what_a_raw_session_raises_is_kept(caplog: pytest.LogCaptureFixture) -> None:
    async def raw(link: AgentLink) -> None:
        await link.send_text(f"before {await link.receive()!r}")
        raise AssertionError("not what the test expected")

    async with simulator(raw_session=raw) as (served, sim), agent_client(served) as client:
        await client.send(CREATE)
        await client.socket.recv()
        close_code, _ = await client.closed()

    assert close_code == 1006
    assert [str(bug) for bug in sim.failures] == ["not what the test expected"]
    assert "not what the test expected" in caplog.text


@virtual
async def test_other_events_before_ready_are_refused() -> None:
    async with simulator(agent=maker(Scripted())) as (served, sim), agent_client(served) as client:
        await client.send(CREATE)
        await client.send({"type": "dtmf_input", "digit": "1"})
        await client.send("{")
        await client.until("session_ready")

    assert [event["message"] for event in client.named("error")][:1] == ["the session is not ready"]
    assert sim.counters.invalid_events == 2
    assert sim.feed.named("dtmf") == []


@virtual
async def test_stopping_the_simulator_ends_its_calls() -> None:
    async with contextlib.AsyncExitStack() as clients:
        async with simulator(agent=maker(Scripted())) as (served, sim):
            client = await clients.enter_async_context(agent_client(served))
            await client.start()
        close_code, _ = await client.closed()
    closed = sim.feed.named("closed")[0]

    assert close_code == 1012
    assert (closed["by"], closed["code"]) == ("server", 1012)
    assert sim.counters.active_sessions == 0
    assert asyncio.all_tasks() == {asyncio.current_task()}
