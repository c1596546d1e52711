"""A call that goes on with another session of its agent: what the new one is told, what stays true of the record."""

import asyncio
from pathlib import Path
from typing import Any

from archer_bridge.calls.session import CallSession
from archer_bridge.devkit.phone import Caller, CallReport
from archer_bridge.devkit.phone.tape import VOICED_RMS, frame_levels
from archer_bridge.models import Outcome, ToolStatus
from tests.support import slow_tools
from tests.support.brains import heard_texts
from tests.support.engine_sessions import RESUMED, Sessions, forever, goes_on, simulated
from tests.support.scripted_agent import BURST, ScriptedAgent, noise, spoken
from tests.support.virtual import virtual
from tests.support.world import World, world

GREETING = "I am sorry, the line was interrupted for a moment."


async def hears_it_go_on(caller: Caller, sessions: Sessions) -> None:
    while len(sessions.agents) < 2 or not sessions.agents[1].said:
        await caller.wait(0.5)
    await caller.wait(5)
    await caller.hang_up()


async def call(here: World, sessions: Sessions) -> CallReport:
    report = await here.call(lambda caller: hears_it_go_on(caller, sessions))
    await here.service.live.wait_empty()
    await here.service.agent.tools.drain(60)
    await here.store.flush()
    assert here.simulator.failures == []
    return report


@virtual
async def test_a_new_session_is_told_what_was_heard_and_what_the_tools_answered(tmp_path: Path) -> None:
    async def first(agent: ScriptedAgent) -> None:
        await agent.turn(spoken("What can I do for you?"))
        await agent.caller_turn("Look something up.")
        await agent.use_tool("lookup", seconds=0.1)
        await agent.begin()
        await agent.say(spoken("I have found what you are looking for."), until_s=1.0)
        agent.link.reset()
        await forever(agent)

    sessions, simulator = simulated(first, goes_on)
    async with world(tmp_path, simulator=simulator, **slow_tools.ENABLED) as here:
        report = await call(here, sessions)
        turns = await here.store.turns(report.call_sid)
        row = await here.store.get_call(report.call_sid)

    told = sessions.agents[1].variables
    cut = next(turn for turn in turns if turn.number == 3)
    assert sessions.agents[0].variables["greeting"] != told["greeting"] == GREETING
    assert str(told["persona"]).startswith(str(sessions.agents[0].variables["persona"]))
    for line in ("You: What can I do for you?", "Caller: Look something up.", '- lookup: {"found":"yes"}'):
        assert line in told["persona"]
    assert f"You: {cut.heard_text}" in told["persona"]
    assert "looking for" not in told["persona"]
    assert [(turn.number, turn.role) for turn in turns] == [
        (1, "assistant"),
        (2, "user"),
        (3, "assistant"),
        (4, "assistant"),
    ]
    assert turns[-1].heard_text == RESUMED
    assert row is not None
    assert (row.outcome, row.numbers["engine_resumed"], row.numbers["tools"]) == (Outcome.CALLER_HANGUP, 1, 1)


@virtual
async def test_a_side_effect_under_way_happens_once_and_answers_nobody_who_did_not_ask(tmp_path: Path) -> None:
    answers: list[dict[str, Any]] = []

    async def first(agent: ScriptedAgent) -> None:
        await agent.turn(spoken("Hi."))
        asked = asyncio.create_task(agent.use_tool("pay_the_bill", seconds=3.0), name="asked")
        await asyncio.sleep(1)
        asked.cancel()
        agent.link.reset()
        await forever(agent)

    async def second(agent: ScriptedAgent) -> None:
        await agent.turn(spoken(RESUMED))
        answers.append(await agent.use_tool("pay_the_bill", seconds=3.0))
        await asyncio.sleep(3)
        answers.append(await agent.use_tool("pay_the_bill", seconds=3.0))
        await forever(agent)

    sessions, simulator = simulated(first, second)
    async with world(tmp_path, simulator=simulator, **slow_tools.ENABLED) as here:
        report = await call(here, sessions)
        rows = await here.store.tool_rows(report.call_sid)

    assert "pay_the_bill" in str(sessions.agents[1].variables["persona"])
    assert [row.status for row in rows].count(ToolStatus.OK) == 1
    assert {row.status for row in rows} <= {ToolStatus.OK, ToolStatus.DENIED}
    assert len({row.key for row in rows}) == len(rows)
    assert answers[-1]["result"] == '{"paid":true}'


