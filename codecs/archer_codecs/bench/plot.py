"""Frequency response pictures; needs matplotlib."""

from pathlib import Path
from typing import Any

import numpy as np

from archer_codecs.bench.quality import gains_db, rejection_at
from archer_codecs.bench.signals import VOICE_BAND
from archer_codecs.bench.subjects import Subject, alternatives, ours

_SHOWN = ("audioop.ratecv", "soxr QQ", "soxr VHQ", "resample_poly/frame")
_FLOOR_DB = -120.0


def figure(columns: int, width: float, height: float) -> tuple[Any, Any]:
    """An empty figure with one row of axes, on a canvas that needs no screen."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    made = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(made)
    return made, made.subplots(1, columns, squeeze=False)[0]


def draw_responses(path: Path, *, tones: int = 60) -> None:
    """Draw what each resampler does to a tone on 24 kHz -> 8 kHz and 8 kHz -> 16 kHz.

    Left: level of the tone itself in the voice band, and of what lands in the voice band for tones above it. Right:
    level of the worst ghost it raises anywhere.
    """
    shown = (*ours(), *(each for each in alternatives() if each.name in _SHOWN))
    made, (down, up) = figure(2, 13, 5.5)
    for subject in shown:
        _draw_down(down, subject, tones)
        _draw_up(up, subject, tones)
    down.set_title("24 kHz -> 8 kHz: what a tone leaves in 300-3400 Hz")
    up.set_title("8 kHz -> 16 kHz: the worst ghost of a tone")
    for axes in (down, up):
        axes.axhline(-80, color="black", linewidth=0.8, linestyle=":")
        axes.set_ylim(_FLOOR_DB, 5)
        axes.set_xlabel("tone, Hz")
        axes.set_ylabel("dB of the tone")
        axes.grid(alpha=0.3)
    handles, labels = up.get_legend_handles_labels()
    made.legend(handles, labels, loc="outside lower center", ncols=len(labels))
    made.savefig(path, dpi=110)


def _draw_down(axes: Any, subject: Subject, tones: int) -> None:
    inside = list(np.linspace(*VOICE_BAND, max(2, tones // 3)))
    above = list(np.linspace(8000 - VOICE_BAND[1], 11900, tones))
    ghosts = [rejection_at(subject, 24000, 8000, each, VOICE_BAND) for each in above]
    line = axes.plot(inside, gains_db(subject, 24000, 8000, inside), label=subject.name)[0]
    axes.plot(above, ghosts, color=line.get_color())


def _draw_up(axes: Any, subject: Subject, tones: int) -> None:
    inside = list(np.linspace(*VOICE_BAND, tones))
    ghosts = [rejection_at(subject, 8000, 16000, each, (100.0, 8000.0)) for each in inside]
    axes.plot(inside, ghosts, label=subject.name)
