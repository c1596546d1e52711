"""Audio on one gapless timeline, addressed by sample."""

import numpy as np
import numpy.typing as npt

from archer_codecs import MULAW_8K, PCM16_8K, plan

SAMPLES_PER_MS = 8
FRAME = 160
"""Samples, and mu-law bytes, of 20 ms at 8 kHz."""
SILENCE = b"\xff"
"""mu-law zero (ITU-T G.711); 0x00 is the loudest negative sample."""
VOICED_RMS = 250.0
"""Level (of 32768) from which 20 ms count as sound somebody hears: -42 dBFS, above line noise, below soft speech."""
_BLOCK = 6000 * FRAME
"""Two minutes: hours of audio are measured in pieces, so that memory stays flat."""


def _linear_values() -> npt.NDArray[np.int16]:
    chain = plan(MULAW_8K, PCM16_8K).build()
    pcm = chain.feed(bytes(range(256))) + chain.flush()
    return np.frombuffer(pcm, dtype="<i2").astype(np.int16)


_LINEAR = _linear_values()
_SQUARES = _LINEAR.astype(np.float64) ** 2


def linear(data: bytes) -> npt.NDArray[np.int16]:
    """Decode mu-law to shape (len(data),), dtype int16."""
    return _LINEAR[np.frombuffer(data, dtype=np.uint8)]


def frame_levels(data: bytes) -> npt.NDArray[np.float64]:
    """Root mean square of each 20 ms frame, shape (frames,); the last frame may be shorter than 160 bytes."""
    levels = [_block_levels(data[start : start + _BLOCK]) for start in range(0, len(data), _BLOCK)]
    return np.concatenate(levels) if levels else np.zeros(0)


def _block_levels(data: bytes) -> npt.NDArray[np.float64]:
    squares = _SQUARES[np.frombuffer(data, dtype=np.uint8)]
    starts = np.arange(0, len(data), FRAME)
    lengths = np.minimum(FRAME, len(data) - starts)
    return np.asarray(np.sqrt(np.add.reduceat(squares, starts) / lengths))


def is_voiced(data: bytes) -> bool:
    """Whether `data` (mu-law, about 20 ms) is loud enough to be heard as sound."""
    return bool(len(data)) and float(frame_levels(data[:FRAME])[0]) >= VOICED_RMS


class Tape:
    """mu-law bytes on a timeline that starts at sample 0; what nobody wrote is silence."""

    def __init__(self) -> None:
        self._data = bytearray()

    def __len__(self) -> int:
        """Samples written so far, silence between them included."""
        return len(self._data)

    def write(self, at: int, data: bytes) -> None:
        """Put `data` at sample `at`, which is not before the end: the past is never rewritten."""
        if at < len(self._data):
            raise ValueError(f"write at sample {at}: the tape already reaches {len(self._data)}")
        self._data += SILENCE * (at - len(self._data))
        self._data += data

    def cut(self, at: int) -> int:
        """Forget what was written after sample `at`; return how many bytes that was."""
        lost = max(0, len(self._data) - at)
        del self._data[at:]
        return lost

    def read(self, start: int, end: int) -> bytes:
        """Return samples [start, end), silence where nothing was written."""
        data = bytes(self._data[start:end])
        return data + SILENCE * (end - start - len(data))
