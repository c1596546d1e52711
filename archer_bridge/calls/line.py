"""Both directions of one call's audio, wired together, and what is known of them at an instant."""

from collections.abc import Callable, Mapping
from typing import Any

from archer_bridge.calls.core import CallCore
from archer_bridge.calls.core_ports import CoreListener
from archer_bridge.calls.downlink import PAUSE_S, Downlink
from archer_bridge.calls.farewell import Farewell
from archer_bridge.calls.limits import CallLimits
from archer_bridge.calls.numbers import call_numbers
from archer_bridge.calls.playout import Playout
from archer_bridge.calls.recorder import Recorder
from archer_bridge.calls.silence import Moment
from archer_bridge.calls.transcript import Transcript
from archer_bridge.calls.uplink import FILL_AFTER_S, Uplink
from archer_bridge.models import Turn
from archer_bridge.ports import Engine, TextSocket
from archer_bridge.protocols.twilio_media import MediaStream
from archer_codecs import MULAW_8K, Format, plan

RECORD_EVERY = 5
"""Checks between two writes of the recording: half a second, which a crash may cost at most."""


class Line:
    """The parts of one call that audio passes through; made when the stream has begun."""

    def __init__(
        self,
        stream: MediaStream,
        caller: TextSocket,
        engine: Engine,
        *,
        limits: CallLimits,
        clock: Callable[[], float],
        began: float | None = None,
        listener: CoreListener,
        on_turn: Callable[[Turn], None],
        want_pump: Callable[[bool], None],
        make_recorder: Callable[[], Recorder] | None,
    ) -> None:
        theirs = Format.parse(engine.format_name)
        up, down = plan(MULAW_8K, theirs), plan(theirs, MULAW_8K)
        self.routes = {"route_up": str(up), "route_down": str(down)}
        self.playout = Playout()
        opened = clock()
        self.transcript = Transcript(
            self.playout, began=opened if began is None else began, opened=opened, emit=on_turn
        )
        self.downlink = Downlink(
            stream,
            caller,
            self.playout,
            lead_ms=limits.lead_ms,
            mark_every_ms=limits.mark_every_ms,
            want_pump=want_pump,
        )
        self.uplink = Uplink(up.build())
        self._recorder = make_recorder() if make_recorder is not None else None
        self._checks = 0
        self.core = CallCore(
            stream=stream,
            engine=engine,
            downlink=self.downlink,
            playout=self.playout,
            uplink=self.uplink,
            down_plan=down,
            transcript=self.transcript,
            listener=listener,
            clock=clock,
            bad_frames_in_a_row=limits.bad_frames_in_a_row,
            tap=self._recorder,
        )

    def check(self, now: float) -> None:
        """Do what is due ten times a second; while audio flows that is nearly nothing."""
        if now - self.uplink.way.last_at >= FILL_AFTER_S:
            self.core.fill_caller_gap(now)
        if now - self.playout.out.sent_at >= PAUSE_S:
            self.downlink.mind_marks(now)
        self.transcript.settle(now)
        self._checks += 1
        if self._recorder is not None and self._checks % RECORD_EVERY == 0:
            self._recorder.advance(now)

    def is_sounding(self, now: float) -> bool:
        """Whether agent audio or a filler plays at the caller's end, by the clock, or waits here."""
        return self.downlink.waiting or self.playout.in_flight(now) > 0

    def moment(self, now: float, *, is_ready: bool, is_lost: bool, tools_running: int) -> Moment:
        """Return what is known now."""
        core = self.core
        return Moment(
            now=now,
            is_ready=is_ready,
            is_lost=is_lost,
            is_sounding=self.is_sounding(now),
            agent_audio_at=core.speech.last_audio_at,
            agent_turn_open=self.transcript.agent_turn_open,
            caller_turn_open=self.transcript.caller_turn_open,
            owed_since=core.speech.owed_since,
            engine_messages=core.engine_messages,
            voice_ended_at=self.uplink.voice_ended_at,
            tools_running=tools_running,
        )

    def is_over(self, farewell: Farewell, now: float) -> bool:
        """Whether the goodbye was heard."""
        return farewell.is_over(
            now,
            turn_open=self.transcript.agent_turn_open,
            playing=self.is_sounding(now),
            proved=not self.playout.has_unheard,
            last_audio_at=self.core.speech.last_audio_at,
        )

    def finish(self, now: float, *, tool_ms: list[float], fillers: int) -> Mapping[str, Any]:
        """Settle every turn and the recording at this instant; return the call's numbers."""
        self.core.speech.finish(now)
        self.transcript.settle(now, final=True)
        if self._recorder is not None:
            self._recorder.finish(now)
        return call_numbers(
            core=self.core,
            downlink=self.downlink,
            playout=self.playout,
            uplink=self.uplink,
            transcript=self.transcript,
            tool_ms=tool_ms,
            fillers=fillers,
            now=now,
        )
