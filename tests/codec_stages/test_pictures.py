from pathlib import Path

import numpy as np
import pytest

from archer_codecs.bench.spectrogram import Sound, sweep

pytest.importorskip("matplotlib")
PNG = b"\x89PNG\r\n\x1a\n"


@pytest.mark.timeout(30)
def test_pictures_are_written(tmp_path: Path) -> None:
    from archer_codecs.bench.plot import draw_responses
    from archer_codecs.bench.spectrogram import draw_spectrograms

    draw_responses(tmp_path / "response.png", tones=6)
    draw_spectrograms(tmp_path / "sweep.png", sweep(seconds=0.5))

    for name in ("response.png", "sweep.png"):
        assert (tmp_path / name).read_bytes()[:8] == PNG
        assert (tmp_path / name).stat().st_size > 20_000


def test_a_sweep_goes_to_half_the_rate() -> None:
    sound = sweep(seconds=1.0)
    samples = np.frombuffer(sound.audio, "<i2").astype(float)
    last = np.abs(np.fft.rfft(samples[-1000:]))

    assert (sound.rate, len(samples)) == (24000, 24000)
    assert 11_500 < np.argmax(last) * 24 <= 12_000


def test_too_short_a_sound_is_refused(tmp_path: Path) -> None:
    from archer_codecs.bench.spectrogram import draw_spectrograms

    with pytest.raises(ValueError, match="10 samples at 24000 Hz are too few for a spectrogram; 768 are needed"):
        draw_spectrograms(tmp_path / "short.png", Sound("short", 24000, bytes(20)))
