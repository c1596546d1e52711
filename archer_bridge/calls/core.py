"""The synchronous core of a call: one message in, its consequences written out at once.

`on_caller` takes what Twilio sent, `on_engine` what the voice engine said. Both write to the two sinks before they
return: no task, future, queue, lock or log per frame. What needs time (tools, the record, hanging up) is handed to
`CoreListener` and happens elsewhere.
"""

from collections import Counter
from collections.abc import Callable

from archer_bridge.calls.core_ports import CoreListener, Tap
from archer_bridge.calls.downlink import Downlink
from archer_bridge.calls.playout import BYTES_PER_MS, Cut, Playout
from archer_bridge.calls.transcript import AGENT, Transcript
from archer_bridge.calls.uplink import Uplink
from archer_bridge.ports import (
    Engine,
    EngineAudio,
    EngineClear,
    EngineDigit,
    EngineEvent,
    EngineFault,
    EngineIgnored,
    EngineLost,
    EngineReady,
    ToolCalled,
    TurnEnded,
    TurnStarted,
    TurnText,
)
from archer_bridge.protocols.frames import BadFrame
from archer_bridge.protocols.twilio_media import (
    Audio,
    Connected,
    Dtmf,
    Mark,
    MediaStream,
    Start,
    Stop,
    Unknown,
)
from archer_codecs import MULAW_8K, Chain, FormatGuard, Plan

STALE_AFTER_CLEAR_S = 2.0
"""After a barge-in, audio is dropped until the engine begins a new agent turn, or for this long at most."""
TALK = frozenset({EngineAudio, EngineClear, TurnText, TurnStarted, TurnEnded})
"""What an engine says to the caller, or about it."""


