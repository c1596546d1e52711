"""One call's engine: what its coming and going means for the call, and what the call remembers of it."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
import structlog

from archer_bridge.calls.ending import Ending
from archer_bridge.calls.engine_life import EngineLife
from archer_bridge.calls.record_keeper import RecordKeeper
from archer_bridge.errors import EngineError
from archer_bridge.memory_store import MemoryStore
from archer_bridge.models import EndCall, Outcome, ToolFinished, ToolRequest, ToolStatus
from archer_bridge.ports import Closed, EngineEvent, Memory, Recall, ToolMemory, TurnStarted, TurnText
from tests.support.core_rig import Rig
from tests.support.virtual import virtual

Run = Callable[["EngineLife"], Closed]


class Engine:
    """Ends as it is told; says whether it can begin again."""

    format_name = "mulaw/8000/1"

    def __init__(self, script: Run, *, restarts: bool = False) -> None:
        self.script = script
        self.restarts = restarts
        self.results: list[str] = []

    async def run(self, on_event: Callable[[EngineEvent], None], memory: Memory) -> Closed:
        assert isinstance(memory, EngineLife)
        return self.script(memory)

    def restart(self, reason: str) -> bool:
        return self.restarts

    def send_tool_result(self, finished: ToolFinished) -> None:
        self.results.append(finished.tool_call_id)


class Case:
    """A life with everything around it."""

    def __init__(self, script: Run, *, restarts: bool = False, before: Recall | None = None) -> None:
        store = MemoryStore()
        log = structlog.get_logger()
        self.rig = Rig()
        self.notes: list[str] = []
        self.records: list[dict[str, Any]] = []
        self.engine = Engine(script, restarts=restarts)
        self.ending = Ending(
            "CA1", "MZ1", store, keeper=RecordKeeper(store), log=log, goodbye_wait_s=20.0, sum_up=lambda now: {}
        )
        self.life = EngineLife(
            self.engine,  # type: ignore[arg-type]  # what a life uses of it
            self.rig,  # type: ignore[arg-type]  # it has a core and a transcript
            self.ending,
            records=lambda: self.records,
            before=before,
            note=lambda kind, data: self.notes.append(kind),
            log=log,
        )


def ready_then(end: Closed | EngineError) -> Run:
    def script(life: EngineLife) -> Closed:
        life.ready("s1")
        if isinstance(end, EngineError):
            raise end
        return end

    return script


def never(error: EngineError) -> Run:
    def script(life: EngineLife) -> Closed:
        raise error

    return script


@pytest.mark.parametrize(
    ("script", "outcome"),
    [
        pytest.param(never(EngineError("refused", status=401)), Outcome.VENDOR_UNAVAILABLE, id="never-there"),
        pytest.param(ready_then(EngineError("no answer")), Outcome.VENDOR_LOST, id="lost-and-not-back"),
        pytest.param(ready_then(Closed(1011)), Outcome.VENDOR_LOST, id="lost-for-good"),
        pytest.param(ready_then(Closed(1000)), None, id="hung-up-and-heard-out"),
    ],
)
@virtual
async def test_what_the_end_of_the_engine_means(script: Run, outcome: Outcome | None) -> None:
    case = Case(script)
    await case.life.run()

    assert (case.ending.verdict.outcome if case.ending.is_given else None) is outcome
    assert (case.ending.farewell is not None) == (outcome is None)


@virtual
async def test_a_loss_and_a_return_are_counted_timed_and_told() -> None:
    case = Case(ready_then(Closed(1000)))
    life = case.life
    await asyncio.sleep(0.3)
    life.ready("s1")
    life.lost("1011 broke")
    lost = (life.is_lost, life.is_ready.is_set(), life.was_ready)
    await asyncio.sleep(0.4)
    life.ready("s2")

    assert lost == (True, False, True)
    assert (life.is_lost, life.is_ready.is_set()) == (False, True)
    assert life.numbers == {"engine_session": "s1", "connect_ms": 300.0, "engine_resumed": 1}
    assert case.notes == ["engine_ready", "engine_lost", "engine_resumed"]


@pytest.mark.parametrize(
    ("restarts", "is_leaving", "outcome"),
    [
        pytest.param(True, False, None, id="another-session"),
        pytest.param(False, False, Outcome.VENDOR_LOST, id="no-other"),
        pytest.param(True, True, Outcome.VENDOR_LOST, id="none-wanted"),
    ],
)
@virtual
async def test_an_engine_that_falls_silent(restarts: bool, is_leaving: bool, outcome: Outcome | None) -> None:
    case = Case(ready_then(Closed(1000)), restarts=restarts)
    if is_leaving:
        case.ending.bid_farewell(EndCall("done"))
    case.life.silent("the agent said nothing")

    assert (case.ending.verdict.outcome if case.ending.is_given else None) is outcome
    assert case.notes[-1] == "dead_air"


@virtual
async def test_what_it_remembers() -> None:
    earlier = ToolMemory("lookup", ToolStatus.OK, "{}")
    case = Case(ready_then(Closed(1000)), before=Recall(tools=[earlier], last_turn=4, same_tools=False))
    rig, life = case.rig, case.life
    rig.does(TurnStarted(5, "assistant"), rig.audio(b"\x20" * 8000), TurnText(5, "Hello "))
    rig.run(8000)
    life.tool_called(ToolRequest("c1", "verify_account", {}))
    life.tool_called(ToolRequest("c2", "process_payment", {}))
    case.records.append({"tool": "verify_account", "status": "ok", "result": {"verified": True}})
    life.tool_finished(ToolFinished("c1", "verify_account", "{}", False, None, None, 1.0))
    known = life.recall()

    assert case.engine.results == ["c1"]
    assert [(turn.number, turn.heard_text) for turn in known.turns] == [(5, "Hello ")]
    assert known.tools == (earlier, ToolMemory("verify_account", ToolStatus.OK, '{"verified":true}'))
    assert (known.running, known.last_turn, known.same_tools) == (("process_payment",), 5, True)
