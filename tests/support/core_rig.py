"""A call's core with nothing around it: its clock in the test's hand, Twilio's buffer at its other end."""

import base64
import json
from dataclasses import dataclass, field
from typing import Any

from archer_bridge.calls.core import CallCore
from archer_bridge.calls.core_ports import AGENT, Piece
from archer_bridge.calls.downlink import Downlink
from archer_bridge.calls.playout import BYTES_PER_S, Playout
from archer_bridge.calls.transcript import Transcript
from archer_bridge.calls.uplink import Uplink
from archer_bridge.devkit.cartesia.sound import AGENT_FORMATS
from archer_bridge.models import ToolFinished, Turn
from archer_bridge.ports import (
    EngineAudio,
    EngineClear,
    EngineEvent,
    EngineFault,
    ToolCalled,
    TurnEnded,
    TurnStarted,
    TurnText,
)
from archer_bridge.protocols.twilio_media import MediaStream
from archer_codecs import MULAW_8K, plan
from tests.support.far_end import Buffer

STREAM = "MZ" + "0" * 32
START = {
    "event": "start",
    "sequenceNumber": "1",
    "streamSid": STREAM,
    "start": {
        "accountSid": "AC" + "0" * 32,
        "callSid": "CA" + "0" * 32,
        "streamSid": STREAM,
        "tracks": ["inbound"],
        "mediaFormat": {"encoding": "audio/x-mulaw", "sampleRate": 8000, "channels": 1},
        "customParameters": {},
    },
}
BEAT = 160
CHECK = 5 * BEAT
"""Samples between two beats of the ticker: 20 ms."""


@dataclass(slots=True)
class Sink:
    """The engine's ear and the listener's notebook."""

    format_name: str
    audio: list[bytes] = field(default_factory=list)
    texts: list[bytes | None] = field(default_factory=list)
    seen: list[Any] = field(default_factory=list)

    def send_audio(self, data: bytes, text: bytes | None) -> None:
        self.audio.append(data)
        self.texts.append(text)

    def send_digit(self, digit: str) -> None:
        self.seen.append(("digit", digit))

    def send_tool_result(self, finished: ToolFinished) -> None:
        self.seen.append(("result", finished))

    def stream_stopped(self) -> None:
        self.seen.append("stopped")

    def too_many_bad_frames(self, reason: str) -> None:
        self.seen.append(("bad", reason))

    def engine_ready(self, session_id: str) -> None:
        self.seen.append(("ready", session_id))

    def engine_lost(self, reason: str) -> None:
        self.seen.append(("lost", reason))

    def tool_called(self, event: ToolCalled) -> None:
        self.seen.append(event)

    def barged_in(self, flushed_ms: float) -> None:
        self.seen.append(("barged_in", flushed_ms))

    def engine_digit(self, digit: str) -> None:
        self.seen.append(("engine_digit", digit))

    def wrong_format(self, side: str, evidence: str) -> None:
        self.seen.append(("wrong_format", side, evidence))

    def engine_fault(self, event: EngineFault) -> None:
        self.seen.append(event)


