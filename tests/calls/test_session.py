"""A call's life over real sockets: however it ends, it ends once, recorded, and leaves nothing running."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from archer_bridge.calls.session import CallSession
from archer_bridge.devkit.cartesia import Faults, SimulatorOptions
from archer_bridge.devkit.dialogue import CallTool, HangUp, Say
from archer_bridge.devkit.phone import Caller, CallReport, PhoneOptions, StreamFaults
from archer_bridge.errors import StoreUnavailable
from archer_bridge.models import CallRow, CallState, Outcome, ToolRequest, ToolStatus, Turn
from archer_bridge.ports import ToolCalled
from tests.support import slow_tools
from tests.support.brains import Mind, heard_texts, minds
from tests.support.virtual import virtual
from tests.support.world import World, world

STORY = Say("This is a long story that goes on and on and on, and never seems to come to an end.")
Script = Callable[[World, Caller], Awaitable[None]]


@dataclass(frozen=True)
class Call:
    """What is left of a call that was watched."""

    report: CallReport
    row: CallRow
    logs: list[dict[str, Any]]

    def logged(self, event: str) -> list[dict[str, Any]]:
        return [line for line in self.logs if line["event"] == event]


async def hangs_up(here: World, caller: Caller) -> None:
    await caller.agent_speaking(after_ms=300)
    await caller.hang_up()


async def waits(here: World, caller: Caller) -> None:
    await caller.ended.wait()


async def hangs_up_with_the_engine(here: World, caller: Caller) -> None:
    await here.simulator.feed.expect("closed")
    await caller.hang_up()


async def hangs_up_during_the_tool(here: World, caller: Caller) -> None:
    await here.simulator.feed.expect("tool_called")
    await caller.wait(0.5)
    await caller.hang_up()


async def ends_it_from_outside(here: World, caller: Caller) -> None:
    await caller.agent_speaking(after_ms=300)
    (session,) = here.service.live
    session.end_now(Outcome.DRAINED, "the bridge is restarting")
    session.end_now(Outcome.COMPLETED, "too late")
    await caller.ended.wait()


async def stops_twice(here: World, caller: Caller) -> None:
    await caller.agent_speaking(after_ms=300)
    session = only_session(here)
    session.stream_stopped()
    session.stream_stopped()
    await caller.ended.wait()


def only_session(here: World) -> CallSession:
    (session,) = here.service.live
    return session


async def watched_call(here: World, script: Script, stream: StreamFaults) -> Call:
    """Place a call; nothing may be left running by it."""
    before = names_of_tasks()
    options = PhoneOptions(voice="tones", faults=stream)
    with capture_logs() as logs:
        report = await here.call(lambda caller: script(here, caller), options=options)
        await here.settled()
        await here.service.agent.tools.drain(30)
        await asyncio.sleep(1)
    row = await here.store.get_call(report.call_sid)
    assert row is not None

    assert names_of_tasks() <= before
    assert len(here.service.live) == 0
    assert len(here.service.agent.beats.audio) == len(here.service.agent.beats.checks) == 0
    return Call(report, row, logs)  # type: ignore[arg-type]  # structlog's own mappings


def names_of_tasks() -> set[str]:
    """Name what runs: the tasks of a call carry its id or their purpose."""
    return {task.get_name() for task in asyncio.all_tasks() if not task.get_name().startswith("Task-")}


TALKS = Mind(greeting=(STORY,))
GOODBYE = Mind(greeting=(Say("Goodbye then."), HangUp()))
PAYS = Mind(greeting=(Say("Paying."), CallTool("pay", {"seconds": 6.0})), after=(STORY,))
NONE = StreamFaults()


@pytest.mark.parametrize(
    ("mind", "engine", "stream", "script", "outcome"),
    [
        pytest.param(TALKS, [], NONE, hangs_up, Outcome.CALLER_HANGUP, id="stop"),
        pytest.param(TALKS, [], StreamFaults(no_stop=True), hangs_up, Outcome.CALLER_HANGUP, id="close-only"),
        pytest.param(TALKS, [], StreamFaults(abrupt_end=True), hangs_up, Outcome.CALLER_HANGUP, id="reset"),
        pytest.param(TALKS, [], StreamFaults(abrupt_at_ms=900), waits, Outcome.CALLER_HANGUP, id="reset-by-itself"),
        pytest.param(TALKS, [], StreamFaults(half_dead_at_ms=900), waits, Outcome.CALLER_HANGUP, id="half-dead"),
        pytest.param(TALKS, [], NONE, stops_twice, Outcome.CALLER_HANGUP, id="stops-twice"),
        pytest.param(GOODBYE, [], NONE, waits, Outcome.COMPLETED, id="the-agent-hangs-up"),
        pytest.param(TALKS, ["close-after=1"], NONE, waits, Outcome.VENDOR_LOST, id="engine-lost"),
        pytest.param(TALKS, ["close-after=1:1000"], NONE, waits, Outcome.COMPLETED, id="engine-done-mid-turn"),
        pytest.param(TALKS, ["refuse=401"], NONE, waits, Outcome.VENDOR_UNAVAILABLE, id="engine-refuses"),
        pytest.param(TALKS, ["never-ready"], NONE, waits, Outcome.VENDOR_UNAVAILABLE, id="engine-never-ready"),
        pytest.param(TALKS, ["garbage-frame", "binary-frame"], NONE, hangs_up, Outcome.CALLER_HANGUP, id="garbage"),
        pytest.param(
            TALKS, ["close-after=1"], NONE, hangs_up_with_the_engine, Outcome.CALLER_HANGUP, id="both-at-once"
        ),
        pytest.param(GOODBYE, [], NONE, hangs_up_with_the_engine, Outcome.COMPLETED, id="both-at-the-goodbye"),
        pytest.param(PAYS, [], NONE, hangs_up_during_the_tool, Outcome.CALLER_HANGUP, id="during-a-tool"),
        pytest.param(PAYS, ["close-after=3"], NONE, waits, Outcome.VENDOR_LOST, id="engine-lost-during-tools"),
        pytest.param(TALKS, [], NONE, ends_it_from_outside, Outcome.DRAINED, id="drained"),
    ],
)
@virtual
async def test_a_call_ends_once_and_leaves_nothing_running(
    mind: Mind, engine: list[str], stream: StreamFaults, script: Script, outcome: Outcome, tmp_path: Path
) -> None:
    options = SimulatorOptions(voice="tones", agent=minds(mind), any_tool=True, faults=Faults.parse(engine))
    async with world(tmp_path, simulator=options, **slow_tools.ENABLED) as here:
        call = await watched_call(here, script, stream)
        (ended,) = call.logged("call_ended")
        tools = await here.store.tool_rows(call.report.call_sid)

        assert (call.row.state, call.row.outcome) == (CallState.ENDED, outcome)
        assert (ended["outcome"], ended["recorded"]) == (outcome.value, True)
        assert call.logged("call_failed") == []
        assert here.service.live.ended == {outcome.value: 1}
        assert {tool.status for tool in tools} <= {ToolStatus.OK, ToolStatus.DENIED}
        assert any(tool.status is ToolStatus.OK for tool in tools) == (mind is PAYS)
        assert call.report.violations == ()


@pytest.mark.parametrize(
    ("settings", "script", "outcome", "words"),
    [
        pytest.param(
            {"ARCHER_CALLS__MAX_DURATION_S": "2"},
            waits,
            Outcome.MAX_DURATION,
            "We have come to the longest time for one call.",
            id="too-long",
        ),
        pytest.param({}, ends_it_from_outside, Outcome.DRAINED, "We are sorry, we have to interrupt", id="drained"),
    ],
)
@virtual
async def test_a_call_that_we_end_is_ended_with_words(
    settings: dict[str, str], script: Script, outcome: Outcome, words: str, tmp_path: Path
) -> None:
    options = SimulatorOptions(voice="tones", agent=minds(TALKS))
    async with world(tmp_path, simulator=options, **settings) as here:
        call = await watched_call(here, script, NONE)

        assert call.row.outcome is outcome
        assert words in " ".join(heard_texts(call.report))
        assert call.report.verbs == ("Connect", "Say", "Hangup")


@virtual
async def test_a_cancelled_session_is_still_recorded(tmp_path: Path) -> None:
    async def is_cancelled(here: World, caller: Caller) -> None:
        await caller.agent_speaking(after_ms=300)
        parent = next(task for task in asyncio.all_tasks() if "media_stream" in coroutine_names(task))
        parent.cancel()
        await caller.ended.wait()

    options = SimulatorOptions(voice="tones", agent=minds(TALKS))
    async with world(tmp_path, simulator=options) as here:
        call = await watched_call(here, is_cancelled, NONE)

        assert (call.row.state, call.row.outcome) == (CallState.ENDED, Outcome.DRAINED)
        assert len(call.logged("call_ended")) == 1
        assert here.service.live.ended == {"drained": 1}


def coroutine_names(task: asyncio.Task[Any]) -> list[str]:
    names, coroutine = [], task.get_coro()
    while coroutine is not None and hasattr(coroutine, "cr_code"):
        names.append(coroutine.cr_code.co_name)
        coroutine = coroutine.cr_await
    return names


@virtual
async def test_a_bug_ends_its_own_call_only_with_words_and_a_record(tmp_path: Path) -> None:
    def broken(call_sid: str, turn: Turn) -> None:
        raise RuntimeError("a bug")

    options = SimulatorOptions(voice="tones", agent=minds(Mind()))
    async with world(tmp_path, simulator=options) as here:
        here.service.agent = replace(here.service.agent, on_turn=broken)
        call = await watched_call(here, waits, NONE)

        assert call.row.outcome is Outcome.INTERNAL_ERROR
        assert len(call.logged("call_ended")) == 1
        assert call.logged("call_failed")
        assert "technical problem" in heard_texts(call.report)[-1]


@virtual
async def test_a_store_that_is_away_at_the_end_costs_neither_time_nor_the_outcome(tmp_path: Path) -> None:
    options = SimulatorOptions(voice="tones", agent=minds(GOODBYE))
    async with world(tmp_path, simulator=options) as here:
        end_call, away = here.store.end_call, [StoreUnavailable("away")] * 4

        async def sometimes(*args: Any, **facts: Any) -> bool:
            if away:
                raise away.pop()
            return await end_call(*args, **facts)

        here.store.end_call = sometimes  # type: ignore[method-assign]  # a database that comes back
        with capture_logs() as logs:
            report = await here.call(lambda caller: waits(here, caller))
            await here.settled()
        row = await here.store.get_call(report.call_sid)

        assert row is not None
        assert row.outcome is Outcome.COMPLETED
        assert report.verbs == ("Connect", "Hangup")
        assert [line["event"] for line in logs].count("call_ended") == 1
        assert here.service.live.ended == {"completed": 1}


@virtual
async def test_a_store_that_fails_at_the_end_does_not_keep_the_line_open(tmp_path: Path) -> None:
    async def loses_the_store(here: World, caller: Caller) -> None:
        await caller.agent_speaking(after_ms=300)
        await here.store.close()
        await caller.ended.wait()

    options = SimulatorOptions(voice="tones", agent=minds(GOODBYE))
    async with world(tmp_path, simulator=options) as here:
        with capture_logs() as logs:
            report = await here.call(lambda caller: loses_the_store(here, caller))
            await here.service.live.wait_empty()
        named = [line["event"] for line in logs]

        assert report.ended_by == "bridge"
        assert named.count("call_ended") == 1
        assert next(line for line in logs if line["event"] == "call_ended")["recorded"] is False
        assert "record_failed" in named
        assert "technical problem" in heard_texts(report)[-1]


@virtual
async def test_a_tool_that_is_asked_for_after_the_end_does_not_begin(tmp_path: Path) -> None:
    async def asks_too_late(here: World, caller: Caller) -> None:
        await caller.agent_speaking(after_ms=300)
        session = only_session(here)
        session.end_now(Outcome.DRAINED, "the bridge is restarting")
        session.tool_called(ToolCalled(ToolRequest("late", "pay", {"seconds": 0.1})))
        await caller.ended.wait()

    options = SimulatorOptions(voice="tones", agent=minds(TALKS), any_tool=True)
    async with world(tmp_path, simulator=options, **slow_tools.ENABLED) as here:
        call = await watched_call(here, asks_too_late, NONE)

        assert call.row.outcome is Outcome.DRAINED
        assert await here.store.tool_rows(call.report.call_sid) == []
