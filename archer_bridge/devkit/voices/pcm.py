"""Whole recordings as samples: bytes to floats and back, and another rate."""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
"""Samples in -1.0 to 1.0, shape (samples,)."""


def to_floats(pcm: bytes) -> Floats:
    """Little-endian int16 bytes as floats; half a sample at the end is dropped."""
    return np.frombuffer(pcm[: len(pcm) & ~1], dtype="<i2").astype(np.float32) / np.float32(32768)


def to_pcm(samples: Floats) -> bytes:
    """Floats as little-endian int16 bytes, clipped at full scale."""
    scaled = np.rint(samples * np.float32(32768))
    return bytes(np.clip(scaled, -32768, 32767).astype("<i2").tobytes())


def resampled(samples: Floats, source: float, sink: float) -> Floats:
    """A whole recording at another rate, band-limited; needs all of it at once, so not for streams."""
    count = round(len(samples) * sink / source)
    if count == len(samples) or count == 0:
        return samples[:count]
    spectrum = np.fft.rfft(samples)
    return (np.fft.irfft(spectrum, count) * (count / len(samples))).astype(np.float32)
