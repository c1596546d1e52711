"""What the ledger believes against what the phone heard: the whole product over real sockets, on virtual time."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from archer_bridge.devkit.cartesia import Faults, SimulatorOptions
from archer_bridge.devkit.phone import Caller, PhoneOptions, Span, StreamFaults
from archer_bridge.devkit.voices import transcribe
from archer_bridge.devkit.voices.catalog import open_ear
from archer_bridge.models import Outcome
from archer_codecs import MULAW_8K, PCM16_8K, plan
from tests.prove.heard import place_many
from tests.support.heard import FRAME, Judgement, judged, listens
from tests.support.scripted_agent import BURST, PACED, Delivery, Line, ScriptedAgent, noise, spoken
from tests.support.virtual import virtual

LINE = noise(1, 3.0)
unhurried = virtual(max_speed=20)
"""What the database takes is real time, and must not look like seconds to the phone."""


def faults(**what: Any) -> PhoneOptions:
    return PhoneOptions(voice="tones", faults=StreamFaults(**what))


async def one_call(
    folder: Path, script: Any, *, caller: Any = listens, options: PhoneOptions | None = None, **settings: str
) -> Judgement:
    async with judged(folder, **settings) as judge:
        return await judge.call(caller, ScriptedAgent(script), options)


@unhurried
@pytest.mark.parametrize(
    ("delivery", "seconds"),
    [
        pytest.param(PACED, 3.0, id="speaking-pace"),
        pytest.param(BURST, 10.0, id="ten-seconds-in-one"),
        pytest.param(Delivery(chunk=79), 2.0, id="odd-chunks"),
        pytest.param(Delivery(chunk=16, speed=10.0), 2.0, id="two-milliseconds-at-a-time"),
        pytest.param(Delivery(chunk=8000, lead_s=1.0), 3.0, id="a-second-at-a-time"),
        pytest.param(Delivery(chunk=160, lead_s=0.04), 2.0, id="with-hardly-a-lead"),
    ],
)
async def test_a_turn_is_heard_whole_and_the_ledger_knows(tmp_path, delivery, seconds):
    async def script(agent: ScriptedAgent) -> None:
        await agent.turn(noise(2, seconds), delivery)

    call = await one_call(tmp_path, script)
    stream = call.report.streams[0]

    assert call.problems == []
    assert [(turn.heard_ms, turn.interrupted) for turn in call.turns] == [(seconds * 1000, False)]
    assert (stream.underruns, stream.unplayed_bytes, call.errors) == ((), 0, [0])
    assert stream.max_buffered_ms <= 400 + delivery.chunk / 8
    assert call.end.outcome is Outcome.COMPLETED


@unhurried
@pytest.mark.parametrize("audio_format", ["pcm_16000", "pcm_24000", "pcm_44100"])
async def test_converted_audio_is_known_as_well(tmp_path, audio_format):
    line = noise(3, 2.0, audio_format)
    line = replace(line, audio=line.audio + bytes(line.bytes_per_s // 25))  # speech fades; so do the filters

    async def script(agent: ScriptedAgent) -> None:
        await agent.begin()
        await agent.say(line, Delivery(chunk=line.bytes_per_s // 25), until_s=1.0)
        await agent.clear()
        await agent.end("", interrupted=True)
        await agent.begin()
        await agent.say(line, Delivery(chunk=641))
        await agent.end("")

    call = await one_call(tmp_path, script, ARCHER_CARTESIA__AUDIO_FORMAT=audio_format)

    assert call.problems == []
    assert len(call.errors) == 2
    assert sum(map(len, call.truth)) == pytest.approx(8000 + 16320, abs=FRAME)
    assert call.report.streams[0].underruns == ()


OFFSETS_S = (0.0, 0.001, 0.019, 0.02, 0.1, 0.4, 0.4001, 0.777, 0.8, 1.2345)


@unhurried
@pytest.mark.parametrize("delivery", [pytest.param(PACED, id="paced"), pytest.param(BURST, id="burst")])
@pytest.mark.parametrize("late", [pytest.param(0, id="clean"), pytest.param(3, id="late-audio")])
async def test_a_barge_in_cuts_where_the_ledger_says_at_any_offset(tmp_path, delivery, late):
    """0.4 and 0.8 s are exactly where marks stand."""

    async def script(agent: ScriptedAgent) -> None:
        for number, offset_s in enumerate(OFFSETS_S):
            await agent.cut_turn(noise(10 + number, 3.0), offset_s, delivery, late=late, end_first=number % 2 == 0)
            await agent.caller_turn(seconds=0.1)
        await agent.turn(noise(99, 0.5), delivery)

    call = await one_call(tmp_path, script)
    agent_turns = [turn for turn in call.turns if turn.role == "assistant"]

    assert call.problems == []
    assert [turn.heard_ms for turn in agent_turns] == [
        pytest.approx(offset_s * 1000, abs=20) for offset_s in (*OFFSETS_S, 0.5)
    ]
    assert call.numbers["barge_ins"] == len(call.report.clears_ms) == len(OFFSETS_S) - 1  # at 0.0 nothing had come
    assert call.report.streams[0].unplayed_bytes == 0


@unhurried
async def test_two_barge_ins_within_300_ms(tmp_path):
    async def script(agent: ScriptedAgent) -> None:
        await agent.cut_turn(noise(1, 3.0), 0.5, BURST, late=2)
        await agent.cut_turn(noise(2, 3.0), 0.25, BURST, late=2, end_first=True)
        await agent.clear()
        await agent.turn(noise(3, 0.5))

    call = await one_call(tmp_path, script)

    assert call.problems == []
    assert [turn.heard_ms for turn in call.turns] == [pytest.approx(ms, abs=20) for ms in (500, 250, 500)]
    assert len(call.report.clears_ms) == 2


@unhurried
@pytest.mark.parametrize(
    ("options", "under"),
    [
        pytest.param(faults(lost_mark_probability=0.5), 0, id="half-of-the-marks"),
        pytest.param(faults(lost_marks=frozenset(range(3, 20))), 0, id="all-but-the-first"),
        pytest.param(faults(lost_mark_probability=1.0), 2 * 250 * 8, id="every-mark"),
    ],
)
async def test_lost_marks_make_the_ledger_no_worse_than_careful(tmp_path, options, under):
    """Without a single echo the network's delay is unknown, and a quarter of a second is assumed each way."""

    async def script(agent: ScriptedAgent) -> None:
        await agent.turn(noise(1, 1.0))
        await agent.cut_turn(noise(2, 3.0), 0.9)
        await agent.caller_turn()
        await agent.turn(noise(3, 1.0))

    call = await one_call(tmp_path, script, options=options)

    assert call.stale_bytes == 0
    assert [error for error in call.errors if not -under - FRAME <= error <= FRAME] == []
    assert call.report.streams[0].unplayed_bytes == 0
    assert [turn.interrupted for turn in call.turns if turn.role == "assistant"] == [False, True, False]


