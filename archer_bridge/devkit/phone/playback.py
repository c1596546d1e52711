"""What the caller hears of a media stream: the playback buffer, to the byte.

Theory of operation. Twilio buffers outbound audio and plays it in order (twilio.com/docs/voice/media-streams/
websocket-messages). Time here is a sample count on the line's timeline, given by the caller of every method, so this
module is pure. While the buffer holds audio it is consumed at one byte a sample; hence the moment a mark is due is
known when it arrives (the end of what is buffered then) and only `clear` changes it: it empties the buffer and makes
*every* outstanding mark due at once. A mark with nothing buffered is due at once.
"""

from collections import deque
from dataclasses import dataclass

from archer_bridge.devkit.phone.tape import FRAME, SAMPLES_PER_MS, Tape, is_voiced

UNDERRUN_WINDOW_MS = 400
"""A longer hole between voiced audio is a pause between sentences, not an underrun."""


@dataclass(frozen=True, slots=True)
class Mark:
    """One mark the bridge sent: when it arrived (sample) and when its audio has been played."""

    name: str
    sent: int
    due: int


@dataclass(frozen=True, slots=True)
class Underrun:
    """A hole in the middle of speech: the buffer ran dry between two voiced pieces of audio."""

    at_ms: float
    gap_ms: float


@dataclass(frozen=True, slots=True)
class Segment:
    """Audio played without a hole, mu-law, from `start_ms` on the call's timeline."""

    start_ms: float
    data: bytes


class Playback:
    """The buffer of one stream; writes what was played onto `heard`."""

    def __init__(self, heard: Tape) -> None:
        self._heard = heard
        self._buffer = bytearray()
        self._cursor = 0  # sample at which the next buffered byte is played; meaningful while there is one
        self._ran_dry = -1  # sample at which the last byte was played; -1 after a clear and before the first
        self._last_frame = b""
        self._marks: deque[Mark] = deque()
        self._segments: list[list[int]] = []  # [start, end) of each run on the tape
        self.flushed_bytes = 0
        self.unplayed_bytes = 0
        self.max_buffered_ms = 0.0
        self.underruns: list[Underrun] = []

    @property
    def buffered(self) -> int:
        """Bytes received and not yet played."""
        return len(self._buffer)

    @property
    def next_due(self) -> int | None:
        """Sample at which the next mark is due, None without outstanding marks."""
        return self._marks[0].due if self._marks else None

    @property
    def segments(self) -> tuple[Segment, ...]:
        """What was played so far, in order."""
        spans = (span for span in self._segments if span[0] < span[1])
        return tuple(Segment(start / SAMPLES_PER_MS, self._heard.read(start, end)) for start, end in spans)

    def media(self, now: int, data: bytes) -> None:
        """Buffer audio of any size; it starts at `now` when nothing is buffered. Call `advance` first."""
        if not self._buffer:
            self._note_underrun(now, data)
            self._cursor = now
            if not self._segments or self._ran_dry != now:
                self._segments.append([now, now])
        self._buffer += data
        self.max_buffered_ms = max(self.max_buffered_ms, len(self._buffer) / SAMPLES_PER_MS)

    def mark(self, now: int, name: str) -> None:
        """Remember a mark: due when everything buffered has been played. Call `advance` first (and after)."""
        due = self._cursor + len(self._buffer) if self._buffer else now
        self._marks.append(Mark(name, now, due))

    def clear(self, now: int) -> tuple[Mark, ...]:
        """Empty the buffer and return every outstanding mark, in the order sent. Call `advance` first."""
        marks = tuple(self._marks)
        self._marks.clear()
        self.flushed_bytes += len(self._buffer)
        self._buffer.clear()
        self._ran_dry = -1
        return marks

    def stop(self) -> tuple[Mark, ...]:
        """End: what is still buffered will never be heard; return the marks that were never reached."""
        self.unplayed_bytes = len(self._buffer)
        self._buffer.clear()
        marks = tuple(self._marks)
        self._marks.clear()
        return marks

    def advance(self, now: int) -> tuple[Mark, ...]:
        """Play what is due by sample `now`; return the marks reached, in the order sent."""
        count = min(len(self._buffer), now - self._cursor) if self._buffer else 0
        if count > 0:
            played = bytes(self._buffer[:count])
            del self._buffer[:count]
            self._heard.write(self._cursor, played)
            self._cursor += count
            self._segments[-1][1] = self._cursor
            self._last_frame = (self._last_frame + played)[-FRAME:]
            if not self._buffer:
                self._ran_dry = self._cursor
        reached = []
        while self._marks and self._marks[0].due <= now:
            reached.append(self._marks.popleft())
        return tuple(reached)

    def _note_underrun(self, now: int, data: bytes) -> None:
        if self._ran_dry < 0:
            return
        gap_ms = (now - self._ran_dry) / SAMPLES_PER_MS
        if 0 < gap_ms <= UNDERRUN_WINDOW_MS and is_voiced(self._last_frame) and is_voiced(data):
            self.underruns.append(Underrun(self._ran_dry / SAMPLES_PER_MS, gap_ms))
