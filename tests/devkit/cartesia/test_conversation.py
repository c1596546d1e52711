import asyncio
from typing import Any

import pytest

from archer_bridge.devkit.cartesia.tool_desk import TIMED_OUT
from archer_bridge.devkit.dialogue import CallTool, HangUp, Say
from archer_codecs import MULAW_8K
from tests.devkit.cartesia.agent_client import SILENCE, AgentClient, agent_client, simulator
from tests.devkit.cartesia.brains import Scripted, maker
from tests.support.virtual import virtual


@virtual
async def test_the_agent_speaks_and_each_word_is_told() -> None:
    brain = Scripted([Say("Good day. How are you?")])
    async with simulator(agent=maker(brain)) as (served, sim), agent_client(served) as client:
        await client.start()
        ended = await client.until("turn_ended")

    deltas = [event["text"] for event in client.named("turn_output_text_delta")]
    assert deltas == ["Good", " day.", " How", " are", " you?"]
    assert ended["text"] == "Good day. How are you?"
    assert (ended["turn"], ended["role"], ended["interrupted"]) == (1, "assistant", False)
    assert client.heard() == "Good day. How are you?"
    assert sim.feed.named("agent_said")[0]["text"] == "Good day. How are you?"


@pytest.mark.parametrize(
    ("delivery", "at_once"),
    [pytest.param("speaking_pace", False, id="paced"), pytest.param("as_available", True, id="burst")],
)
@virtual
async def test_delivery_is_paced_or_at_once(delivery: str, at_once: bool) -> None:
    brain = Scripted([Say("A sentence of some length to be heard.")])
    async with simulator(agent=maker(brain)) as (served, _), agent_client(served) as client:
        await client.start(audio={"input_format": "mulaw_8000", "output_delivery": delivery})
        await client.until("turn_output_text_delta", text=" length")
        sent_before_length = len(client.audio())
        await client.until("turn_ended")

    spoken_ms = len("A sentence of some length") * 60
    ahead_ms = MULAW_8K.ms_for(sent_before_length) - spoken_ms
    assert (sent_before_length == len(client.audio())) is at_once
    assert at_once or 0 < ahead_ms < 240


@virtual
async def test_the_caller_is_heard_and_answered_in_turns() -> None:
    brain = Scripted([Say("Hello.")], [[Say("Good.")]])
    async with simulator(agent=maker(brain)) as (served, sim), agent_client(served) as client:
        await client.start()
        await client.until("turn_ended")
        await client.speak("My zip is 94107")
        await client.until("turn_ended", text="Good.")

    turns = [(event["turn"], event["role"], event["text"]) for event in client.named("turn_ended")]
    assert turns == [(1, "assistant", "Hello."), (2, "user", "My zip is 94107"), (3, "assistant", "Good.")]
    assert [event["turn"] for event in client.named("turn_started")] == [1, 2, 3]
    assert client.named("audio_output_clear") == []
    assert brain.got == [("heard", "My zip is 94107")]
    assert sim.feed.named("agent_heard")[0]["text"] == "My zip is 94107"


LONG = "one two " + "and so it goes on and on " * 20 + "to the end."


async def interrupt(client: AgentClient) -> dict[str, Any]:
    await client.until("turn_output_text_delta", text=" two")
    speaking = asyncio.create_task(client.speak("wait"))
    ended = await client.until("turn_ended", role="assistant")
    await client.until("turn_ended", role="user")
    await speaking
    return ended


@pytest.mark.parametrize("delivery", ["speaking_pace", "as_available"])
@virtual
async def test_barge_in_clears_and_tells_what_was_heard(delivery: str) -> None:
    brain = Scripted([Say(LONG), Say("never said.")])
    async with simulator(agent=maker(brain)) as (served, sim), agent_client(served) as client:
        await client.start(audio={"input_format": "mulaw_8000", "output_delivery": delivery})
        ended = await interrupt(client)

    kinds = [event["type"] for event in client.events]
    spoken = "".join(event["text"] for event in client.named("turn_output_text_delta"))
    assert kinds.count("audio_output_clear") == 1
    assert ended["interrupted"] is True
    assert ended["text"] == spoken
    assert spoken.startswith("one two")
    assert LONG.startswith(spoken)
    assert spoken != LONG
    assert kinds[kinds.index("audio_output_clear") :].count("audio_output") == 0
    assert sim.feed.named("agent_interrupted")[0]["spoken"] == spoken
    assert brain.got == [("heard", "wait")]


@virtual
async def test_a_decided_tool_call_survives_a_barge_in() -> None:
    brain = Scripted([Say(LONG), CallTool("end_call", {"reason": "done"})])
    async with simulator(agent=maker(brain)) as (served, _), agent_client(served) as client:
        await client.start()
        await interrupt(client)

    assert [event["tool_name"] for event in client.named("client_tool_call")] == ["end_call"]


