"""One call, from the stream's start to its record.

    Twilio socket --on_caller--> core --send_audio--> engine
    Twilio socket <---write----- core <--on_engine--- engine
                                  |
                 tools, record, log: handed off, never awaited by the audio

`CallSession.run` owns the call's lifetime on one stream: one task reads the caller, one runs the engine (session
after session, if need be: `engine_life`), and the first *verdict* (`ending`) ends both. A verdict is the outcome of the
call; there is exactly one. It may be preceded by a *farewell*: the agent or a tool wants the call to end, and the line
is closed only when the last word was heard (its mark came back), or a bounded wait is over. The record is asked for
before the line closes, because Twilio then asks `<Connect action>` what follows. Ten times a second `watch` looks at
the line: has the goodbye been heard, does somebody wait in silence, is anybody still there?
"""

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Any

import structlog

from archer_bridge.calls.before import Before
from archer_bridge.calls.ending import Ending
from archer_bridge.calls.engine_life import EngineLife
from archer_bridge.calls.filler import Filler, FillerAudio
from archer_bridge.calls.limits import CallLimits
from archer_bridge.calls.line import Line
from archer_bridge.calls.record_keeper import RecordKeeper
from archer_bridge.calls.recorder import Recorder
from archer_bridge.calls.ticker import Heartbeats
from archer_bridge.calls.tool_runner import CallFacts, CallTools, ToolRunner
from archer_bridge.calls.watch import Watch
from archer_bridge.errors import StoreError
from archer_bridge.models import CallEnd, CallRow, CallState, Outcome, ToolFinished, Turn
from archer_bridge.ports import Engine, EngineFault, Store, TextSocket, ToolCalled
from archer_bridge.protocols.twilio_media import MediaStream

log = structlog.get_logger(__name__)

RecorderMaker = Callable[[CallRow], Recorder]


