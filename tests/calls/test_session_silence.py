"""No dead air, as the caller hears it: slow tools, engines that fall silent, engines that are not there."""

from collections.abc import Awaitable, Callable, Iterable
from pathlib import Path

import pytest

from archer_bridge.devkit.cartesia import PRESET_AGENT_ID, AgentLink, Faults, SimulatorOptions
from archer_bridge.devkit.dialogue import Action, CallTool, Say
from archer_bridge.devkit.phone import Caller, CallReport
from archer_bridge.devkit.phone.tape import VOICED_RMS, frame_levels
from archer_bridge.models import CallRow, Outcome
from tests.support import slow_tools
from tests.support.brains import Mind, heard_texts, longest_silence_ms, minds
from tests.support.virtual import virtual
from tests.support.world import World, world

SORRY = "We are sorry"
Script = Callable[[Caller], Awaitable[None]]
ANSWER = "Here it is."


def simulator(mind: Mind, *faults: str, **more: object) -> SimulatorOptions:
    return SimulatorOptions(voice="tones", agent=minds(mind), any_tool=True, faults=Faults.parse(faults), **more)  # type: ignore[arg-type]  # options by name


async def asks_once(caller: Caller) -> None:
    """Hear the greeting, ask something, wait for what comes, and stay until somebody ends it."""
    await caller.agent_finished()
    await caller.say("Hello there")


async def asks_and_gets_an_answer(caller: Caller) -> None:
    await asks_once(caller)
    await caller.wait(10.5)
    await caller.hang_up()


async def remarks(caller: Caller) -> None:
    """Say what cannot be taken for a cough."""
    await caller.agent_finished()
    await caller.say("Hello, are you listening to me?")


async def waits(caller: Caller) -> None:
    await caller.ended.wait()


async def events(here: World, report: CallReport, kind: str) -> list[dict[str, object]]:
    await here.service.live.wait_empty()  # the phone may know of the end before the record does
    return [dict(event.data) for event in await here.store.events(report.call_sid) if event.kind == kind]


async def row_of(here: World, report: CallReport) -> CallRow:
    await here.service.live.wait_empty()
    row = await here.store.get_call(report.call_sid)
    assert row is not None
    return row


def apology_ms(report: CallReport, lost_ms: float) -> float:
    """Return how long after the loss something is heard again; what was in flight then sounds a little longer."""
    in_flight_ms = 400.0
    levels = frame_levels(report.heard[round((lost_ms + in_flight_ms) * 8) :])
    return next((in_flight_ms + n * 20 for n, level in enumerate(levels) if level >= VOICED_RMS), float("inf"))


@pytest.mark.parametrize(
    ("before", "seconds", "fillers"),
    [
        pytest.param((), 6.0, 1, id="six-seconds"),
        pytest.param((Say("Let me check that for you."),), 6.0, 1, id="six-seconds-after-a-sentence"),
        pytest.param((), 0.1, 0, id="fast"),
    ],
)
@virtual(max_speed=20)  # the database must not make a fast tool a slow one
async def test_no_dead_air_while_a_tool_runs(
    before: Iterable[Action], seconds: float, fillers: int, tmp_path: Path
) -> None:
    mind = Mind(answer=(*before, CallTool("lookup", {"seconds": seconds})), after=(Say(ANSWER),))
    async with world(tmp_path, simulator=simulator(mind), **slow_tools.ENABLED) as here:
        report = await here.call(asks_and_gets_an_answer)
        await here.service.live.wait_empty()
        asked_ms = report.turns[0].end_ms
        turns = await here.store.turns(report.call_sid)
        answer_ms = report.streams[0].start_ms + turns[-1].started_ms

        assert longest_silence_ms(report, asked_ms, answer_ms) < 1500
        assert [turn.heard_text for turn in turns if turn.role == "assistant"][-1].endswith(ANSWER)
        assert not any(turn.interrupted for turn in turns)
        assert heard_texts(report, asked_ms)[-1].endswith(ANSWER)
        assert len(await events(here, report, "filler")) == fillers
        assert (await row_of(here, report)).numbers["fillers"] == fillers


