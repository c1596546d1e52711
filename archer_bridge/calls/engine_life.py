"""The engine's side of one call: its sessions from the first to the last, and what the call remembers for the next.

A session that breaks off in the middle of the call is followed by another one while the call is wanted (`wants_more`):
not once a goodbye is on its way. What the dead session had said already is heard to its end; what was under way in it
is over. Tools go on: their answers are in the next session's `Recall` if they are there by then, and belong to nobody
else, for a new session does not know the ids of the old one.
"""

import asyncio
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from structlog.typing import FilteringBoundLogger

from archer_bridge.calls.ending import Ending
from archer_bridge.calls.flag import Flag
from archer_bridge.calls.line import Line
from archer_bridge.errors import EngineError
from archer_bridge.models import Outcome, ToolFinished, ToolRequest, ToolStatus, Turn
from archer_bridge.ports import Engine, EngineFault, Recall, ToolMemory

TURNS_KEPT = 200
"""The newest; more than a briefing holds."""


class EngineLife:
    """One call's engine; implements `ports.Memory`."""

    def __init__(
        self,
        engine: Engine,
        line: Line,
        ending: Ending,
        *,
        records: Callable[[], Sequence[Mapping[str, Any]]],
        before: Recall | None,
        note: Callable[[str, Mapping[str, Any]], None],
        log: FilteringBoundLogger,
    ) -> None:
        """Prepare.

        Args:
            engine: of this call.
            line: of this call.
            ending: of this call.
            records: what tools ran on this stream, as `CallTools.records` has it.
            before: what happened on the call's earlier streams.
            note: puts one event on the call's timeline.
            log: with the call's ids.
        """
        self.numbers: dict[str, Any] = {}
        self.is_ready = Flag()
        """The engine listens."""
        self.resumed = 0
        """Sessions that followed another one."""
        self._engine = engine
        self._line = line
        self._ending = ending
        self._records = records
        self._before = before or Recall()
        self._note = note
        self._log = log
        self._clock = asyncio.get_running_loop().time
        self._began = self._clock()
        self._lost_at: float | None = None
        self._turns = list(self._before.turns[-TURNS_KEPT:])
        self._running: dict[str, str] = {}

    async def run(self) -> None:
        """Run the engine to its end, and say what that means for the call."""
        self._log.info("connecting_to_cartesia")
        try:
            closed = await self._engine.run(self._line.core.engine_sink, self)
        except EngineError as error:
            self.is_ready.clear()
            if not self._ending.is_given:
                self._log.error("engine_unavailable", error=str(error), status=error.status)
            self._ending.engine_failed(str(error), was_ready=self.was_ready)
            return
        self._log.info("cartesia_closed", code=closed.code, reason=closed.reason)
        self._line.core.engine_gone()
        if not self._ending.is_given:
            self._ending.engine_left(closed, was_ready=self.was_ready)

    @property
    def was_ready(self) -> bool:
        """The engine listened at some time."""
        return bool(self.numbers)

    @property
    def is_lost(self) -> bool:
        """A session broke off, and the next one is not there yet."""
        return self._lost_at is not None

    # ---- what happens to it ----------------------------------------------------------------------------------

    def ready(self, session_id: str) -> None:
        """A session begins."""
        took_ms = round((self._clock() - (self._lost_at or self._began)) * 1000, 1)
        if self._lost_at is None:
            self.numbers = {"engine_session": session_id, "connect_ms": took_ms}
            self._log.info("cartesia_connected", session=session_id, connect_ms=took_ms)
            self._note("engine_ready", self.numbers)
        else:
            self._lost_at = None
            self.resumed += 1
            self.numbers["engine_resumed"] = self.resumed
            facts = {"engine_session": session_id, "after_ms": took_ms}
            self._log.warning("engine_resumed", **facts)
            self._note("engine_resumed", facts)
        self.is_ready.set()

    def lost(self, reason: str) -> None:
        """A session broke off, and the next one is being opened."""
        self._lost_at = self._clock()
        self.is_ready.clear()
        facts = {"reason": reason, "tools_running": len(self._running)}
        self._log.warning("engine_lost", **facts)
        self._note("engine_lost", facts)

    def fault(self, event: EngineFault) -> None:
        """The engine complained about something."""
        self._log.warning("engine_fault", code=event.code, detail=event.message, fatal=event.fatal)
        self._note("engine_fault", {"code": event.code, "fatal": event.fatal})

    def restart(self, reason: str) -> bool:
        """Give a session up that has fallen silent; False when no other one will follow it."""
        return self.wants_more() and self._engine.restart(reason)

    def silent(self, reason: str) -> None:
        """The engine owes words and gives none: another session, or the end."""
        self._note("dead_air", {"reason": reason})
        if not self.restart(reason):
            self._ending.give(Outcome.VENDOR_LOST, reason)

    # ---- its memory ------------------------------------------------------------------------------------------

    def said(self, turn: Turn) -> None:
        """A turn is finished."""
        self._turns.append(turn)
        del self._turns[:-TURNS_KEPT]

    def tool_called(self, request: ToolRequest) -> None:
        """A tool is on its way."""
        self._running[request.tool_call_id] = request.name

    def tool_finished(self, finished: ToolFinished) -> None:
        """A tool's answer is there: for the session that asked, and for the memory of others."""
        self._running.pop(finished.tool_call_id, None)
        if finished.expects_response:
            self._engine.send_tool_result(finished)

    def wants_more(self) -> bool:
        """Whether the call would go on with another session."""
        return not self._ending.is_given and self._ending.farewell is None

    def recall(self) -> Recall:
        """Return what a session that begins now must know."""
        transcript = self._line.transcript
        ran = [
            ToolMemory(str(record["tool"]), ToolStatus(record["status"]), _text(record["result"]))
            for record in self._records()
        ]
        return Recall(
            turns=(*self._turns, *transcript.unfinished(self._clock())),
            tools=(*self._before.tools, *ran),
            running=tuple(self._running.values()),
            last_turn=max(self._before.last_turn, transcript.last_turn),
            same_tools=self._before.same_tools or bool(ran),
        )


def _text(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)
