"""The recording's timeline: caller left, agent as heard right. Pure: bytes and times in, stereo pieces out.

Both sides are placed on the caller's sample count, which Twilio's timestamps keep. Agent audio is placed where the
playout ledger says that it plays, not where it was sent, and what a barge-in flushed is taken out again. Everything
up to this moment is given out a few times a second, so that a crash costs little; what changes afterwards (caller
audio that was held up, a cut, a correction) is given out again with its place, as long as it is no older than
`KEPT_S`. So memory stays flat however long the call, and the right channel holds what was heard.
"""

import math
from collections.abc import Callable

from archer_bridge.calls.playout import BYTES_PER_S, Playout
from archer_bridge.protocols.twilio_media import Audio

SILENCE = b"\xff"
KEPT_S = 5.0
"""How late caller audio may come and still find its place; also the farthest that a timestamp may jump ahead."""
FRAME = 160
"""Timestamps jitter: closer than a frame to the sample count means the next sample, and a hole is whole frames."""
WINDOW = 500
"""Frames over which the fastest arrival tells where the sample count lies on our clock: 10 s."""

HAIR = 0.05
"""Samples: what a timer that fires a hair early, and floating point, may take away."""

Write = Callable[[int, bytes], None]
"""Takes interleaved mu-law sample pairs and the index of the first one; may overwrite earlier ones."""


class Recorder:
    """One call's recording as a `Tap`. Sample indices count from the first audio of either side, at 8000 Hz."""

    def __init__(self, playout: Playout, write: Write, close: Callable[[], None]) -> None:
        self.samples = 0
        """Sample pairs given out so far."""
        self._playout = playout
        self._write = write
        self._close = close
        self._base = 0
        """Index of the first sample that is kept here; everything before it is final."""
        self._left = bytearray()
        self._right = bytearray()
        self._changed = 0
        """Everything before this index is given out as it is."""
        self._zero: float | None = None
        """When sample 0 was on the line, by our clock; None before any audio."""
        self._window_zero = float("inf")
        self._window_left = WINDOW
        self._first_ms: int | None = None
        self._first_index = 0
        self._next_left = 0
        self._next_right = 0
        self._pieces: list[tuple[int, int, int]] = []
        """(ledger position, sample index, length) of agent audio that a cut may still touch."""

    @property
    def kept_bytes(self) -> int:
        """Audio held here; bounded, however long the call."""
        return len(self._left) + len(self._right)

    # ---- the tap ---------------------------------------------------------------------------------------------

    def caller(self, audio: Audio, now: float) -> None:
        """Place caller audio by its timestamp."""
        began = now - len(audio.data) / BYTES_PER_S - self._playout.trip_s
        if self._zero is None:
            self._zero = began
        if self._first_ms is None:
            self._first_ms = audio.timestamp_ms
            self._first_index = self._next_left = max(0, round((began - self._zero) * BYTES_PER_S))
        index = self._first_index + (audio.timestamp_ms - self._first_ms) * 8
        if index - self._next_left > FRAME / 2:
            hole = round((index - self._next_left) / FRAME) * FRAME
            farthest = (now - self._zero + KEPT_S) * BYTES_PER_S
            if self._next_left + hole < farthest:
                self._next_left += hole
        self._place(self._left, self._next_left, audio.data)
        self._next_left += len(audio.data)
        self._follow_clock(began - (self._next_left - len(audio.data)) / BYTES_PER_S)

    def agent(self, start: int, audio: bytes) -> None:
        """Place agent audio where it plays; audio that follows without a pause follows without a seam."""
        plays_at = self._playout.plays_at(start)
        if self._zero is None:
            self._zero = plays_at
        index = max(0, _sample(plays_at - self._zero))
        if index - self._next_right < FRAME:
            index = self._next_right
        self._next_right = index + len(audio)
        self._pieces.append((start, index, len(audio)))
        self._place(self._right, index, audio)

    def cut(self, position: int, now: float) -> None:
        """Take out agent audio from this ledger position on: it was flushed."""
        kept = []
        for start, index, length in self._pieces:
            heard = max(0, min(length, position - start))
            if heard < length:
                self._erase(index + heard, index + length)
                self._next_right = min(self._next_right, index + heard)
            if heard:
                kept.append((start, index, heard))
        self._pieces = kept

    # ---- giving out ------------------------------------------------------------------------------------------

    def advance(self, now: float) -> None:
        """Give out everything up to this moment; call it a few times a second."""
        if self._zero is not None:
            self._give_out(_sample(now - self._zero))

    def finish(self, now: float) -> None:
        """Give out the rest, up to this moment: agent audio that would have played later was not heard."""
        if self._zero is not None:
            self._give_out(max(self._next_left, _sample(now - self._zero)))
        self._close()

    def _give_out(self, end: int) -> None:
        start, end = max(self._base, min(self._changed, self.samples)), max(end, self.samples)
        if start < end:
            stereo = bytearray(2 * (end - start))
            stereo[0::2] = self._read(self._left, start, end)
            stereo[1::2] = self._read(self._right, start, end)
            self._write(start, bytes(stereo))
        self.samples = self._changed = end
        self._forget(end - round(KEPT_S * BYTES_PER_S))

    def _forget(self, end: int) -> None:
        if end > self._base:
            del self._left[: end - self._base]
            del self._right[: end - self._base]
            self._base = end
            self._pieces = [piece for piece in self._pieces if piece[1] + piece[2] > end]

    # ---- the timeline ----------------------------------------------------------------------------------------

    def _follow_clock(self, zero: float) -> None:
        """Find the clock time of sample 0: the earliest of a window, which clocks that drift cannot make stale."""
        assert self._zero is not None
        self._window_zero = min(self._window_zero, zero)
        self._zero = min(self._zero, zero)
        self._window_left -= 1
        if self._window_left == 0:
            self._zero, self._window_zero, self._window_left = self._window_zero, float("inf"), WINDOW

    def _place(self, side: bytearray, index: int, audio: bytes) -> None:
        offset = index - self._base
        if offset < 0:
            audio, offset = audio[-offset:], 0
        if not audio:
            return
        if len(side) < offset:
            side.extend(SILENCE * (offset - len(side)))
        side[offset : offset + len(audio)] = audio
        if index < self._changed:
            self._changed = index

    def _erase(self, start: int, end: int) -> None:
        first, last = max(0, start - self._base), min(len(self._right), end - self._base)
        if last > first:
            self._right[first:last] = SILENCE * (last - first)
            self._changed = min(self._changed, start)

    def _read(self, side: bytearray, start: int, end: int) -> bytes:
        return bytes(side[start - self._base : end - self._base]).ljust(end - start, SILENCE)


def _sample(seconds: float) -> int:
    """Return the sample that is on the line so long after sample 0."""
    return math.floor(seconds * BYTES_PER_S + HAIR)
