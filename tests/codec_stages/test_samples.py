import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from archer_codecs import MULAW_8K, PCM16_8K, PCM16_16K, Chain, Format, gain_stage, plan
from archer_codecs.resample import is_compiled
from archer_codecs.samples import float_decode_stage, float_encode_stage, mono_stage, stereo_stage

REAL = Format("pcm_f32le", 8000)
STEREO = Format("pcm_s16le", 8000, 2)
EVERY_SAMPLE = np.arange(-32768, 32768).astype("<i2").tobytes()


def pcm(*values: int) -> bytes:
    return np.array(values, "<i2").tobytes()


def real(*values: float) -> bytes:
    return np.array(values, "<f4").tobytes()


def test_every_int16_survives_float32() -> None:
    assert float_decode_stage(REAL).feed(float_encode_stage(REAL).feed(EVERY_SAMPLE)) == EVERY_SAMPLE


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        pytest.param(0.5, 16384, id="half-scale"),
        pytest.param(1.0, 32767, id="full-scale-is-clamped"),
        pytest.param(-1.0, -32768, id="negative-full-scale-fits"),
        pytest.param(7.0, 32767, id="too-loud"),
        pytest.param(-1e30, -32768, id="far-too-loud"),
        pytest.param(float("inf"), 32767, id="infinity"),
        pytest.param(float("nan"), 0, id="not-a-number-is-silence"),
        pytest.param(0.6 / 32768, 1, id="rounded-up"),
        pytest.param(-0.4 / 32768, 0, id="rounded-to-zero"),
        pytest.param(1e-40, 0, id="denormal"),
    ],
)
def test_float32_becomes_pcm16(value: float, expected: int) -> None:
    assert pcm(expected) == float_decode_stage(REAL).feed(real(value))


def test_a_signalling_nan_is_silence_too() -> None:
    assert pcm(0) == float_decode_stage(REAL).feed(struct.pack("<I", 0x7F800001))


@pytest.mark.parametrize(
    ("left", "right", "mean"),
    [
        pytest.param(100, 200, 150, id="mean"),
        pytest.param(32767, 32767, 32767, id="no-overflow"),
        pytest.param(-32768, -32768, -32768, id="no-underflow"),
        pytest.param(32767, -32768, 0, id="tie-to-even"),
        pytest.param(1, 2, 2, id="tie-up-to-even"),
    ],
)
def test_stereo_is_mixed_to_its_mean(left: int, right: int, mean: int) -> None:
    assert pcm(mean) == mono_stage(STEREO).feed(pcm(left, right))


def test_mono_goes_to_both_sides_and_back_unchanged() -> None:
    both = stereo_stage(PCM16_8K).feed(pcm(1, -2))

    assert pcm(1, 1, -2, -2) == both
    assert mono_stage(STEREO).feed(stereo_stage(PCM16_8K).feed(EVERY_SAMPLE)) == EVERY_SAMPLE


@pytest.mark.parametrize(
    ("db", "value", "expected"),
    [
        pytest.param(0.0, -12345, -12345, id="nothing"),
        pytest.param(20.0, 100, 1000, id="ten-times"),
        pytest.param(-20.0, 1004, 100, id="a-tenth-rounded"),
        pytest.param(-20.0, 1006, 101, id="a-tenth-rounded-up"),
        pytest.param(20.0, 30000, 32767, id="clamped"),
        pytest.param(20.0, -30000, -32768, id="clamped-below"),
        pytest.param(120.0, 0, 0, id="silence"),
    ],
)
def test_gain(db: float, value: int, expected: int) -> None:
    assert pcm(expected) == gain_stage(PCM16_8K, db).feed(pcm(value))


@given(data=st.binary(max_size=400).filter(lambda each: len(each) % 2 == 0))
def test_no_gain_is_the_identity(data: bytes) -> None:
    assert data == gain_stage(PCM16_8K, 0.0).feed(data)


@pytest.mark.parametrize("db", [float("nan"), float("inf"), 121.0, -500.0])
def test_a_senseless_gain_is_refused(db: float) -> None:
    with pytest.raises(ValueError, match=f"a gain of {db} dB; expected -120 to 120"):
        gain_stage(PCM16_8K, db)


def test_gain_needs_pcm16() -> None:
    with pytest.raises(ValueError, match="gain works on pcm_s16le, not on pcm_f32le/8000/1"):
        gain_stage(REAL, 1.0)


class Dripping:
    """A stage as a plugin may be: it keeps the law, and gives split samples."""

    name = "dripping"
    source = sink = PCM16_8K

    def __init__(self) -> None:
        self._held = b""

    def feed(self, data: bytes) -> bytes:
        data = self._held + data
        given, self._held = data[: len(data) // 3], data[len(data) // 3 :]
        return given

    def flush(self) -> bytes:
        return self._held


@given(st.lists(st.binary(max_size=7)))
def test_samples_that_a_stage_before_it_split_are_put_together(chunks: list[bytes]) -> None:
    chain = Chain([Dripping(), float_encode_stage(REAL), float_decode_stage(REAL)], PCM16_8K, PCM16_8K)
    out = b"".join(chain.feed(chunk) for chunk in chunks) + chain.flush()
    given = b"".join(chunks)

    assert out == given[: len(given) // 2 * 2]


def test_behind_whole_samples_nothing_looks_for_split_ones() -> None:
    if not is_compiled():
        pytest.skip("numpy's resampler has no shorter way to feed it")
    down = plan(PCM16_16K, MULAW_8K).build()

    assert down.live[1:] == tuple(stage.whole for stage in down.stages[1:])  # type: ignore[attr-defined]
    assert len(down.live) > 1
