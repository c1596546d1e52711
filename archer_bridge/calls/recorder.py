"""The recording's timeline: caller left, agent as heard right. Pure: bytes and times in, stereo pieces out.

Both sides are placed on the caller's sample count, which Twilio's timestamps keep. Agent audio is placed where the
playout ledger says that it plays, not where it was sent, and what a barge-in flushed is taken out again. Everything
up to this moment is given out a few times a second, so that a crash costs little; what changes afterwards (caller
audio that was held up, a cut, a correction) is given out again with its place, as long as it is no older than
`KEPT_S`. So memory stays flat however long the call, and the right channel holds what was heard.
"""

import math
from collections.abc import Callable

from archer_bridge.calls.core_ports import CALLER, Note, Piece
from archer_bridge.calls.playout import BYTES_PER_S

SILENCE = b"\xff"
KEPT_S = 5.0
"""How late caller audio may come and still find its place; also the farthest that a timestamp may jump ahead."""
FRAME = 160
"""Timestamps jitter: closer than a frame to the sample count means the next sample, and a hole is whole frames."""
CLOSE = FRAME / 2
WINDOW = 500
"""Frames over which the fastest arrival tells where the sample count lies on our clock: 10 s."""

HAIR = 0.05
"""Samples: what a timer that fires a hair early, and floating point, may take away."""

Write = Callable[[int, bytes], None]
"""Takes interleaved mu-law sample pairs and the index of the first one; may overwrite earlier ones."""


class Recorder:
    """One call's recording as a `Tap`. Sample indices count from the first audio of either side, at 8000 Hz."""

    def __init__(self, write: Write, close: Callable[[], None]) -> None:
        self.samples = 0
        """Sample pairs given out so far."""
        self._noted: list[Piece] = []
        self.note: Note = self._noted.append
        """Takes a piece of either side, to be placed when the next ones are given out, or cut."""
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
        return len(self._left) + len(self._right) + sum(len(audio) for _, _, audio, _ in self._noted)

    # ---- the tap ---------------------------------------------------------------------------------------------

    def _absorb(self) -> None:
        """Place what was noted. Frames that follow each other, as nearly all do, are placed as one run."""
        left, right, ledger = bytearray(), bytearray(), 0
        for side, place, audio, at in self._noted:
            if self._zero is None:
                self._zero = at
            if side == CALLER:
                if self._first_ms is None or self._first_index + (place - self._first_ms) * 8 - self._next_left > CLOSE:
                    self._place(self._left, self._next_left, left)
                    self._seek(place, at, len(audio))
                left += audio
                self._next_left += len(audio)
                self._follow_clock(at - (self._next_left - len(audio)) / BYTES_PER_S)
            else:
                index = math.floor((at - self._zero) * BYTES_PER_S + HAIR)
                if index - self._next_right >= FRAME or place != ledger + len(right):
                    self._place_agent(ledger, right)
                    ledger = place
                    if index - self._next_right >= FRAME:
                        self._next_right = index
                right += audio
                self._next_right += len(audio)
        self._place(self._left, self._next_left, left)
        self._place_agent(ledger, right)
        self._noted.clear()

    def _seek(self, timestamp_ms: int, began: float, length: int) -> None:
        """Find the place of caller audio that does not follow what is there."""
        assert self._zero is not None
        if self._first_ms is None:
            self._first_ms = timestamp_ms
            self._first_index = self._next_left = max(0, round((began - self._zero) * BYTES_PER_S))
        index = self._first_index + (timestamp_ms - self._first_ms) * 8
        hole = round((index - self._next_left) / FRAME) * FRAME
        farthest = (began + length / BYTES_PER_S - self._zero + KEPT_S) * BYTES_PER_S
        if self._next_left + hole < farthest:
            self._next_left += hole

    def _place_agent(self, start: int, run: bytearray) -> None:
        """Place agent audio, from this ledger position on, where it plays."""
        if run:
            self._pieces.append((start, self._next_right - len(run), len(run)))
            self._place(self._right, self._next_right, run)

    def cut(self, position: int, now: float) -> None:
        """Take out agent audio from this ledger position on: it was flushed."""
        self._absorb()
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
        self._absorb()
        if self._zero is not None:
            self._give_out(_sample(now - self._zero))

    def finish(self, now: float) -> None:
        """Give out the rest, up to this moment: agent audio that would have played later was not heard."""
        self._absorb()
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
        if zero < self._window_zero:
            self._window_zero = zero
            if zero < self._zero:
                self._zero = zero
        self._window_left -= 1
        if self._window_left == 0:
            self._zero, self._window_zero, self._window_left = self._window_zero, float("inf"), WINDOW

    def _place(self, side: bytearray, end: int, run: bytearray) -> None:
        """Put a run so that it ends before this index; the run is empty then, for the next one."""
        index, offset = end - len(run), end - len(run) - self._base
        if offset < 0:
            del run[:-offset]
            offset = 0
        if not run:
            return
        if len(side) < offset:
            side.extend(SILENCE * (offset - len(side)))
        side[offset : offset + len(run)] = run
        self._changed = min(self._changed, index)
        run.clear()

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