@virtual
async def test_what_the_dead_session_had_said_is_heard_to_its_end(tmp_path: Path) -> None:
    line = noise(7, 2.0)

    async def first(agent: ScriptedAgent) -> None:
        await agent.begin()
        asyncio.get_running_loop().call_later(0.5, agent.link.reset)
        await agent.say(line, BURST)
        await forever(agent)

    sessions, simulator = simulated(first, goes_on)
    async with world(tmp_path, simulator=simulator) as here:
        report = await call(here, sessions)
        turns = await here.store.turns(report.call_sid)

    assert line.audio in report.heard
    assert [turn.heard_ms for turn in turns if turn.number == 1] == [2000.0]
    assert heard_texts(report)[-1] == RESUMED


@virtual
async def test_what_the_caller_says_meanwhile_reaches_the_new_session(tmp_path: Path) -> None:
    async def first(agent: ScriptedAgent) -> None:
        await agent.turn(spoken("Hi."))
        await asyncio.sleep(1)
        agent.link.reset()
        await forever(agent)

    async def second(agent: ScriptedAgent) -> None:
        agent.said.append(None)  # type: ignore[arg-type]  # that it is here
        await forever(agent)

    sessions, simulator = simulated(first, second)
    async with world(tmp_path, simulator=simulator) as here:

        async def script(caller: Caller) -> None:
            await caller.agent_finished()
            talking = asyncio.create_task(caller.say("Can you hear me now, I am talking all the time?"), name="talk")
            await hears_it_go_on(caller, sessions)
            await talking

        await here.call(script)
        await here.service.live.wait_empty()

    levels = frame_levels(bytes(sessions.agents[1].received[: 8 * 300]))
    assert max(levels) >= VOICED_RMS


@virtual
async def test_an_agent_that_breaks_off_again_and_again_is_given_up(tmp_path: Path) -> None:
    async def short(agent: ScriptedAgent) -> None:
        await agent.begin()
        await agent.say(spoken("Hello hello."), until_s=0.5)
        agent.link.reset()
        await forever(agent)

    sessions, simulator = simulated(short)
    async with world(tmp_path, simulator=simulator) as here:
        report = await here.call(lambda caller: caller.ended.wait())  # type: ignore[arg-type,return-value]  # its result is of no interest
        await here.service.live.wait_empty()
        row = await here.store.get_call(report.call_sid)

    assert row is not None
    assert row.outcome is Outcome.VENDOR_LOST
    assert len(sessions.agents) == 1 + 3
    assert "We are sorry" in heard_texts(report)[-1]


@virtual
async def test_a_tool_that_ends_the_call_while_the_agent_is_away_lets_it_say_goodbye(tmp_path: Path) -> None:
    async def first(agent: ScriptedAgent) -> None:
        await agent.turn(spoken("Hi."))
        asked = asyncio.create_task(agent.use_tool("leave", seconds=1.05), name="asked")
        await asyncio.sleep(1)
        asked.cancel()
        agent.link.reset()
        await forever(agent)

    async def second(agent: ScriptedAgent) -> None:
        await agent.turn(spoken("Goodbye then."))
        await forever(agent)

    sessions, simulator = simulated(first, second)
    async with world(tmp_path, simulator=simulator, **slow_tools.ENABLED) as here:
        report = await here.call(lambda caller: caller.ended.wait())  # type: ignore[arg-type,return-value]  # its result is of no interest
        await here.settled()
        row = await here.store.get_call(report.call_sid)

    assert row is not None
    assert (row.outcome, row.reason) == (Outcome.COMPLETED, "all is said")
    assert heard_texts(report)[-1] == "Goodbye then."
    assert report.ended_by == "bridge"


@virtual
async def test_settings_can_forbid_it(tmp_path: Path) -> None:
    async def first(agent: ScriptedAgent) -> None:
        await agent.turn(spoken("Hi."))
        agent.link.reset()
        await forever(agent)

    sessions, simulator = simulated(first)
    async with world(tmp_path, simulator=simulator, ARCHER_CARTESIA__RESUME_AT_MOST="0") as here:
        seen: list[CallSession] = []

        async def script(caller: Caller) -> None:
            seen.extend(here.service.live)
            await caller.ended.wait()

        report = await here.call(script)
        await here.service.live.wait_empty()
        row = await here.store.get_call(report.call_sid)

    assert row is not None
    assert row.outcome is Outcome.VENDOR_LOST
    assert len(sessions.agents) == 1
