"""Samples as bytes and floats, and rate changes."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from archer_bridge.devkit.voices.pcm import resampled, to_floats, to_pcm


@given(st.binary(max_size=200))
def test_bytes_survive_the_way_to_floats_and_back(pcm: bytes) -> None:
    assert to_pcm(to_floats(pcm)) == pcm[: len(pcm) // 2 * 2]


def test_too_loud_is_clipped_not_wrapped() -> None:
    assert to_pcm(np.array([2.0, -2.0], np.float32)) == b"\xff\x7f\x00\x80"


@pytest.mark.parametrize(("source", "sink"), [(24000, 8000), (8000, 24000), (21120.0, 24000), (44100, 8000)])
def test_a_tone_keeps_its_pitch_length_and_level(source: float, sink: float) -> None:
    seconds = np.arange(round(source / 2)) / source
    tone = np.sin(2 * np.pi * 440 * seconds).astype(np.float32)

    out = resampled(tone, source, sink)

    peak_hz = float(np.argmax(np.abs(np.fft.rfft(out)))) * 2  # half a second: bins of 2 Hz
    assert len(out) == round(len(tone) * sink / source)
    assert peak_hz == 440
    assert float(np.abs(out).max()) == pytest.approx(1.0, abs=0.02)


def test_nothing_stays_nothing() -> None:
    assert len(resampled(np.zeros(0, np.float32), 8000, 16000)) == 0


def test_the_same_rate_is_the_same_audio() -> None:
    audio = np.ones(10, np.float32)

    assert np.array_equal(resampled(audio, 8000, 8000), audio)