class CallCore:
    """Both directions of one call."""

    def __init__(
        self,
        *,
        stream: MediaStream,
        engine: Engine,
        downlink: Downlink,
        playout: Playout,
        uplink: Uplink,
        down_plan: Plan,
        transcript: Transcript,
        listener: CoreListener,
        clock: Callable[[], float],
        bad_frames_in_a_row: int,
        tap: Tap | None = None,
    ) -> None:
        self.bad_frames: Counter[str] = Counter()
        self.ignored_events = 0
        self.stale_frames = 0
        self.barge_ins = 0
        self.digits = 0
        self.engine_messages = 0
        self.last_caller_at = clock()
        self.last_agent_audio_at: float | None = None
        self.owed_since: float | None = None
        """Since when the agent owes words: it is ready, or ended a caller's turn, and gave no audio since."""
        self._stream = stream
        self._engine = engine
        self._downlink = downlink
        self._playout = playout
        self._uplink = uplink
        self._plan = down_plan
        self._chain: Chain = down_plan.build()
        self._untouched = down_plan.is_passthrough
        self._transcript = transcript
        self._listener = listener
        self._clock = clock
        self._limit = bad_frames_in_a_row
        self._bad_in_a_row = 0
        self._tap = tap
        self._stale_until: float | None = None
        self._filler_end = 0
        self._finished = False
        self._caller_guard: FormatGuard | None = FormatGuard(MULAW_8K)
        self._engine_guard: FormatGuard | None = FormatGuard(down_plan.source)

    # ---- from the caller -------------------------------------------------------------------------------------

    def on_caller(self, message: str | bytes) -> None:
        """Take one message of Twilio's."""
        now = self.last_caller_at = self._clock()
        try:
            event = self._stream.receive(message)
        except BadFrame as error:
            self._bad(error)
            return
        self._bad_in_a_row = 0
        if type(event) is Audio:
            if self._caller_guard is not None:
                self._caller_guard = self._watched("caller", self._caller_guard, event.data)
            self._uplink.caller(event, self._engine, now)
            if self._tap is not None:
                self._tap.caller(event, now)
            return
        match event:
            case Mark():
                if self._playout.echo(event.mark.name, now):
                    self._transcript.settle(now)
            case Dtmf():
                self.digits += 1
                self._engine.send_digit(event.dtmf.digit)
            case Stop():
                self.caller_gone()
                self._listener.stream_stopped()
            case Unknown():
                self.ignored_events += 1
            case Start() | Connected():
                self._bad(BadFrame("out_of_order", "a second start"))

    def _watched(self, side: str, guard: FormatGuard, data: bytes) -> FormatGuard | None:
        """Look at the first 200 ms of one side; after that there is no guard any more."""
        evidence = guard.feed(data)
        if evidence is not None:
            self._listener.wrong_format(side, str(evidence))
        return None if guard.is_done else guard

    def _bad(self, error: BadFrame) -> None:
        self.bad_frames[error.reason] += 1
        self._bad_in_a_row += 1
        if self._bad_in_a_row == self._limit:
            self._listener.too_many_bad_frames(str(error))

    def caller_gone(self) -> None:
        """The stream is over: nothing is heard after its last frame."""
        if (ended_at := self._uplink.ended_at) is not None:
            self._playout.stop(min(ended_at, self._clock()))

    # ---- from the engine -------------------------------------------------------------------------------------

    def on_engine(self, event: EngineEvent) -> None:
        """Take one event of the engine's."""
        now = self._clock()
        self.engine_messages += 1
        if self._finished and type(event) in TALK:
            return
        if type(event) is EngineAudio:
            if (self._stale_until is not None or self._engine_guard is not None) and not self._admits(event, now):
                return
            audio, text = (event.data, event.text) if self._untouched else (self._chain.feed(event.data), None)
            if audio:
                self.last_agent_audio_at, self.owed_since = now, None
                if self._filler_end > self._playout.acknowledged:
                    self._stop_filler(now)
                start = self._playout.accepted
                self._downlink.play(audio, text, now)
                if self._tap is not None or not self._transcript.in_run:
                    self._book(start, audio, now)
            return
        match event:
            case EngineClear():
                self._barge_in(now)
            case TurnText():
                self._transcript.agent_text(event.turn, event.text, now)
            case TurnStarted():
                self._turn_started(event, now)
            case TurnEnded():
                self._turn_ended(event, now)
            case ToolCalled():
                self._listener.tool_called(event)
            case EngineReady():
                self.owed_since = now
                self._listener.engine_ready(event.session_id)
            case EngineLost():
                self.engine_gone()
                self._stale_until = self.owed_since = None
                self._transcript.engine_lost(now)
                self._listener.engine_lost(event.reason)
            case EngineDigit():
                self._listener.engine_digit(event.digit)
            case EngineFault():
                self._listener.engine_fault(event)
            case EngineIgnored():
                self.ignored_events += 1

    def _admits(self, event: EngineAudio, now: float) -> bool:
        """Whether agent audio is of a turn that may still be heard; the first of a call is looked at more closely."""
        if self._stale_until is not None:
            if now < self._stale_until:
                self.stale_frames += 1
                return False
            self._stale_until = None
        if self._engine_guard is not None:
            self._engine_guard = self._watched("engine", self._engine_guard, event.data)
        return True

    def _book(self, start: int, audio: bytes, now: float) -> None:
        """Say whose the audio at `start` is, and let the tap have it."""
        if not self._transcript.in_run:
            heard_from = self._playout.starts_at(start, now)
            caller_until = self._uplink.voice_ended_at
            self._transcript.agent_audio(start, now=now, heard_from=heard_from, caller_until=caller_until)
        if self._tap is not None:
            self._tap.agent(start, audio)

    def play_filler(self, audio: bytes, now: float) -> None:
        """Play something that is no turn of the agent's; the agent's next audio takes its place."""
        self._transcript.end_run()
        start = self._playout.accepted
        self._downlink.play(audio, None, now)
        self._filler_end = start + len(audio)
        if self._tap is not None:
            self._tap.agent(start, audio)

    def _stop_filler(self, now: float) -> None:
        self._filler_end = 0
        if self._playout.position(now) < self._playout.accepted and (cut := self._playout.clear(now)) is not None:
            self._take_back(cut, now)

    def _take_back(self, cut: Cut, now: float) -> None:
        """Put a new generation into effect: what waits is forgotten, `clear` is written."""
        self._filler_end = 0
        self._downlink.clear()
        if self._tap is not None:
            self._tap.cut(cut.position, now)

    def _barge_in(self, now: float) -> None:
        """New generation, then no more of the old turn, then fresh filters, then `clear`: in this order."""
        cut = self._playout.clear(now)
        if cut is not None or self._transcript.agent_turn_open:
            self._stale_until = now + STALE_AFTER_CLEAR_S
        self._chain = self._plan.build()
        if cut is None:
            return
        self._take_back(cut, now)
        self._transcript.cleared()
        self._transcript.settle(now)
        if cut.flushed or cut.dropped:
            self.barge_ins += 1
            self._listener.barged_in((cut.flushed + cut.dropped) / BYTES_PER_MS)

    def finish(self, now: float) -> None:
        """The call has its outcome: what is not heard by now is taken back, and nothing follows; so the record is true.

        The line stays open until the record is written, which may take seconds, and the engine may go on talking.
        """
        self._finished = True
        if (cut := self._playout.clear(now)) is not None:
            self._take_back(cut, now)
            self._transcript.cleared()

    def engine_gone(self) -> None:
        """Nothing follows: give out what the filters hold, mark the end."""
        now = self._clock()
        self._flush_chain(now)
        self._downlink.finish_turn(now)

    def _turn_started(self, event: TurnStarted, now: float) -> None:
        if event.role == AGENT:
            self._stale_until = None
        self._transcript.turn_started(event.turn, event.role, now)

    def _turn_ended(self, event: TurnEnded, now: float) -> None:
        if event.role == AGENT:
            self._flush_chain(now)
            self._downlink.finish_turn(now)
        else:
            self.owed_since = now
        self._transcript.turn_ended(event.turn, event.role, event.text, event.interrupted, now)
        self._transcript.settle(now)

    def _flush_chain(self, now: float) -> None:
        """Give out the filters' last milliseconds: nothing follows them for now."""
        if not self._untouched:
            tail = self._chain.flush()
            self._chain = self._plan.build()
            if tail:
                start = self._playout.accepted
                self._downlink.play(tail, None, now)
                self._book(start, tail, now)

    # ---- beats -----------------------------------------------------------------------------------------------

    def fill_caller_gap(self, now: float) -> None:
        """Let the engine have silence while Twilio sends nothing."""
        self._uplink.fill_gap(self._engine, now)