@unhurried
async def test_late_echoes_neither_starve_the_caller_nor_move_the_cut(tmp_path):
    async def script(agent: ScriptedAgent) -> None:
        await agent.turn(noise(1, 2.0), BURST)
        await agent.cut_turn(noise(2, 3.0), 1.5, BURST)
        await agent.caller_turn()
        await agent.turn(noise(3, 2.0), BURST)

    call = await one_call(tmp_path, script, options=faults(mark_echo_delay_ms=600.0))

    assert call.problems == []
    assert call.report.streams[0].underruns == ()


@unhurried
async def test_the_caller_hangs_up_in_mid_word(tmp_path):
    async def script(agent: ScriptedAgent) -> None:
        await agent.turn(noise(1, 0.5))
        await agent.turn(LINE, BURST)
        await agent.stay()

    async def caller(phone: Caller) -> None:
        await phone.agent_speaking(after_ms=1234)
        await phone.hang_up()

    call = await one_call(tmp_path, script, caller=caller)

    assert call.end.outcome is Outcome.CALLER_HANGUP
    assert call.stale_bytes == 0
    assert abs(call.errors[-1]) <= FRAME
    assert [turn.heard_ms for turn in call.turns] == [500, pytest.approx(len(call.truth[0]) / 8 - 500, abs=20)]


