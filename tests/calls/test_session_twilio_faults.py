"""Twilio's faults: every call ends, once, with the outcome that is true, or goes on."""

from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from archer_bridge.devkit.cartesia import SimulatorOptions
from archer_bridge.devkit.dialogue import Say
from archer_bridge.devkit.phone import Caller, PhoneOptions, StreamFaults
from archer_bridge.devkit.phone.options import Span
from archer_bridge.models import CallState, Outcome
from tests.support.brains import Mind, heard_texts, minds
from tests.support.engine_sessions import forever, simulated
from tests.support.scripted_agent import ScriptedAgent, spoken
from tests.support.virtual import virtual
from tests.support.world import world

TALKS = Mind(greeting=(Say("This is a long story that goes on and on and on, and never comes to an end."),))
SORRY = "We are sorry"
Script = Callable[[Caller], Awaitable[None]]


async def hangs_up(caller: Caller) -> None:
    await caller.agent_speaking(after_ms=600)
    await caller.hang_up()


async def waits(caller: Caller) -> None:
    await caller.ended.wait()


async def hangs_up_later(caller: Caller) -> None:
    await caller.wait(8)
    await caller.hang_up()


@pytest.mark.parametrize(
    ("faults", "script", "outcome", "streams"),
    [
        pytest.param(StreamFaults(), hangs_up, Outcome.CALLER_HANGUP, 1, id="stop-and-close"),
        pytest.param(StreamFaults(no_stop=True), hangs_up, Outcome.CALLER_HANGUP, 1, id="close-without-stop"),
        pytest.param(StreamFaults(abrupt_end=True), hangs_up, Outcome.CALLER_HANGUP, 1, id="neither"),
        pytest.param(StreamFaults(start="late"), hangs_up, Outcome.CALLER_HANGUP, 1, id="late-start"),
        pytest.param(StreamFaults(start="never"), waits, Outcome.NO_STREAM, 1, id="no-start"),
        pytest.param(StreamFaults(start="duplicate"), hangs_up, Outcome.CALLER_HANGUP, 1, id="duplicate-start"),
        pytest.param(StreamFaults(media_before_start=5), hangs_up, Outcome.CALLER_HANGUP, 1, id="media-first"),
        pytest.param(StreamFaults(lost_mark_probability=1.0), hangs_up, Outcome.CALLER_HANGUP, 1, id="lost-marks"),
        pytest.param(StreamFaults(mark_echo_delay_ms=800), hangs_up, Outcome.CALLER_HANGUP, 1, id="late-marks"),
        pytest.param(StreamFaults(second_socket_at_ms=500), hangs_up_later, Outcome.CALLER_HANGUP, 1, id="two-sockets"),
        pytest.param(
            StreamFaults(slow_reader=Span(500, 3000)), hangs_up_later, Outcome.CALLER_HANGUP, 1, id="slow-reader"
        ),
        pytest.param(
            StreamFaults(half_dead_at_ms=900, half_dead_for_s=5),
            hangs_up_later,
            Outcome.CALLER_HANGUP,
            2,
            id="half-dead",
        ),
        pytest.param(StreamFaults(half_dead_at_ms=900), waits, Outcome.CALLER_HANGUP, 1, id="half-dead-for-long"),
        pytest.param(StreamFaults(abrupt_at_ms=1500), waits, Outcome.CALLER_HANGUP, 3, id="reset-again-and-again"),
    ],
)
@virtual
async def test_every_call_ends_with_its_outcome(
    faults: StreamFaults, script: Script, outcome: Outcome, streams: int, tmp_path: Path
) -> None:
    options = SimulatorOptions(voice="tones", agent=minds(TALKS))
    async with world(tmp_path, simulator=options) as here:
        report = await here.call(script, options=PhoneOptions(voice="tones", faults=faults))
        await here.settled()
        row = await here.store.get_call(report.call_sid)
        ends = [event for event in await here.store.events(report.call_sid) if event.kind == "call_ended"]

        assert row is not None
        assert (row.state, row.outcome) == (CallState.ENDED, outcome)
        assert len(ends) == 1
        assert len(report.streams) == streams
        assert here.simulator.sessions == {}
        assert report.violations == ()
        assert (await here.store.check()).problems == ()


@pytest.mark.parametrize(("after", "goes_on"), [("continue", True), ("end", False)])
@virtual
async def test_a_connection_that_breaks_costs_no_call_if_twilio_goes_on(
    after: str, goes_on: bool, tmp_path: Path
) -> None:
    async def first(agent: ScriptedAgent) -> None:
        await agent.turn(spoken("What can I do for you?"))
        await forever(agent)

    async def second(agent: ScriptedAgent) -> None:
        await agent.turn(spoken("Now we go on."))
        await forever(agent)

    sessions, simulator = simulated(first, second)
    async with world(tmp_path, simulator=simulator) as here:

        async def script(caller: Caller) -> None:
            while len(sessions.agents) < 2 or not sessions.agents[1].said:
                await caller.wait(0.2)
            await caller.wait(1.5)
            await caller.hang_up()

        faults = StreamFaults(abrupt_at_ms=3000)
        options = PhoneOptions(voice="tones", faults=faults, after_tcp_loss=after)  # type: ignore[arg-type]  # one of the two
        report = await here.call(script, options=options)
        await here.settled()
        row = await here.store.get_call(report.call_sid)
        turns = await here.store.turns(report.call_sid)
        checked = await here.store.check()

        assert row is not None
        assert row.outcome is Outcome.CALLER_HANGUP
        assert here.service.live.ended == {"caller_hangup": 1}
        assert [turn.number for turn in turns] == ([1, 2] if goes_on else [1])
        assert ("Now we go on." in heard_texts(report, 3000)) == goes_on
        assert len(sessions.agents) == (2 if goes_on else 1)
        assert checked.problems == ()
        if goes_on:
            told = str(sessions.agents[1].variables["persona"])
            assert "You: What can I do for you?" in told
            assert "verified once more" in told
            assert turns[1].started_ms >= turns[0].ended_ms


@virtual
async def test_words_for_a_caller_whose_line_was_dead_for_long(tmp_path: Path) -> None:
    options = SimulatorOptions(voice="tones", agent=minds(TALKS))
    faults = StreamFaults(half_dead_at_ms=900)
    async with world(tmp_path, simulator=options) as here:
        report = await here.call(waits, options=PhoneOptions(voice="tones", faults=faults))

        assert SORRY in heard_texts(report)[-1]