@virtual(max_speed=5)  # the database takes little of the virtual time, so that the answer meets the filler
async def test_the_agents_first_word_clears_the_filler_and_plays_at_once(tmp_path: Path) -> None:
    mind = Mind(answer=(CallTool("lookup", {"seconds": 0.85}),), after=(Say(ANSWER),))

    async def script(caller: Caller) -> None:
        await asks_once(caller)
        await caller.wait(4)
        await caller.hang_up()

    async with world(tmp_path, simulator=simulator(mind), **slow_tools.ENABLED) as here:
        report = await here.call(script)
        stream = report.streams[0]
        (cleared_ms,) = stream.clears_ms
        after = [segment for segment in stream.played if segment.start_ms > cleared_ms - 1]

        assert stream.flushed_bytes > 0
        assert after[0].start_ms - cleared_ms <= 20
        assert heard_texts(report, cleared_ms) == [ANSWER]


BESIDE = {
    "type": "client",
    "name": "lookup_beside",
    "description": "Looks something up.",
    "parameters": {"type": "object", "properties": {"seconds": {"type": "number"}}, "required": ["seconds"]},
}


@virtual
async def test_with_an_async_tool_the_conversation_goes_on_without_filler(tmp_path: Path) -> None:
    mind = Mind(answer=(Say("One thing more."), CallTool("lookup_beside", {"seconds": 6.0})))
    async with world(tmp_path, simulator=simulator(mind), **slow_tools.ENABLED) as here:
        account = here.simulator.account
        made = account.create_tool({**BESIDE, "execution_mode": "async"})
        account.change_agent(PRESET_AGENT_ID, {"config": {"tools": [{"id": made["id"]}]}})
        report = await here.call(asks_and_gets_an_answer)

        assert await events(here, report, "filler") == []


@virtual
async def test_a_tool_may_ask_for_patience_itself(tmp_path: Path) -> None:
    mind = Mind(answer=(CallTool("ask_for_patience", {"seconds": 6.0}),), after=(Say(ANSWER),))
    async with world(tmp_path, simulator=simulator(mind), **slow_tools.ENABLED) as here:
        report = await here.call(asks_and_gets_an_answer)

        assert await events(here, report, "filler") == [{"why": "this takes a while"}]


@virtual
async def test_a_tool_slower_than_the_fallback_costs_no_call(tmp_path: Path) -> None:
    mind = Mind(answer=(CallTool("lookup", {"seconds": 11.0}),), after=(Say(ANSWER),))

    async def script(caller: Caller) -> None:
        await asks_once(caller)
        await caller.wait(16)
        await caller.hang_up()

    async with world(tmp_path, simulator=simulator(mind), **slow_tools.ENABLED) as here:
        report = await here.call(script)

        assert (await row_of(here, report)).outcome is Outcome.CALLER_HANGUP
        assert heard_texts(report)[-1] == ANSWER


SILENT = Mind(greeting=())
STORY = Mind(greeting=(Say("This is a long greeting that goes on and on and on, and never seems to come to an end."),))


@pytest.mark.parametrize(
    ("mind", "faults", "fillers"),
    [
        pytest.param(SILENT, [], 1, id="ready-but-silent"),
        pytest.param(STORY, ["stall-after=2"], 2, id="stalls-in-mid-sentence"),
    ],
)
@virtual
async def test_an_agent_that_falls_silent_is_replaced_and_then_given_up(
    mind: Mind, faults: list[str], fillers: int, tmp_path: Path
) -> None:
    async with world(tmp_path, simulator=simulator(mind, *faults)) as here:
        report = await here.call(waits)
        row = await row_of(here, report)
        lost_ms = report.streams[0].start_ms + (row.duration_ms or 0)

        assert row.outcome is Outcome.VENDOR_LOST
        assert (row.reason or "").startswith("the agent said nothing for 8")
        assert row.numbers["engine_resumed"] == 1
        assert await events(here, report, "filler") == [{"why": "dead_air"}] * fillers
        assert len(await events(here, report, "dead_air")) == 2
        assert SORRY in heard_texts(report, lost_ms)[-1]
        assert apology_ms(report, lost_ms) < 3000
        assert longest_silence_ms(report, 0.0, report.duration_ms) < 5000