@virtual
async def test_a_clear_may_come_when_nothing_plays() -> None:
    async with (
        simulator(agent=maker(Scripted()), clear_when_silent=True) as (served, _),
        agent_client(served) as client,
    ):
        await client.start()
        speaking = asyncio.create_task(client.speak("hello"))
        await client.until("turn_started", role="user")
        await speaking

    assert len(client.named("audio_output_clear")) == 1


@virtual
async def test_hanging_up_closes_without_turn_ended() -> None:
    brain = Scripted([Say("Bye."), HangUp()])
    async with simulator(agent=maker(brain)) as (served, sim), agent_client(served) as client:
        await client.start()
        close = await client.closed()

    assert close == (1000, "call ended by agent")
    assert client.named("turn_ended") == []
    assert client.heard() == "Bye."
    closed = sim.feed.named("closed")[0]
    assert (closed["by"], closed["code"]) == ("server", 1000)


@virtual
async def test_hanging_up_can_end_the_turn_first() -> None:
    brain = Scripted([Say("Bye."), HangUp()])
    async with (
        simulator(agent=maker(brain), end_turn_before_hangup=True) as (served, _),
        agent_client(served) as client,
    ):
        await client.start()
        await client.closed()

    assert [event["text"] for event in client.named("turn_ended")] == ["Bye."]


@virtual
async def test_thinking_delays_the_answer() -> None:
    async with (
        simulator(agent=maker(Scripted([Say("Hi.")])), thinking_s=3) as (served, sim),
        agent_client(served) as client,
    ):
        await client.start()
        await client.until("turn_started")
    waited = sim.feed.named("turn_started")[0]["t"] - sim.feed.named("session_started")[0]["t"]

    assert waited == pytest.approx(3, abs=0.01)


@pytest.mark.parametrize("delivery", ["mulaw_8000", "pcm_16000", "pcm_24000", "pcm_44100"])
@virtual
async def test_every_format_is_spoken_in(delivery: str) -> None:
    brain = Scripted([Say("Hi there.")])
    async with simulator(agent=maker(brain)) as (served, _), agent_client(served) as client:
        await client.start(audio={"input_format": delivery})
        await client.until("turn_ended")

    seconds = len(client.audio()) / {"mulaw_8000": 8000}.get(delivery, 2 * int(delivery.split("_")[1]))
    assert 0.6 < seconds < 0.8


# -- keys ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("keys", "got"),
    [
        pytest.param("4821#", ["4821"], id="hash-ends"),
        pytest.param("4821", ["4821"], id="pause-ends"),
        pytest.param("#", [], id="nothing"),
        pytest.param("12#3*#", ["12", "3*"], id="two-entries"),
    ],
)
@virtual
async def test_keys_are_collected(keys: str, got: list[str]) -> None:
    brain = Scripted()
    async with simulator(agent=maker(brain)) as (served, sim), agent_client(served) as client:
        await client.start()
        for key in keys:
            await client.send({"type": "dtmf_input", "digit": key})
        while len(sim.feed.named("dtmf")) < len(keys):
            await asyncio.sleep(0.1)
        await asyncio.sleep(2.1)

    assert brain.got == [("pressed", digits) for digits in got]


# -- tools ---------------------------------------------------------------------------------------------------

CALL = CallTool("verify_account", {"account_last_4": "4821", "postal_code": "94107"})