@unhurried
async def test_keys_pressed_during_speech_reach_the_agent_and_change_nothing(tmp_path):
    async def script(agent: ScriptedAgent) -> None:
        await agent.turn(LINE)

    async def caller(phone: Caller) -> None:
        await phone.agent_speaking(after_ms=200)
        await phone.press("4821#")
        await phone.ended.wait()

    call = await one_call(tmp_path, script, caller=caller)

    assert call.problems == []
    assert call.agent is not None
    assert call.agent.digits == list("4821#")
    assert call.turns[0].heard_ms == 3000


@unhurried
@pytest.mark.parametrize(
    "how", ["the-agent-leaves", "the-agent-leaves-in-mid-turn", "the-tool", "the-tool-in-mid-turn"]
)
async def test_the_goodbye_is_heard_to_its_last_byte(tmp_path, how):
    goodbye = noise(7, 1.7)

    async def script(agent: ScriptedAgent) -> None:
        await agent.turn(noise(1, 0.3))
        if how == "the-agent-leaves":
            await agent.turn(goodbye, BURST)
        elif how == "the-agent-leaves-in-mid-turn":
            await agent.begin()
            await agent.say(goodbye, Delivery(chunk=79, speed=10.0), until_s=0.2)
        elif how == "the-tool":
            await agent.use_tool("end_call", reason="done")
            await agent.turn(goodbye)
            await agent.stay()
        else:
            await agent.begin()
            await agent.use_tool("end_call", reason="done")
            await agent.say(goodbye)
            await agent.end("")
            await agent.stay()

    call = await one_call(tmp_path, script)

    assert call.problems == []
    assert call.end.outcome is Outcome.COMPLETED
    assert call.heard_of(goodbye.audio)[0] == len(goodbye.audio)
    assert (call.report.streams[0].unplayed_bytes, call.report.ended_by) == (0, "bridge")


# ---- any call


@unhurried
@pytest.mark.slow  # thirty whole calls
@pytest.mark.parametrize("first", range(1, 31, 3))
async def test_randomised_calls_are_heard_as_the_ledger_says(first):
    """Thirty of them; `python -m tests.prove.heard` places a thousand."""
    results = await place_many(range(first, first + 3))

    assert [(seed, problems) for seed, problems, _ in results if problems] == []
    assert sum(counts["agent audio heard, s"] for _, _, counts in results) > 0


# ---- words

SENTENCES = "Your balance is nine hundred dollars. You can pay in six monthly payments."


def read(audio: bytes) -> str:
    """What a listener understands of mu-law audio in tones, with silence so that the last word ends."""
    chain = plan(MULAW_8K, PCM16_8K).build()
    return " ".join(heard.text for heard in transcribe(chain.feed(audio + b"\xff" * 8000), ear=open_ear("tones")))