class Rig:
    """One core between an engine that the test plays and a Twilio that plays audio at its pace; no network delay.

    The mark that a stream begins with has been sent and echoed.
    """

    def __init__(self, audio_format: str = "mulaw_8000", *, lead_ms: int = 400, mark_every_ms: int = 400) -> None:
        self.format = AGENT_FORMATS[audio_format]
        self.now = 0
        self.wrote: list[dict[str, Any]] = []
        self.cuts: list[int] = []
        self.accepted = bytearray()
        self.turns: list[Turn] = []
        self.buffer = Buffer()
        self.holes: list[tuple[int, int]] = []
        """(sample, length) of every time that the buffer was empty between two pieces of audio."""
        self.fullest = 0
        self.engine = Sink(str(self.format))
        self._end = 0
        self._echo_marks = True
        self._echoes: list[str] = []
        stream = MediaStream()
        stream.receive(json.dumps(START))
        self.playout = Playout()
        self.transcript = Transcript(self.playout, began=0.0, emit=self.turns.append)
        down = plan(self.format, MULAW_8K)
        self.is_pumped = False
        self.downlink = Downlink(
            stream, self, self.playout, lead_ms=lead_ms, mark_every_ms=mark_every_ms, want_pump=self._want_pump
        )
        self.uplink = Uplink(plan(MULAW_8K, self.format).build())
        self.core = CallCore(
            stream=stream,
            engine=self.engine,  # type: ignore[arg-type]  # a core never runs or closes its engine
            downlink=self.downlink,
            playout=self.playout,
            uplink=self.uplink,
            down_plan=down,
            transcript=self.transcript,
            listener=self.engine,
            clock=lambda: self.now / BYTES_PER_S,
            bad_frames_in_a_row=3,
            tap=self,
        )
        self._sequence = 1
        self.downlink.probe(0.0)
        self._deliver()
        self.wrote.clear()

    @property
    def seconds(self) -> float:
        """The clock."""
        return self.now / BYTES_PER_S

    @property
    def kinds(self) -> list[str]:
        """What was written to Twilio, by event."""
        return [message["event"] for message in self.wrote]

    # ---- Twilio

    def write(self, message: bytes, droppable: bool = False) -> None:
        """Be the caller's socket; everything arrives at once. Echoes wait until the core has returned."""
        event = json.loads(message)
        self.wrote.append(event)
        self._play()
        if event["event"] == "media":
            size = len(base64.b64decode(event["media"]["payload"]))
            if 0 < self._end < self.now:
                self.holes.append((self._end, self.now - self._end))
            self._end = max(self.now, self._end) + size
            self.fullest = max(self.fullest, self._end - self.now)
            self.buffer.media(self.now, self.playout.out.sent - size, self.playout.out.sent)
        elif event["event"] == "mark":
            self.buffer.mark(self.now, event["mark"]["name"])
        else:
            self._echoes += [name for _, name in self.buffer.clear(self.now)]
            self._end = 0

    def _play(self) -> None:
        self._echoes += [name for _, name in self.buffer.advance(self.now)]

    def _deliver(self) -> None:
        self._play()
        while self._echoes:
            name = self._echoes.pop(0)
            if self._echo_marks:
                self.echo(name)

    def lose_marks(self) -> None:
        """From now on no mark is echoed."""
        self._echo_marks = False

    def echo(self, name: str) -> None:
        """Echo a mark."""
        self.say({"event": "mark", "mark": {"name": name}})

    def say(self, event: dict[str, Any]) -> None:
        """Let Twilio send one event."""
        self.core.caller_sink(self._message(event))

    def _message(self, event: dict[str, Any]) -> str:
        self._sequence += 1
        return json.dumps({"streamSid": STREAM, "sequenceNumber": str(self._sequence), **event})

    def frame(self, timestamp_ms: int, data: bytes = b"\xff" * 160) -> None:
        """Let Twilio send caller audio."""
        self.core.caller_sink(self.caller_message(timestamp_ms, data))

    def caller_message(self, timestamp_ms: int, data: bytes) -> str:
        """Make a message of caller audio."""
        payload = base64.b64encode(data).decode()
        media = {"track": "inbound", "chunk": "1", "timestamp": str(timestamp_ms), "payload": payload}
        return self._message({"event": "media", "media": media})

    def _want_pump(self, wanted: bool) -> None:
        self.is_pumped = wanted

    def run(self, samples: int) -> None:
        """Let time pass, with the beats of both tickers: every 20 ms, while it is wanted, and every 100."""
        end = self.now + samples
        while self.now < end:
            self.now = min(end, (self.now // BEAT + 1) * BEAT)
            self._deliver()
            if self.now % BEAT == 0 and self.is_pumped:
                self.downlink.pump(self.seconds)
                self._deliver()
            if self.now % CHECK == 0:
                self.downlink.mind_marks(self.seconds)
                self._deliver()

    # ---- the tap

    def note(self, piece: Piece) -> None:
        """Take audio of either side."""
        side, place, audio, _ = piece
        if side == AGENT:
            assert place == len(self.accepted)
            self.accepted += audio

    def cut(self, position: int, now: float) -> None:
        """Take a cut."""
        self.cuts.append(position)

    # ---- the engine

    def does(self, *events: EngineEvent) -> None:
        """Let the engine send events."""
        for event in events:
            self.core.engine_sink(event)
            self._deliver()

    def audio(self, data: bytes) -> EngineAudio:
        """Make an audio event."""
        return EngineAudio(data, base64.b64encode(data))

    def turn(self, number: int, audio: bytes, text: str = "") -> None:
        """Let the engine say a whole turn at once."""
        self.does(TurnStarted(number, "assistant"), self.audio(audio))
        if text:
            self.does(TurnText(number, text))
        self.does(TurnEnded(number, "assistant", text, interrupted=False))

    def clear(self) -> None:
        """Let the engine notice the caller."""
        self.does(EngineClear())
