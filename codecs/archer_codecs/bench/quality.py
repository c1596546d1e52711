"""The figures of one resampler between one pair of rates, measured through int16 in 20 ms frames."""

from dataclasses import dataclass

import numpy as np

from archer_codecs.bench.signals import VOICE_BAND, play, response, sinad_db, tone, worst_spur_db
from archer_codecs.bench.subjects import Stream, Subject

_SINAD_HZ = 997.0  # no divisor of any rate, so that quantisation errors do not repeat with the tone
_DELAY_HZ = (990.0, 1010.0)  # two tones whose phases give the group delay at 1 kHz; clear up to 50 ms
_EDGE_HZ = 60.0  # keep sweeps off half the sampling rate, where a sampled sine may vanish


@dataclass(frozen=True, slots=True)
class Quality:
    """Figures of one pair of rates.

    `reject_db` is the worst of two sweeps: tones anywhere in the input, spurs that land in 300-3400 Hz; and tones in
    300-3400 Hz, spurs that land anywhere. `delay_ms` is the group delay at 1 kHz plus the most audio held back after
    a frame. `broken` of `splits` random cuts changed the output.
    """

    source: int
    sink: int
    ripple_db: float
    sinad_db: float
    reject_db: float
    delay_ms: float
    held_ms: float
    splits: int
    broken: int


def measure(subject: Subject, source: int, sink: int, *, tones: int = 24, splits: int = 40) -> Quality:
    """Measure one subject; `tones` is the number in each sweep."""
    held = _held_ms(subject.open(source, sink), source, sink)
    return Quality(
        source=source,
        sink=sink,
        ripple_db=_ripple_db(subject, source, sink, tones),
        sinad_db=sinad_db(_answer(subject, source, sink, _SINAD_HZ), sink, _SINAD_HZ),
        reject_db=_reject_db(subject, source, sink, tones),
        delay_ms=held + _shift_ms(subject, source, sink),
        held_ms=held,
        splits=splits,
        broken=broken_splits(subject, source, sink, splits),
    )


def gains_db(subject: Subject, source: int, sink: int, hertz: "list[float]") -> list[float]:
    """Gain at each frequency, in dB."""
    answers = ((each, _answer(subject, source, sink, each)) for each in hertz)
    return [float(20 * np.log10(abs(response(answer, sink, each)) + 1e-12)) for each, answer in answers]


def rejection_at(subject: Subject, source: int, sink: int, hertz: float, band: tuple[float, float]) -> float:
    """The worst spur inside `band` from one tone, in dB."""
    return worst_spur_db(_answer(subject, source, sink, hertz), sink, hertz, band)


def broken_splits(subject: Subject, source: int, sink: int, splits: int, *, seed: int = 1) -> int:
    """How many of `splits` random cuts of 60 ms of noise changed the output."""
    rng = np.random.default_rng(seed)
    data = rng.normal(0, 6000, round(source * 0.06)).clip(-32768, 32767).astype("<i2").tobytes()
    stream = subject.open(source, sink)
    whole = stream.feed(data) + stream.flush()
    broken = 0
    for cut in rng.integers(0, len(data) // 2 + 1, splits):
        stream = subject.open(source, sink)
        parts = stream.feed(data[: 2 * cut]) + stream.feed(data[2 * cut :]) + stream.flush()
        broken += parts != whole
    return broken


def _answer(subject: Subject, source: int, sink: int, hertz: float) -> "np.ndarray[tuple[int], np.dtype[np.int16]]":
    return play(subject.open(source, sink), tone(source, hertz), source)


def _ripple_db(subject: Subject, source: int, sink: int, tones: int) -> float:
    gains = gains_db(subject, source, sink, list(np.linspace(*VOICE_BAND, tones)))
    return max(gains) - min(gains)


def _reject_db(subject: Subject, source: int, sink: int, tones: int) -> float:
    top = source / 2 - _EDGE_HZ
    first_alias = min(max(sink - VOICE_BAND[1], VOICE_BAND[1]), top)  # the lowest tone that folds into the band
    everywhere = {*np.linspace(VOICE_BAND[0], top, tones), *np.linspace(first_alias, top, tones)}
    landing = [rejection_at(subject, source, sink, each, VOICE_BAND) for each in sorted(everywhere)]
    anywhere = (100.0, sink / 2)
    images = [rejection_at(subject, source, sink, each, anywhere) for each in np.linspace(*VOICE_BAND, tones)]
    return max(*landing, *images)


def _shift_ms(subject: Subject, source: int, sink: int) -> float:
    low, high = (response(_answer(subject, source, sink, each), sink, each) for each in _DELAY_HZ)
    turn = float(np.angle(high / low))
    return -turn / (2 * np.pi * (_DELAY_HZ[1] - _DELAY_HZ[0])) * 1000


def _held_ms(stream: Stream, source: int, sink: int) -> float:
    """The most audio missing from the output after a 20 ms frame of a second of audio."""
    data = tone(source, 440.0, seconds=1.0).tobytes()
    step = 2 * round(source * 0.02)
    came, worst = 0, 0.0
    for at in range(0, len(data), step):
        came += len(stream.feed(data[at : at + step])) // 2
        went = min(at + step, len(data)) // 2
        worst = max(worst, went / source - came / sink)
    return worst * 1000
