"""Streaming resampling of PCM16 between any two rates: a polyphase FIR, exact, aligned in time.

Theory of operation. The outputs form a grid that starts with the stream. The stage keeps the input from
`Table.behind` samples before the current block on, and knows how many outputs of that block are out. Each feed
computes the blocks that the input touches and gives those outputs whose filter lies fully inside what has arrived;
whatever stands behind that in memory reaches only outputs that are thrown away. So each output is the same sum over
the same samples however the stream was cut, and the sums are exact (polyphase.py). Therefore, too, one channel may be
left to the compiled `_fir.Line`, which gives the same bits; it is there when a C compiler was, at installation.

Output n is the signal at the time of output n: the filter's delay shows as samples held back (at most `delay_ms`),
not as a shift. `flush` gives them, taking what never came as silence.
"""

import numpy as np

from archer_codecs.errors import StageClosedError
from archer_codecs.formats import Format
from archer_codecs.polyphase import table_for
from archer_codecs.prototype import Phase
from archer_codecs.rounding import INT16, Int16s, to_int16

try:
    from archer_codecs import _fir as kernel
except ImportError:
    kernel = None  # type: ignore[assignment]

KERNEL_VERSION = 1
"""One compiled from another source is left alone: numpy gives the same bits."""


_FRAME_MS = 20.0
_PIECE_BYTES = 16384  # bounds the scratch memory of a long chunk, far above any live frame
_FLOAT = np.float64


def is_compiled() -> bool:
    """Whether the kernel resamples what has one channel."""
    return kernel is not None and kernel.VERSION == KERNEL_VERSION


