"""The synchronous core of a call: one message in, its consequences written out at once.

`on_caller` takes what Twilio sent, `on_engine` what the voice engine said. Both write to the two sinks before they
return: no task, future, queue, lock or log per frame. What needs time (tools, the record, hanging up) is handed to
`CoreListener` and happens elsewhere.
"""

from collections import Counter
from collections.abc import Callable

from archer_bridge.calls.core_ports import CALLER, CoreListener, Tap
from archer_bridge.calls.downlink import Downlink
from archer_bridge.calls.playout import BYTES_PER_S, Playout
from archer_bridge.calls.speech import Speech, watched
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
    Event,
    Mark,
    MediaStream,
    Start,
    State,
    Stop,
    Unknown,
)
from archer_codecs import MULAW_8K, FormatGuard, Plan

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
        self.digits = 0
        self._stream = stream
        self._engine = engine
        self._playout = playout
        self._uplink = uplink
        self._transcript = transcript
        self._listener = listener
        self._clock = clock
        self._limit = bad_frames_in_a_row
        self._bad_in_a_row = 0
        self._tap = tap
        self._caller_at = clock()
        self._engine_messages = 0
        self._guard: FormatGuard | None = FormatGuard(MULAW_8K)
        self._lane = uplink.lane(engine, playout.out, clock, None if tap is None else tap.note)
        take = self._lane.take if self._lane is not None else None
        self.caller_sink: Callable[[str | bytes], None] = stream.sink(take, self.on_caller)
        """Takes each message of Twilio's: a lane where there is one, and `on_caller` whatever that leaves."""
        self.speech = Speech(
            downlink=downlink, playout=playout, uplink=uplink, plan=down_plan, transcript=transcript,
            listener=listener, clock=clock, on_event=self.on_engine, tap=tap,
        )  # fmt: skip
        self.engine_sink = self.speech.sink
        """Takes each event of the engine's, likewise."""

    @property
    def last_caller_at(self) -> float:
        """When Twilio last sent anything."""
        return max(self._caller_at, self._uplink.way.last_at)

    @property
    def engine_messages(self) -> int:
        """How many events the engine has sent."""
        return self._engine_messages + self.speech.pieces_taken

    # ---- from the caller -------------------------------------------------------------------------------------

    def on_caller(self, message: str | bytes) -> None:
        """Take one message of Twilio's."""
        now = self._caller_at = self._clock()
        lane = self._lane
        if lane is not None:
            lane.is_open = False
        try:
            event = self._stream.receive(message)
        except BadFrame as error:
            self._bad(error)
            return
        self._bad_in_a_row = 0
        if type(event) is Audio:
            self._caller_audio(event, now)
        else:
            self._caller_event(event, now)
        if lane is not None:
            lane.is_open = self._guard is None and self._stream.state is State.STREAMING

    def _caller_audio(self, audio: Audio, now: float) -> None:
        if self._guard is not None:
            self._guard = watched("caller", self._guard, audio.data, self._listener)
        self._uplink.caller(audio, self._engine, now)
        if self._tap is not None:
            began = now - len(audio.data) / BYTES_PER_S - self._playout.trip_s
            self._tap.note((CALLER, audio.timestamp_ms, audio.data, began))

    def _caller_event(self, event: Event, now: float) -> None:
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
        speech = self.speech
        self._engine_messages += 1
        speech.close_lane()
        if speech.is_finished and type(event) in TALK:
            return
        if type(event) is EngineAudio:
            speech.audio(event, now)
        else:
            self._engine_event(event, now)
            speech.open_lane()

    def _engine_event(self, event: EngineEvent, now: float) -> None:
        match event:
            case EngineClear():
                self.speech.barge_in(now)
            case TurnText():
                self._transcript.agent_text(event.turn, event.text, now)
            case TurnStarted():
                if event.role == AGENT:
                    self.speech.turn_started()
                self._transcript.turn_started(event.turn, event.role, now)
            case TurnEnded():
                self._turn_ended(event, now)
            case ToolCalled():
                self._listener.tool_called(event)
            case EngineReady():
                self.speech.owed_since = now
                self._listener.engine_ready(event.session_id)
            case EngineLost():
                self.speech.lost(now)
                self._transcript.engine_lost(now)
                self._listener.engine_lost(event.reason)
            case EngineDigit():
                self._listener.engine_digit(event.digit)
            case EngineFault():
                self._listener.engine_fault(event)
            case EngineIgnored():
                self.ignored_events += 1

    def _turn_ended(self, event: TurnEnded, now: float) -> None:
        if event.role == AGENT:
            self.speech.turn_ended(now)
        else:
            self.speech.owed_since = now
        self._transcript.turn_ended(event.turn, event.role, event.text, event.interrupted, now)
        self._transcript.settle(now)

    def engine_gone(self) -> None:
        """No event follows."""
        self.speech.turn_ended(self._clock())

    # ---- beats -----------------------------------------------------------------------------------------------

    def fill_caller_gap(self, now: float) -> None:
        """Let the engine have silence while Twilio sends nothing."""
        self._uplink.fill_gap(self._engine, now)