def result(call: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return {"type": "client_tool_result", "tool_call_id": call["tool_call_id"], "result": "ok", **fields}


@pytest.mark.parametrize(
    ("fields", "text", "is_error"),
    [
        pytest.param({"result": '{"verified":true}'}, '{"verified":true}', False, id="plain"),
        pytest.param({"result": "no", "is_error": True}, "no", True, id="error"),
        pytest.param({"result": "", "is_error": True}, "The tool failed", True, id="empty-error"),
        pytest.param({"result": "é" * 2048}, "é" * 2048, False, id="4096-bytes"),
    ],
)
@virtual
async def test_a_tool_result_reaches_the_agent(fields: dict[str, Any], text: str, is_error: bool) -> None:
    brain = Scripted([CALL], [[Say("Thanks.")]])
    async with simulator(agent=maker(brain)) as (served, sim), agent_client(served) as client:
        await client.start()
        call = await client.until("client_tool_call")
        await client.send(result(call, **fields))
        ended = await client.until("turn_ended")

    assert (call["tool_name"], call["parameters"], call["expects_response"]) == (CALL.name, CALL.arguments, True)
    assert brain.got == [("tool_result", "verify_account", text, is_error)]
    assert ended["tool_calls"] == [
        {"id": call["tool_call_id"], "name": CALL.name, "arguments": CALL.arguments, "result": text}
    ]
    assert sim.counters.tool_calls == 1


@virtual
async def test_a_result_above_4096_bytes_becomes_an_error() -> None:
    brain = Scripted([CALL])
    async with simulator(agent=maker(brain)) as (served, sim), agent_client(served) as client:
        await client.start()
        await client.send(result(await client.until("client_tool_call"), result="é" * 2048 + "x"))
        await sim.feed.expect("tool_result")

    (_, _, text, is_error) = brain.got[0]
    assert is_error
    assert "result_too_large" in text


@virtual
async def test_a_silent_tool_times_out_and_its_late_answer_is_ignored() -> None:
    brain = Scripted([CALL], [[Say("Sorry.")], [Say("Never.")]])
    async with simulator(agent=maker(brain)) as (served, sim), agent_client(served) as client:
        tool = next(key for key, tool in sim.account.tools.items() if tool["name"] == CALL.name)
        sim.account.change_tool(tool, {"response_timeout_secs": 5})
        await client.start()
        call = await client.until("client_tool_call")
        answered = await sim.feed.expect("tool_result")
        waited = answered["t"] - sim.feed.named("tool_called")[0]["t"]
        await client.send(result(call))
        await client.until("turn_ended")

    assert waited == pytest.approx(5, abs=0.01)
    assert brain.got == [("tool_result", CALL.name, TIMED_OUT, True)]
    assert client.named("error") == []


@virtual
async def test_duplicate_and_stray_results_are_ignored() -> None:
    brain = Scripted([CALL])
    async with simulator(agent=maker(brain)) as (served, sim), agent_client(served) as client:
        await client.start()
        call = await client.until("client_tool_call")
        await client.send(result(call, tool_call_id="call_of_nobody", result="stray"))
        await client.send(result(call, result="first"))
        await client.send(result(call, result="second"))
        await client.send({"type": "dtmf_input", "digit": "#"})
        await sim.feed.expect("dtmf")

    assert brain.got == [("tool_result", CALL.name, "first", False)]
    assert client.named("error") == []


@virtual
async def test_a_tool_that_expects_no_response_gets_none() -> None:
    brain = Scripted([CallTool("note", {}), Say("Noted.")])
    async with simulator(agent=maker(brain)) as (served, sim):
        attach(sim, {"type": "client", "name": "note", "description": "d", "expects_response": False})
        async with agent_client(served) as client:
            await client.start()
            call = await client.until("client_tool_call")
            await client.send(result(call))
            await client.until("turn_ended")

    assert call["expects_response"] is False
    assert brain.got == []


@virtual
async def test_an_async_tool_does_not_hold_the_turn() -> None:
    brain = Scripted([CallTool("slow", {}), Say("Meanwhile.")])
    async with simulator(agent=maker(brain)) as (served, sim):
        attach(sim, {"type": "client", "name": "slow", "description": "d", "execution_mode": "async"})
        async with agent_client(served) as client:
            await client.start()
            call = await client.until("client_tool_call")
            await client.until("turn_ended", text="Meanwhile.")
            await client.send(result(call, result="late"))
            await sim.feed.expect("tool_result")

    assert brain.got == [("tool_result", "slow", "late", False)]


def attach(sim: Any, definition: dict[str, Any]) -> None:
    tool = sim.account.create_tool(definition)
    sim.account.change_agent("agent_archer", {"config": {"tools": [{"id": tool["id"]}]}})


@pytest.mark.parametrize("any_tool", [False, True])
@virtual
async def test_an_agent_calls_only_attached_tools_unless_told(any_tool: bool) -> None:
    brain = Scripted([CallTool("rob_bank", {}), Say("So.")])
    async with simulator(agent=maker(brain), any_tool=any_tool) as (served, sim), agent_client(served) as client:
        await client.start()
        if any_tool:
            await client.send(result(await client.until("client_tool_call"), is_error=True, result="no"))
        await client.until("turn_ended")

    assert brain.got[0][1:] == ("rob_bank", "no" if any_tool else "the agent has no tool 'rob_bank'", True)
    assert sim.counters.tool_calls == int(any_tool)


@virtual
async def test_silence_is_not_speech() -> None:
    brain = Scripted()
    async with simulator(agent=maker(brain)) as (served, sim), agent_client(served) as client:
        await client.start()
        await client.play(SILENCE * 8000 * 5)
        await client.send({"type": "dtmf_input", "digit": "#"})
        await sim.feed.expect("dtmf")

    assert sim.counters.audio_bytes_in == 40000
    assert [event["type"] for event in client.events] == ["session_ready"]
