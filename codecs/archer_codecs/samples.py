"""Sample-by-sample stages on PCM: float32 both ways, mono and stereo, gain."""

import math

import numpy as np

from archer_codecs.formats import Format, format_of
from archer_codecs.rounding import INT16, to_int16
from archer_codecs.stage import SampleMap

_FLOAT32 = np.dtype("<f4")
_FULL_SCALE = 32768.0  # +-1.0 in float audio; a power of two, so PCM16 -> float32 -> PCM16 is exact


def float_decode_stage(source: Format) -> SampleMap:
    """Turn float32 in [-1, 1] into PCM16: full scale 32768, clamped; NaN is silence, infinity is full scale."""

    def convert(data: bytes) -> bytes:
        with np.errstate(invalid="ignore"):  # a signalling NaN off the wire is data, not our arithmetic
            values = np.frombuffer(data, _FLOAT32).astype(np.float64)
        values[np.isnan(values)] = 0.0
        np.clip(values, -2.0, 2.0, out=values)  # infinity first, so that the product stays finite
        return to_int16(values * _FULL_SCALE).tobytes()

    return SampleMap("f32-decode", source, format_of("pcm_s16le", source.rate, source.channels), convert)


def float_encode_stage(sink: Format) -> SampleMap:
    """Turn PCM16 into float32 in [-1, 1); exact."""

    def convert(data: bytes) -> bytes:
        values = np.frombuffer(data, INT16).astype(_FLOAT32)
        return (values / np.float32(_FULL_SCALE)).tobytes()

    return SampleMap("f32-encode", format_of("pcm_s16le", sink.rate, sink.channels), sink, convert)


def mono_stage(source: Format) -> SampleMap:
    """Mix stereo PCM16 to mono: the mean of both sides, ties to even."""

    def convert(data: bytes) -> bytes:
        pairs = np.frombuffer(data, INT16).reshape(-1, 2)
        mean = pairs[:, 0].astype(np.float64)
        mean += pairs[:, 1]
        mean *= 0.5
        return to_int16(mean).tobytes()

    return SampleMap("to-mono", source, format_of(source.encoding, source.rate, 1), convert)


def stereo_stage(source: Format) -> SampleMap:
    """Put mono PCM16 on both sides of stereo; exact."""

    def convert(data: bytes) -> bytes:
        return np.frombuffer(data, INT16).repeat(2).tobytes()

    return SampleMap("to-stereo", source, format_of(source.encoding, source.rate, 2), convert)


def gain_stage(form: Format, db: float) -> SampleMap:
    """Make PCM16 `db` decibels louder (quieter when negative), clamped at full scale.

    Raises:
        ValueError: `form` is not pcm_s16le, or `db` is not within -120 to 120.
    """
    if form.encoding != "pcm_s16le":
        raise ValueError(f"gain works on pcm_s16le, not on {form}; decode first")
    if not (math.isfinite(db) and abs(db) <= 120):
        raise ValueError(f"a gain of {db} dB; expected -120 to 120")
    factor = 10.0 ** (db / 20)

    def convert(data: bytes) -> bytes:
        return to_int16(np.frombuffer(data, INT16) * factor).tobytes()

    return SampleMap(f"gain{db:+g}dB", form, form, convert)
