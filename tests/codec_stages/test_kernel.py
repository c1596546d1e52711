"""The compiled half of the resampler gives the same bits as the numpy half."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from archer_codecs import RATES, Format, Resampler, resample

PAIRS = [(a, b) for a in RATES for b in RATES if a != b]
PHASES = ("linear", "minimum")

kernel = pytest.importorskip("archer_codecs._fir", reason="the kernel was not compiled here: no C compiler")


def both(monkeypatch: pytest.MonkeyPatch, source: int, sink: int, phase: str) -> tuple[Resampler, Resampler]:
    """Return a compiled resampler and one of numpy's."""
    form = Format("pcm_s16le", source)
    compiled = Resampler(form, sink, phase=phase)
    with monkeypatch.context() as patch:
        patch.setattr(resample, "kernel", None)
        return compiled, Resampler(form, sink, phase=phase)


@pytest.mark.parametrize("phase", PHASES)
@pytest.mark.parametrize(("source", "sink"), PAIRS)
def test_every_pair_of_rates_gives_the_same_bits(
    source: int, sink: int, phase: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    compiled, numpy = both(monkeypatch, source, sink, phase)
    # At full scale half of the sums overshoot, and the other half are to be rounded.
    audio = np.random.default_rng(7).integers(-32768, 32768, source // 4, dtype="<i2").tobytes()

    for start, end in pairwise([0, 1, 2, 3, 40, 361, 682, 3000, len(audio)]):
        assert compiled.feed(audio[start:end]) == numpy.feed(audio[start:end])
    assert compiled.flush() == numpy.flush()


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_any_cuts_give_the_same_bits(data: st.DataObject) -> None:
    source, sink = data.draw(st.sampled_from(PAIRS))
    with pytest.MonkeyPatch.context() as patch:
        compiled, numpy = both(patch, source, sink, data.draw(st.sampled_from(PHASES)))
    for chunk in data.draw(st.lists(st.binary(max_size=3000), max_size=8)):
        assert compiled.feed(chunk) == numpy.feed(chunk)
    assert compiled.flush() == numpy.flush()


def test_halves_are_rounded_to_even_and_the_ends_are_clamped() -> None:
    line = kernel.Line(np.array([1.5, *[0.0] * 7]), 1, 1, 0, 1, 0, 0)
    samples = np.array([1, 3, -1, -3, 5, 32767, -32768], "<i2")

    assert np.frombuffer(line.feed(samples.tobytes()), "<i2").tolist() == [2, 4, -2, -4, 8, 32767, -32768]


@pytest.mark.parametrize(
    "sizes", [(0, 1, 0, 1, 0, 0), (1, 0, 0, 1, 0, 0), (1, 1, -1, 1, 0, 0), (1, 1, 0, 0, 0, 0), (1, 1, 0, 9, 0, 0)]
)
def test_sizes_that_do_not_fit_the_taps_are_refused(sizes: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="sizes do not fit"):
        kernel.Line(np.zeros(8), *sizes)


def test_a_kernel_of_another_version_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernel, "VERSION", resample.KERNEL_VERSION + 1)

    assert Resampler(Format("pcm_s16le", 8000), 16000)._line is None
