"""Every fault of the vendor in every phase of a call: what the caller hears, how soon, and the one outcome."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from archer_bridge.devkit.cartesia import Faults, SimulatorOptions
from archer_bridge.devkit.phone import Caller, CallReport
from archer_bridge.devkit.phone.tape import VOICED_RMS, frame_levels
from archer_bridge.models import CallRow, Outcome
from tests.support import slow_tools
from tests.support.brains import heard_texts, longest_silence_ms
from tests.support.engine_sessions import RESUMED, Sessions, forever, goes_on, simulated
from tests.support.scripted_agent import ScriptedAgent, spoken
from tests.support.virtual import virtual
from tests.support.world import World, world

SORRY = "We are sorry"
IN_FLIGHT_MS = 400.0
"""Audio that may still sound when the agent is lost."""
Blow = Callable[[ScriptedAgent], Awaitable[None]]
Phase = Callable[[ScriptedAgent], Awaitable[object]]


# ---- the phases: what the agent does when it is struck ---------------------------------------------------------


async def greeting(agent: ScriptedAgent) -> None:
    await agent.begin()
    await agent.say(spoken("Hello, this is a greeting."))


async def answering(agent: ScriptedAgent) -> None:
    await agent.turn(spoken("Hi."))
    await agent.caller_turn()
    await agent.begin()
    await agent.say(spoken("Let me see, what there is."))


async def running_a_tool(agent: ScriptedAgent) -> None:
    await agent.turn(spoken("Hi."))
    await agent.use_tool("lookup", seconds=30.0)


async def saying_goodbye(agent: ScriptedAgent) -> None:
    await agent.turn(spoken("Hi."))
    await agent.use_tool("end_call", reason="all is said")
    await agent.begin()
    await agent.say(spoken("Goodbye, and thank you for the call."))


# ---- the blows ------------------------------------------------------------------------------------------------


def closes(code: int) -> Blow:
    async def blow(agent: ScriptedAgent) -> None:
        await agent.link.close(code, "a reason")

    return blow


async def resets(agent: ScriptedAgent) -> None:
    agent.link.reset()


async def fails(agent: ScriptedAgent) -> None:
    await agent.link.fail("agent_failed", "it failed", close_code=1011)


async def talks_nonsense(agent: ScriptedAgent) -> None:
    for _ in range(60):
        await agent.link.send_text("{nonsense")
    await forever(agent)


async def sends_a_monster(agent: ScriptedAgent) -> None:
    await agent.link.send_text('{"type":"x","pad":"%s"}' % ("x" * (2 << 20)))
    await forever(agent)


async def stalls(agent: ScriptedAgent) -> None:
    await forever(agent)


def struck(phase: Phase, blow: Blow, after_s: float) -> Callable[[ScriptedAgent], Awaitable[None]]:
    """Let the agent be struck so long after its phase began."""

    async def script(agent: ScriptedAgent) -> None:
        doing = asyncio.create_task(_quietly(phase(agent)), name="struck")
        await asyncio.sleep(after_s)
        doing.cancel()
        await blow(agent)
        await forever(agent)

    return script


async def _quietly(doing: Awaitable[object]) -> None:
    await doing
    await asyncio.Event().wait()


@dataclass(frozen=True)
class Case:
    """One call that was struck."""

    report: CallReport
    row: CallRow
    lost_ms: float
    sessions: Sessions
    kinds: list[str]

    @property
    def back_ms(self) -> float:
        """How long after the loss something new is heard; what was in flight then does not count."""
        levels = frame_levels(self.report.heard[round((self.lost_ms + IN_FLIGHT_MS) * 8) :])
        return next((IN_FLIGHT_MS + n * 20 for n, level in enumerate(levels) if level >= VOICED_RMS), float("inf"))


async def play(folder: Path, simulator: SimulatorOptions, sessions: Sessions) -> Case:
    """Place a call whose caller listens, and hangs up when the agent has gone on."""
    lost: list[float] = []

    async with world(folder, simulator=simulator, **slow_tools.and_shipped("end_call")) as here:

        async def script(caller: Caller) -> None:
            watch = asyncio.create_task(_note_the_loss(here, caller, lost), name="watch")
            try:
                while len(sessions.agents) < 2 or not sessions.agents[1].said:
                    await caller.wait(0.5)
                await caller.wait(4)
                await caller.hang_up()
            finally:
                watch.cancel()

        report = await here.call(script)
        await here.service.live.wait_empty()
        await here.service.agent.tools.drain(60)
        await here.store.flush()
        row = await here.store.get_call(report.call_sid)
        kinds = [event.kind for event in await here.store.events(report.call_sid)]
        assert row is not None
        assert here.simulator.failures == []
        return Case(report, row, lost[0] if lost else float("inf"), sessions, kinds)


async def _note_the_loss(here: World, caller: Caller, lost: list[float]) -> None:
    """The bridge's own notice of the loss, on the caller's clock."""
    while not lost:
        for session in here.service.live:
            if session.is_engine_lost or session.ending.is_given:
                lost.append(caller.now_ms)
        await asyncio.sleep(0.02)


LOSSES = [
    pytest.param(closes(1011), id="closes"),
    pytest.param(resets, id="resets"),
    pytest.param(fails, id="fails"),
    pytest.param(talks_nonsense, id="nonsense"),
    pytest.param(sends_a_monster, id="big-frame"),
    pytest.param(stalls, id="stalls"),
]
PHASES = [
    pytest.param(greeting, 0.7, id="greeting"),
    pytest.param(answering, 1.4, id="mid-turn"),
    pytest.param(running_a_tool, 1.5, id="tool-running"),
]


@pytest.mark.parametrize("blow", LOSSES)
@pytest.mark.parametrize(("phase", "after_s"), PHASES)
@virtual
async def test_a_lost_agent_is_replaced(phase: Phase, after_s: float, blow: Blow, tmp_path: Path) -> None:
    if (phase, blow) == (running_a_tool, stalls):
        pytest.skip("an agent that waits for a tool owes no words")
    sessions, simulator = simulated(struck(phase, blow, after_s), goes_on)
    case = await play(tmp_path, simulator, sessions)

    assert case.row.outcome is Outcome.CALLER_HANGUP
    assert RESUMED in " ".join(heard_texts(case.report, case.lost_ms))
    assert case.back_ms <= 3000
    assert longest_silence_ms(case.report, 0, case.report.duration_ms) <= 8000
    assert ("engine_lost" in case.kinds, "engine_resumed" in case.kinds) == (True, True)
    assert case.row.numbers["engine_resumed"] == 1
    assert len(sessions.agents) == 2
    assert case.report.violations == ()


@pytest.mark.parametrize("blow", LOSSES)
@virtual
async def test_a_lost_agent_that_does_not_come_back_is_apologised_for(blow: Blow, tmp_path: Path) -> None:
    sessions, simulator = simulated(struck(greeting, blow, 0.7), closes(1011))
    case = await play(tmp_path, simulator, sessions)

    assert case.row.outcome is Outcome.VENDOR_LOST
    assert SORRY in heard_texts(case.report)[-1]
    assert case.back_ms <= 3000
    assert longest_silence_ms(case.report, 0, case.report.duration_ms) <= 8000
    assert 2 <= len(sessions.agents) <= 4
    assert case.report.ended_by == "bridge"


@pytest.mark.parametrize(
    ("blow", "outcome", "last"),
    [
        pytest.param(closes(1000), Outcome.COMPLETED, "Hello", id="the-agent-hangs-up"),
        pytest.param(closes(1008), Outcome.VENDOR_LOST, SORRY, id="it-says-that-we-did-wrong"),
    ],
)
@virtual
async def test_an_end_that_was_meant_is_not_tried_again(
    blow: Blow, outcome: Outcome, last: str, tmp_path: Path
) -> None:
    sessions, simulator = simulated(struck(greeting, blow, 0.7), goes_on)
    case = await play(tmp_path, simulator, sessions)

    assert case.row.outcome is outcome
    assert last in heard_texts(case.report)[-1]
    assert len(sessions.agents) == 1


@pytest.mark.parametrize("blow", [*LOSSES, pytest.param(closes(1000), id="the-agent-hangs-up")])
@virtual
async def test_a_goodbye_is_a_goodbye_whatever_becomes_of_the_agent(blow: Blow, tmp_path: Path) -> None:
    sessions, simulator = simulated(struck(saying_goodbye, blow, 1.5), goes_on)
    case = await play(tmp_path, simulator, sessions)

    assert case.row.outcome is Outcome.COMPLETED
    assert len(sessions.agents) == 1
    assert longest_silence_ms(case.report, 0, case.report.duration_ms) <= 8000
    assert case.report.ended_by == "bridge"


@pytest.mark.parametrize(
    ("fault", "connects", "paged"),
    [
        pytest.param("refuse=401", 1, True, id="key"),
        pytest.param("refuse=402", 1, True, id="money"),
        pytest.param("refuse=403", 1, True, id="rights"),
        pytest.param("refuse=404", 1, False, id="no-such-agent"),
        pytest.param("refuse=429", 2, False, id="too-many-calls"),
        pytest.param("refuse=503", 2, False, id="overloaded"),
        pytest.param("never-ready", 1, False, id="never-ready"),
    ],
)
@virtual
async def test_an_agent_that_cannot_be_reached_is_apologised_for(
    fault: str, connects: int, paged: bool, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    simulator = SimulatorOptions(voice="tones", faults=Faults.parse([fault]))
    async with world(tmp_path, simulator=simulator) as here:
        report = await here.call(lambda caller: caller.ended.wait())  # type: ignore[arg-type,return-value]  # its result is of no interest
        await here.service.live.wait_empty()
        row = await here.store.get_call(report.call_sid)
        said_ms = next(n * 20 for n, level in enumerate(frame_levels(report.heard)) if level >= VOICED_RMS)

        assert row is not None
        assert row.outcome is Outcome.VENDOR_UNAVAILABLE
        assert SORRY in heard_texts(report)[-1]
        assert here.simulator.counters.connections == connects
        assert ("engine_refuses_us" in capsys.readouterr().out) == paged
        assert said_ms <= (8000 if fault == "never-ready" else 3000)
