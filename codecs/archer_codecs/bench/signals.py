"""Tones in, figures out: the arithmetic of the quality measurements."""

import numpy as np
import numpy.typing as npt

from archer_codecs.bench.subjects import Stream

Floats = npt.NDArray[np.float64]
Int16s = npt.NDArray[np.int16]

LEVEL = 29000.0  # about -1 dBFS: loud enough that -80 dB is three steps of int16, and no filter clips on it
VOICE_BAND = (300.0, 3400.0)

_SECONDS = 0.6
_STEADY = (0.2, 0.4)  # seconds: past every contender's start, before every end
_SIDELOBES = 20.0  # Kaiser's beta: side lobes below -150 dB, main lobe +-6.5 bins
_SKIRT_HZ = 80.0  # around the tone: its own main lobe, not a spurious one


def tone(rate: int, hertz: float, *, seconds: float = _SECONDS) -> Int16s:
    """A sine at `LEVEL`, rounded to int16."""
    t = np.arange(round(rate * seconds)) / rate
    return np.rint(LEVEL * np.sin(2 * np.pi * hertz * t)).astype("<i2")


def play(stream: Stream, samples: Int16s, rate: int, *, frame_ms: float = 20.0) -> Int16s:
    """Send samples through in frames and flush."""
    data = samples.tobytes()
    step = 2 * round(rate * frame_ms / 1000)
    parts = [stream.feed(data[at : at + step]) for at in range(0, len(data), step)]
    return np.frombuffer(b"".join(parts) + stream.flush(), "<i2")


def steady(samples: Int16s, rate: int) -> Floats:
    """The part of an answer in which a tone has settled."""
    first, last = (round(rate * at) for at in _STEADY)
    return samples[first:last].astype(np.float64)


def response(samples: Int16s, rate: int, hertz: float) -> complex:
    """Amplitude and phase of a tone, 1.0 being what went in; phase as if the first sample were at time zero."""
    part = steady(samples, rate)
    window = np.kaiser(len(part), _SIDELOBES)
    t = np.arange(len(part)) / rate + round(rate * _STEADY[0]) / rate
    value = np.sum(window * part * np.exp(-2j * np.pi * hertz * t)) * 2 / (window.sum() * LEVEL)
    return complex(value * 1j)  # a sine, not a cosine, went in


def worst_spur_db(samples: Int16s, rate: int, hertz: float, band: tuple[float, float]) -> float:
    """The largest component inside `band` that is not the tone, in dB of the tone that went in."""
    part = steady(samples, rate)
    window = np.kaiser(len(part), _SIDELOBES)
    size = 4 * len(part)  # zero padding: a peak between two bins is not missed by more than 0.1 dB
    spectrum = np.abs(np.fft.rfft(part * window, size)) * 2 / (window.sum() * LEVEL)
    at = np.fft.rfftfreq(size, 1 / rate)
    wanted = (at >= band[0]) & (at <= band[1]) & (np.abs(at - hertz) > _SKIRT_HZ)
    return float(20 * np.log10(spectrum[wanted].max() + 1e-12))


def sinad_db(samples: Int16s, rate: int, hertz: float) -> float:
    """Power of the tone over that of everything else but a constant, in dB."""
    part = steady(samples, rate)
    t = 2 * np.pi * hertz * np.arange(len(part)) / rate
    basis = np.stack([np.sin(t), np.cos(t), np.ones(len(part))], axis=1)
    weights, *_ = np.linalg.lstsq(basis, part, rcond=None)
    rest = part - basis @ weights
    power = (weights[0] ** 2 + weights[1] ** 2) / 2
    return float(10 * np.log10(power / max(float(np.mean(rest**2)), 1e-12)))
