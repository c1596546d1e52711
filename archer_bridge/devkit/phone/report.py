"""The truth about one simulated call, kept by the phone.

All times are milliseconds since the call was answered (negative: while it was ringing); both tapes start there.
"""

import wave
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt

from archer_bridge.devkit.phone.playback import Segment, Underrun
from archer_bridge.devkit.phone.tape import FRAME, SAMPLES_PER_MS, SILENCE, VOICED_RMS, frame_levels, linear

EndedBy = Literal["caller", "bridge", "rest", "rejected", "error", "time_limit"]
"""Who ended it: `bridge` is the TwiML (hang up, or nothing left), `error` Twilio's canned message."""


@dataclass(frozen=True, slots=True)
class Violation:
    """Something the bridge did that Twilio warns about; `code` is Twilio's (twilio.com/docs/api/errors)."""

    code: int
    detail: str
    at_ms: float


@dataclass(frozen=True, slots=True)
class RequestTrace:
    """One HTTP request of the phone; `status` is None when there was no answer."""

    at_ms: float
    purpose: str
    method: str
    url: str
    form: Mapping[str, str]
    attempt: int
    status: int | None
    error: str
    took_ms: float


@dataclass(frozen=True, slots=True)
class MarkTrace:
    """One mark: when it came, when its echo was due, and why it was due."""

    name: str
    sent_ms: float
    echoed_ms: float | None
    why: Literal["played", "flushed", "unplayed"]
    """`unplayed`: the stream ended first. A lost echo keeps its true reason and has `echoed_ms` None."""


@dataclass(frozen=True, slots=True)
class StreamEnd:
    """How a stream ended; `error_code` and `error` are Twilio's, as in `StreamError`."""

    by: Literal["caller", "rest", "time_limit", "server_closed", "tcp_lost", "handshake"]
    close_code: int | None = None
    error_code: int | None = None
    error: str = ""


@dataclass(frozen=True, slots=True)
class StreamReport:
    """One media stream of the call."""

    stream_sid: str
    url: str
    start_ms: float
    """When its first frame of caller audio begins on the call's timeline."""
    end_ms: float
    end: StreamEnd
    parameters: Mapping[str, str]
    played: tuple[Segment, ...]
    marks: tuple[MarkTrace, ...]
    clears_ms: tuple[float, ...]
    flushed_bytes: int
    """Emptied by `clear`."""
    unplayed_bytes: int
    """Still buffered when the stream ended, so never heard."""
    max_buffered_ms: float
    underruns: tuple[Underrun, ...]
    frames_sent: int
    frames_lost: int
    received_bytes: int
    second_socket: str
    """What became of the second socket of the fault of that name; empty when there was none."""


@dataclass(frozen=True, slots=True)
class CallerTurn:
    """One thing the caller said (text is empty for audio given as bytes)."""

    text: str
    start_ms: float
    end_ms: float


@dataclass(frozen=True, slots=True)
class Latency:
    """From the caller's last voiced audio of a turn to the first agent sound that began after it.

    `ms` is None when the agent did not speak before the caller's next turn. `overlapped`: the agent was audible when
    the caller's turn ended, so this is not a response time.
    """

    turn: CallerTurn
    agent_at_ms: float | None
    ms: float | None
    overlapped: bool


@dataclass(frozen=True, slots=True)
class CallReport:
    """What happened, and what was heard."""

    call_sid: str
    from_number: str
    to_number: str
    ended_by: EndedBy
    end_detail: str
    duration_ms: float
    heard: bytes
    said: bytes
    streams: tuple[StreamReport, ...]
    turns: tuple[CallerTurn, ...]
    pressed: tuple[tuple[float, str], ...]
    violations: tuple[Violation, ...]
    twiml: tuple[str, ...]
    requests: tuple[RequestTrace, ...]
    statuses: tuple[Mapping[str, str], ...]
    stream_events: tuple[Mapping[str, str], ...]
    verbs: tuple[str, ...]
    script_error: str
    """Why the caller's script stopped early; empty when it went to its end or the call ended first."""

    @property
    def played(self) -> tuple[Segment, ...]:
        """Stream audio that was heard, in order."""
        return tuple(segment for stream in self.streams for segment in stream.played)

    @property
    def marks(self) -> tuple[MarkTrace, ...]:
        """Every mark of every stream, in the order sent."""
        return tuple(mark for stream in self.streams for mark in stream.marks)

    @property
    def clears_ms(self) -> tuple[float, ...]:
        """When the bridge sent `clear`."""
        return tuple(at for stream in self.streams for at in stream.clears_ms)

    @property
    def flushed_bytes(self) -> int:
        """Audio the bridge sent and then cleared."""
        return sum(stream.flushed_bytes for stream in self.streams)

    def heard_pcm(self) -> bytes:
        """What was heard, 16-bit little-endian PCM at 8 kHz."""
        return linear(self.heard).astype("<i2").tobytes()

    def said_pcm(self) -> bytes:
        """What the caller said, 16-bit little-endian PCM at 8 kHz."""
        return linear(self.said).astype("<i2").tobytes()

    def heard_of(self, stream: StreamReport) -> bytes:
        """What was heard while `stream` ran, from its first frame to its end."""
        start = round(stream.start_ms * SAMPLES_PER_MS)
        return self.heard[start : round(stream.end_ms * SAMPLES_PER_MS)]

    @property
    def latencies(self) -> tuple[Latency, ...]:
        """One per caller turn, measured on the two tapes to 20 ms."""
        audible = frame_levels(self.heard) >= VOICED_RMS
        ends = [*(turn.start_ms for turn in self.turns[1:]), float("inf")]
        return tuple(_latency(self, turn, until, audible) for turn, until in zip(self.turns, ends, strict=True))

    def write_wav(self, path: str | Path) -> None:
        """Write a stereo 8 kHz 16-bit WAV: the caller left, what the caller heard right."""
        frames = max(len(self.said), len(self.heard))
        sides = [linear(tape + SILENCE * (frames - len(tape))) for tape in (self.said, self.heard)]
        with wave.open(str(path), "wb") as file:
            file.setnchannels(2)
            file.setsampwidth(2)
            file.setframerate(8000)
            file.writeframes(np.column_stack(sides).astype("<i2").tobytes())


def _latency(report: CallReport, turn: CallerTurn, until_ms: float, audible: npt.NDArray[np.bool_]) -> Latency:
    """Find the first frame after the turn's last voiced one that is audible and follows an inaudible one."""
    frame_ms = FRAME / SAMPLES_PER_MS
    start, end = (round(ms * SAMPLES_PER_MS) for ms in (turn.start_ms, turn.end_ms))
    voiced = np.flatnonzero(frame_levels(report.said[start:end]) >= VOICED_RMS)
    end_ms = turn.start_ms + (int(voiced[-1]) + 1) * frame_ms if len(voiced) else turn.end_ms
    first = int(end_ms // frame_ms)
    overlapped = bool(audible[first : first + 1].any())
    onsets = np.flatnonzero(audible[1:] & ~audible[:-1]) + 1
    later = onsets[onsets * frame_ms >= end_ms]
    if not len(later) or later[0] * frame_ms >= until_ms:
        return Latency(turn, None, None, overlapped)
    at_ms = float(later[0]) * frame_ms
    return Latency(turn, at_ms, at_ms - end_ms, overlapped)