class CallSession:
    """One call's lifecycle; made when its stream has proved itself, run once. Implements `CoreListener`."""

    def __init__(
        self,
        *,
        row: CallRow,
        stream: MediaStream,
        caller: TextSocket,
        engine: Engine,
        store: Store,
        keeper: RecordKeeper,
        tools: ToolRunner,
        limits: CallLimits,
        beats: Heartbeats,
        filler: FillerAudio,
        before: Before | None = None,
        make_recorder: RecorderMaker | None = None,
        on_turn: Callable[[Turn], None] | None = None,
    ) -> None:
        """Wire the parts; `before` is what happened on the call's earlier streams."""
        self.row = row
        self._clock = asyncio.get_running_loop().time
        self._began = self._clock() - (before.seconds if before else 0.0)
        self._caller = caller
        self._engine = engine
        self._store = store
        self._limits = limits
        self._beats = beats
        self._on_turn = on_turn
        self._log = log.bind(call_sid=row.call_sid, stream_sid=stream.stream_sid)
        self._tool_ms: list[float] = []
        self._filler = Filler(filler)
        self.line = self._make_line(stream, make_recorder)
        self.ending = Ending(
            row.call_sid,
            stream.stream_sid,
            store,
            keeper=keeper,
            log=self._log,
            goodbye_wait_s=limits.goodbye_wait_s,
            sum_up=self._sum_up,
            began=self._began,
        )
        self._life = self._make_life(before)
        self._watch = self._make_watch()
        self.tools = self._call_tools(tools)

    def _make_line(self, stream: MediaStream, make_recorder: RecorderMaker | None) -> Line:
        return Line(
            stream,
            self._caller,
            self._engine,
            limits=self._limits,
            clock=self._clock,
            began=self._began,
            listener=self,
            on_turn=self._turn_finished,
            want_pump=self._want_pump,
            make_recorder=partial(make_recorder, self.row) if make_recorder is not None else None,
        )

    def _make_life(self, before: Before | None) -> EngineLife:
        return EngineLife(
            self._engine,
            self.line,
            self.ending,
            records=self._tool_records,
            before=before.recall if before else None,
            note=partial(self._store.note, self.row.call_sid),
            log=self._log,
        )

    def _make_watch(self) -> Watch:
        return Watch(
            self.line,
            self.ending,
            self._filler,
            self._limits,
            life=self._life,
            tools_running=self._tools_running,
            note=partial(self._store.note, self.row.call_sid),
            log=self._log,
            began=self._began,
        )

    def _call_tools(self, tools: ToolRunner) -> CallTools:
        facts = CallFacts(self.row.call_sid, self.row.from_number, self.row.customer_id)
        return tools.for_call(
            facts, deliver=self._tool_finished, say=self._watch.filler_asked, slow=partial(self._tool_slow, tools)
        )

    # ---- lifecycle -------------------------------------------------------------------------------------------

    async def run(self) -> CallEnd:
        """Carry the call to its end and record it; returns how it ended."""
        self._log.info("twilio_stream_started", **self.line.routes)
        try:
            async with asyncio.TaskGroup() as group:
                tasks = [
                    group.create_task(self._run_caller(), name=f"caller {self.row.call_sid}"),
                    group.create_task(self._life.run(), name=f"engine {self.row.call_sid}"),
                    group.create_task(self._activate(), name=f"activate {self.row.call_sid}"),
                ]
                tasks[-1].add_done_callback(tasks.remove)  # soon, and not kept for the length of the call
                self._beats.checks.add(self, self._watch.check, self.ending.failed)
                self.line.downlink.probe(self._clock())
                await self.ending.wait()
                await self._leave()
                for task in tasks:
                    task.cancel()
        except* Exception as errors:  # the session's edge: a bug ends this call only, with its traceback
            self.ending.failed(errors)
        finally:
            self._beats.audio.remove(self)
            self._beats.checks.remove(self)
            self.tools.close()
            # Only a session that is cancelled comes here without a verdict: the process is going down.
            self.ending.give(Outcome.DRAINED, "the bridge stopped")
            await asyncio.shield(self._leave())
        return self.ending.verdict

    def _want_pump(self, wanted: bool) -> None:
        if wanted:
            self._beats.audio.add(self, self.line.downlink.pump, self.ending.failed)
        else:
            self._beats.audio.remove(self)

    async def _leave(self) -> None:
        """Make the record, then close both sockets; what was done before is not done again."""
        await self.ending.record()
        outcome = self.ending.verdict.outcome
        await self._caller.close(1011 if outcome is Outcome.INTERNAL_ERROR else 1000, outcome.value)
        await self._engine.close()

    async def _run_caller(self) -> None:
        closed = await self._caller.pump(self.line.core.caller_sink)
        self._log.debug("twilio_socket_closed", code=closed.code, reason=closed.reason)
        self.line.core.caller_gone()
        self.ending.stream_closed(closed)

    async def _activate(self) -> None:
        await self._life.is_ready.wait()
        try:
            await self._store.move_call(self.row.call_sid, CallState.ACTIVE)
        except StoreError as error:  # the call goes on; its end still finds a row to close
            self._log.error("record_failed", state=CallState.ACTIVE.value, error=str(error))

    @property
    def is_engine_lost(self) -> bool:
        """The agent broke off, and the next session is not there yet."""
        return self._life.is_lost

    @property
    def is_asked_about(self) -> bool:
        """Whether Twilio asks what follows: the caller was still there when the stream ended, as far as we know."""
        return self.ending.is_given and (
            self.ending.is_broken_off or self.ending.verdict.outcome is not Outcome.CALLER_HANGUP
        )

    def end_now(self, outcome: Outcome, reason: str) -> None:
        """End the call from outside: the operator, or the end of a drain."""
        self.ending.give(outcome, reason)

    def _sum_up(self, now: float) -> dict[str, Any]:
        numbers = self.line.finish(now, tool_ms=self._tool_ms, fillers=self._filler.played)
        return {**numbers, **self._life.numbers}

    # ---- what the core reports (CoreListener) ----------------------------------------------------------------

    def stream_stopped(self) -> None:
        """Twilio ended the stream."""
        self.ending.caller_left("the caller hung up")

    def too_many_bad_frames(self, reason: str) -> None:
        """Nothing usable comes from Twilio."""
        in_a_row = self._limits.bad_frames_in_a_row
        self.ending.give(Outcome.PROTOCOL_ERROR, f"{in_a_row} unusable frames in a row, last: {reason}")

    def stream_is_over(self, reason: str) -> None:
        """Twilio goes on without our stream, whose socket may not know it yet."""
        self.ending.broke_off(reason)

    def engine_ready(self, session_id: str) -> None:
        """The agent listens: the call is active."""
        self._life.ready(session_id)

    def engine_lost(self, reason: str) -> None:
        """The agent's session broke off, and another one is being opened."""
        self._life.lost(reason)

    def tool_called(self, event: ToolCalled) -> None:
        """The agent asks for a tool: off it goes, beside the audio; a call that has its outcome begins nothing new."""
        if self.ending.is_given:
            return
        self._log.info("tool_called", tool=event.request.name, tool_call_id=event.request.tool_call_id)
        self._life.tool_called(event.request)
        self.tools.submit(event.request)

    def barged_in(self, flushed_ms: float) -> None:
        """The caller interrupted."""
        self._store.note(self.row.call_sid, "barge_in", {"flushed_ms": round(flushed_ms, 1)})
        self._log.info("barge_in", flushed_ms=round(flushed_ms, 1))

    def engine_digit(self, digit: str) -> None:
        """The agent wants a key pressed; a media stream cannot carry one to the caller."""
        self._log.warning("dtmf_output_unsupported", note="Twilio media streams carry no outbound DTMF")
        self._store.note(self.row.call_sid, "dtmf_output", {"digits": len(digit)})

    def engine_fault(self, event: EngineFault) -> None:
        """The engine complained about something."""
        self._life.fault(event)

    def wrong_format(self, side: str, evidence: str) -> None:
        """One side's audio is not what it claims: the caller hears noise, or the agent does."""
        self._log.warning("wrong_format", side=side, evidence=evidence)
        self._store.note(self.row.call_sid, "wrong_format", {"side": side, "evidence": evidence})

    # ---- what is finished ------------------------------------------------------------------------------------

    def _tool_records(self) -> list[dict[str, Any]]:
        return self.tools.records

    def _tools_running(self) -> int:
        return self.tools.running

    def _tool_slow(self, tools: ToolRunner, name: str) -> None:
        """A tool takes long: say so, if the agent waits for it; with an async one the conversation goes on."""
        tool = tools.tools.get(name)
        if tool is not None and tool.execution_mode == "immediate":
            self._watch.filler_asked(name)

    def _tool_finished(self, finished: ToolFinished) -> None:
        """A tool's answer is durable: tell the model, then do what the tool wants of the phone."""
        self._tool_ms.append(finished.duration_ms)
        self._log.info(
            "tool_finished",
            tool=finished.name,
            tool_call_id=finished.tool_call_id,
            is_error=finished.is_error,
            duration_ms=round(finished.duration_ms, 1),
        )
        self._life.tool_finished(finished)
        if finished.effect is not None and not self.ending.is_given:
            self.ending.bid_farewell(finished.effect)

    def _turn_finished(self, turn: Turn) -> None:
        self._store.add_turn(self.row.call_sid, turn)
        self._life.said(turn)
        if self._on_turn is not None:
            self._on_turn(turn)