@unhurried
@pytest.mark.parametrize("delivery", [pytest.param(PACED, id="paced"), pytest.param(BURST, id="burst")])
async def test_the_words_heard_are_those_a_listener_understood(tmp_path, delivery):
    """Every whole word that the caller heard is in `heard_text`, and no word of which the end was not heard."""
    line: Line = spoken(SENTENCES)
    offsets = (0.05, 0.33, 0.61, 1.0, 1.5, 2.22, 2.9, 3.7)

    async def script(agent: ScriptedAgent) -> None:
        for offset_s in offsets:
            await agent.cut_turn(line, offset_s, delivery, late=2)
            await agent.caller_turn(seconds=0.1)
        await agent.turn(line, delivery)

    call = await one_call(tmp_path, script)
    agent_turns = [turn for turn in call.turns if turn.role == "assistant"]
    understood = [read(audio) for audio in call.truth]

    assert len(understood) == len(agent_turns) == len(offsets) + 1
    for turn, truth in zip(agent_turns[:-1], understood[:-1], strict=True):
        assert turn.interrupted
        assert truth.startswith(turn.heard_text)
        assert len(truth[len(turn.heard_text) :].split()) <= 1  # the word within which it was cut
    assert (agent_turns[-1].heard_text, agent_turns[-1].interrupted) == (SENTENCES, False)
    assert understood[-1] == SENTENCES


# ---- the caller's side


@unhurried
@pytest.mark.parametrize(
    ("options", "lost_ms", "filled_ms"),
    [
        pytest.param(faults(), 0, 0, id="whole"),
        pytest.param(faults(gaps=(Span(1000, 20), Span(1500, 100), Span(2000, 700))), 820, 820, id="frames-lost"),
        pytest.param(faults(bursts=(Span(1000, 1000),)), 0, pytest.approx(830, abs=171), id="frames-late-in-a-burst"),
    ],
)
async def test_the_agent_hears_an_unbroken_caller(tmp_path, options, lost_ms, filled_ms):
    """What is lost is filled once, to the millisecond; what is late is delivered, and the wait for it filled."""

    async def script(agent: ScriptedAgent) -> None:
        await agent.turn(noise(1, 2.0))
        await agent.stay()

    async def caller(phone: Caller) -> None:
        await phone.wait(4)
        await phone.hang_up()

    call = await one_call(tmp_path, script, caller=caller, options=options)
    assert call.agent is not None

    assert call.report.streams[0].frames_lost * 20 == lost_ms
    assert call.numbers["gaps_filled_ms"] == filled_ms
    assert len(call.agent.received) / 8 == call.numbers["frames_in"] * 20 + call.numbers["gaps_filled_ms"]


@unhurried
async def test_the_agents_idle_rule_is_not_met_when_the_callers_audio_stops(tmp_path):
    """Ten seconds without a frame, before an agent that hangs up after one."""

    async def caller(phone: Caller) -> None:
        await phone.wait(12)
        await phone.hang_up()

    impatient = SimulatorOptions(voice="tones", idle_s=1.0)
    async with judged(tmp_path, simulator=impatient) as judge:
        call = await judge.call(caller, options=faults(gaps=(Span(1000, 10_000),)))

    assert call.end.outcome is Outcome.CALLER_HANGUP
    assert call.numbers["gaps_filled_ms"] == 10_000
    assert call.problems == []


@unhurried
async def test_a_caller_who_talks_over_the_agent_is_told_from_the_sound_alone(tmp_path):
    """No script: the simulated agent listens, notices the voice, clears, and sends five pieces too many."""

    async def caller(phone: Caller) -> None:
        await phone.agent_speaking(after_ms=1500)
        await phone.say("My account ends in 4821 and my zip code is 94107.")
        await phone.agent_finished()
        await phone.hang_up()

    rude = SimulatorOptions(voice="tones", faults=Faults(late_chunks=5, double_clear=True))
    async with judged(tmp_path, simulator=rude) as judge:
        call = await judge.call(caller)
    greeting = call.turns[0]
    understood = read(call.truth[0])

    assert call.problems == []
    assert (call.numbers["barge_ins"], call.numbers["stale_frames"]) == (1, 5)
    assert greeting.interrupted
    assert understood.startswith(greeting.heard_text)
    assert len(understood[len(greeting.heard_text) :].split()) <= 1
    assert greeting.heard_ms == pytest.approx(len(call.truth[0]) / 8, abs=20)