class Resampler:
    """Resamples pcm_s16le, one or two channels, to `rate`.

    `phase="linear"` keeps the wave's shape: 1.9 ms and 88 dB at 8 kHz. `phase="minimum"` holds back nothing: 0.2 ms at
    1 kHz, 58 dB. After `flush` exactly `expected(n)` samples have come out for n that went in.

    Raises:
        ValueError: `source` is not pcm_s16le, or has that rate already.
    """

    __slots__ = (
        "_block_bytes",
        "_block_out",
        "_buffer",
        "_closed",
        "_done",
        "_down",
        "_fill",
        "_frame",
        "_inputs",
        "_line",
        "_memory",
        "_offset",
        "_reach",
        "_room",
        "_rows",
        "_single",
        "_table",
        "_tail",
        "_up",
        "_weights",
        "live",
        "name",
        "sink",
        "source",
    )

    def __init__(self, source: Format, rate: int, *, phase: Phase = "linear") -> None:
        if source.encoding != "pcm_s16le":
            raise ValueError(f"resampling works on pcm_s16le, not on {source}; decode first")
        if source.rate == rate:
            raise ValueError(f"{source} has the rate {rate} already; nothing to resample")
        self.name = "resample" if phase == "linear" else "resample-minimum"
        self.source = source
        self.sink = Format(source.encoding, rate, source.channels)
        self._table = table = table_for(source.rate, rate, phase)
        self._frame = frame = source.frame_bytes
        # What `feed` needs every 20 ms, out of the table once.
        self._up, self._down, self._offset = table.up, table.down, table.offset
        self._reach = table.behind + table.ahead
        self._block_out = table.block_out
        self._block_bytes = table.block_in * frame
        self._weights = table.weights[0]
        self._tail = bytes((table.behind + table.lead_in) * frame)
        self._fill = len(self._tail)
        self._line = None
        if frame == 2 and is_compiled():
            length, silence = self._reach + 1, table.behind + table.lead_in
            self._line = kernel.Line(table.taps, table.up, table.down, table.offset, length, silence, table.lead_out)
            self.live = self._line.feed
        # One channel and one matrix a block is what the live path has. It gets a buffer that stays, with room for a
        # frame, so that the window on it can stay too.
        self._single = table.groups == 1 and frame == 2 and self._line is None
        self._room = _PIECE_BYTES if self._line is None and not self._single else source.bytes_for(_FRAME_MS)
        self._buffer = bytearray()
        if self._single:
            self._buffer = bytearray(self._room + (table.block_in + table.span + 1) * frame)
            self._tail = b""
        self._memory = memoryview(self._buffer)
        self._done = table.lead_out  # outputs of the current block that are out
        self._rows = 0
        self._closed = False

    @property
    def delay_ms(self) -> float:
        """The longest an input sample is held back before the output at its time is given."""
        return self._table.ahead * 1000 / self.source.rate

    def expected(self, samples: int) -> int:
        """Output samples, all channels as one, for `samples` of input once flushed: ceil(samples * out / in)."""
        return self._table.outputs_for(samples)

    def feed(self, data: bytes) -> bytes:
        """Resample little-endian int16; b"" while the filter fills. A split sample is kept for the next call."""
        if self._closed:
            raise StageClosedError(self.name, len(data))
        if (line := self._line) is not None:
            advance = line.feed
        else:
            advance = self._advance if self._single else self._advance_any
        room = self._room
        if len(data) <= room:
            return advance(data)
        return b"".join([advance(data[at : at + room]) for at in range(0, len(data), room)])

    def flush(self) -> bytes:
        """Give the outputs still held back; a split sample at the end is dropped."""
        if self._closed:
            return b""
        if self._line is not None:
            self._line.drop_split()
        self._fill -= self._fill % self._frame
        self._tail = self._tail[: self._fill]
        # As much silence as the filter looks ahead completes exactly the outputs within what was fed.
        out = self.feed(bytes(self._table.ahead * self._frame))
        self._closed = True
        return out

    def _advance(self, data: bytes) -> bytes:
        """Take in at most the room's bytes and give the outputs they complete; the live path."""
        done, fill, memory = self._done, self._fill, self._memory
        size = fill + len(data)
        memory[fill:size] = data
        ready = self._ready(size)
        if ready <= done:
            self._fill = size
            return b""
        full, self._done = divmod(ready, self._block_out)
        rows = full + 1 if self._done else full
        if rows != self._rows:
            self._look(rows)
        out = to_int16(self._inputs.astype(_FLOAT).dot(self._weights)).tobytes()
        used = full * self._block_bytes
        self._fill = size - used
        memory[: size - used] = memory[used:size]
        return out[done * 2 : ready * 2]

    def _advance_any(self, data: bytes) -> bytes:
        """The same for tables of many matrices and for two channels; keeps the unused input as bytes."""
        table, frame, done = self._table, self._frame, self._done
        data = self._tail + data
        ready = self._ready(len(data))
        full, part = divmod(max(ready, done), self._block_out)
        self._tail = data[full * self._block_bytes :] if ready > done else data
        self._fill = len(self._tail)
        if ready <= done:
            return b""
        self._done = part
        rows = full + 1 if part else full
        short = (rows - 1) * self._block_bytes + table.span * frame - len(data)
        out = self._compute(data + bytes(short) if short > 0 else data, rows)
        return out.tobytes()[done * frame : ready * frame]

    def _ready(self, size: int) -> int:
        """How many outputs of the current block on are complete when `size` bytes are there."""
        return -(((self._reach - size // self._frame) * self._up + self._offset) // self._down)

    def _look(self, rows: int) -> None:
        """Set `_inputs` to what each of `rows` blocks reads, shape (rows, stretch); frames of one size keep it."""
        self._rows = rows
        shape = (rows, self._table.stretch)
        self._inputs: Int16s = np.ndarray(shape, INT16, self._buffer, 0, (self._block_bytes, 2))

    def _compute(self, data: bytes, rows: int) -> Int16s:
        """Compute `rows` blocks by any table, of any number of channels: outputs in order, channels interleaved."""
        table, frame = self._table, self._frame
        shape = (table.groups, rows, table.stretch)
        strides = (table.hop * frame, self._block_bytes, frame)
        sides = []
        for channel in range(self.source.channels):
            inputs = np.ndarray(shape, INT16, data, 2 * channel, strides)
            sides.append(to_int16(np.matmul(inputs.astype(_FLOAT), table.weights)).transpose(1, 0, 2))
        return sides[0] if len(sides) == 1 else np.stack([side.reshape(-1) for side in sides], axis=1)
