"""Spectrograms of 24 kHz audio sent to 8 kHz mu-law by this package and by what else is used; needs matplotlib."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from archer_codecs.bench.plot import figure
from archer_codecs.bench.signals import LEVEL, Floats
from archer_codecs.bench.subjects import Subject, alternatives, ours
from archer_codecs.formats import Format
from archer_codecs.planner import plan

_SHOWN = ("audioop.ratecv", "soxr VHQ")
_WINDOW = 256
_HOP = 64
_RANGE_DB = 80.0


@dataclass(frozen=True, slots=True)
class Sound:
    """PCM16 mono audio and what it is."""

    title: str
    rate: int
    audio: bytes


def sweep(rate: int = 24000, seconds: float = 3.0) -> Sound:
    """A sine from 100 Hz to 12 kHz: everything above 4 kHz must vanish at 8 kHz."""
    t = np.arange(round(rate * seconds)) / rate
    top = rate / 2
    wave = 0.5 * LEVEL * np.sin(2 * np.pi * (100 * t + (top - 100) * t**2 / (2 * seconds)))
    return Sound(f"sine sweep 100-{top:.0f} Hz", rate, np.rint(wave).astype("<i2").tobytes())


def draw_spectrograms(path: Path, sound: Sound) -> None:
    """Draw the sound itself and beside it what a phone hears after each resampler and mu-law."""
    shown = (ours()[0], *(each for each in alternatives() if each.name in _SHOWN))
    made, axes = figure(1 + len(shown), 4 * (1 + len(shown)), 4)
    columns = [(f"{sound.title}, {sound.rate} Hz", sound.rate, sound.audio)]
    columns += [(f"{each.name} -> mu-law 8000 Hz", 8000, _heard(each, sound)) for each in shown]
    for one, (title, rate, audio) in zip(axes, columns, strict=True):
        levels = _levels_db(audio, rate)
        one.imshow(
            levels,
            origin="lower",
            aspect="auto",
            extent=(0, len(audio) / 2 / rate, 0, rate / 2000),
            vmin=-_RANGE_DB,
            vmax=0,
            cmap="magma",
        )
        one.set_title(title)
        one.set_xlabel("s")
        one.set_ylabel("kHz")
    made.savefig(path, dpi=80)


def _heard(subject: Subject, sound: Sound) -> bytes:
    stream = subject.open(sound.rate, 8000)
    step = 2 * sound.rate // 50
    parts = [stream.feed(sound.audio[at : at + step]) for at in range(0, len(sound.audio), step)]
    phone = plan(Format("pcm_s16le", 8000), Format("mulaw", 8000)).build()
    ear = plan(Format("mulaw", 8000), Format("pcm_s16le", 8000)).build()
    return ear.feed(phone.feed(b"".join(parts) + stream.flush()))


def _levels_db(audio: bytes, rate: int) -> Floats:
    """Short-time spectrum in dB of the loudest cell, shape (frequencies, times)."""
    size = _WINDOW * rate // 8000  # the same length in seconds at any rate
    hop = _HOP * rate // 8000
    samples = np.frombuffer(audio, "<i2").astype(np.float64)
    if len(samples) < size:
        raise ValueError(f"{len(samples)} samples at {rate} Hz are too few for a spectrogram; {size} are needed")
    slices = np.lib.stride_tricks.sliding_window_view(samples, size)[::hop]
    power = np.abs(np.fft.rfft(slices * np.hanning(size), axis=1)) ** 2
    return np.asarray(10 * np.log10(power / power.max() + 1e-12)).T