@pytest.mark.parametrize(
    ("mind", "faults", "script"),
    [
        pytest.param(Mind(), [], asks_once, id="no-answer-to-the-caller"),
        pytest.param(Mind(answer=(Say("Yes."),)), ["stall-after=0.8"], remarks, id="stalls-and-notices-nothing"),
        pytest.param(Mind(answer=(Say("Yes."),)), ["stall-after=1.4"], asks_once, id="stalls-in-the-callers-turn"),
    ],
)
@virtual
async def test_a_caller_who_gets_no_answer_gets_another_session(
    mind: Mind, faults: list[str], script: Script, tmp_path: Path
) -> None:
    async with world(tmp_path, simulator=simulator(mind, *faults)) as here:

        async def asks_and_waits(caller: Caller) -> None:
            await script(caller)
            await caller.wait(12)
            await caller.hang_up()

        report = await here.call(asks_and_waits)
        row = await row_of(here, report)
        asked_ms = report.turns[-1].end_ms

        assert row.outcome is Outcome.CALLER_HANGUP
        assert row.numbers["engine_resumed"] == 1
        assert len(await events(here, report, "dead_air")) == 1
        assert heard_texts(report, asked_ms)[-1] == "Hi."
        assert longest_silence_ms(report, asked_ms, asked_ms + 10_000) < 5000


async def closes_before_ready(link: AgentLink) -> None:
    await link.receive()
    await link.close(1000)


async def fails_before_ready(link: AgentLink) -> None:
    await link.receive()
    await link.close(1011, "no capacity")


@pytest.mark.parametrize(
    ("faults", "raw", "outcome"),
    [
        pytest.param(["refuse=401"], None, Outcome.VENDOR_UNAVAILABLE, id="refused"),
        pytest.param(["refuse=503"], None, Outcome.VENDOR_UNAVAILABLE, id="overloaded"),
        pytest.param(["never-ready"], None, Outcome.VENDOR_UNAVAILABLE, id="never-ready"),
        pytest.param([], closes_before_ready, Outcome.VENDOR_UNAVAILABLE, id="closes-before-ready"),
        pytest.param([], fails_before_ready, Outcome.VENDOR_UNAVAILABLE, id="fails-before-ready"),
        pytest.param(["close-after=1:1011:agent failed"], None, Outcome.VENDOR_LOST, id="closes-in-mid-sentence"),
        pytest.param(["reset-after=1"], None, Outcome.VENDOR_LOST, id="reset-in-mid-sentence"),
        pytest.param(["fatal-error=1"], None, Outcome.VENDOR_LOST, id="fatal-error"),
    ],
)
@virtual
async def test_a_lost_agent_is_apologised_for(faults: list[str], raw: object, outcome: Outcome, tmp_path: Path) -> None:
    async with world(tmp_path, simulator=simulator(STORY, *faults, raw_session=raw)) as here:
        report = await here.call(waits)
        row = await row_of(here, report)
        lost_ms = report.streams[0].start_ms + (row.duration_ms or 0)

        assert row.outcome is outcome
        assert SORRY in heard_texts(report, lost_ms)[-1]
        assert apology_ms(report, lost_ms) < 3000
        assert report.violations == ()
        assert report.ended_by == "bridge"


@virtual
async def test_one_refusal_is_tried_again(tmp_path: Path) -> None:
    async with world(tmp_path, simulator=simulator(Mind(), "refuse=503:1")) as here:

        async def script(caller: Caller) -> None:
            await caller.agent_finished()
            await caller.hang_up()

        report = await here.call(script)

        assert (await row_of(here, report)).outcome is Outcome.CALLER_HANGUP
        assert heard_texts(report) == ["Hi."]
