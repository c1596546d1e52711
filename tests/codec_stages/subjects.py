"""Every stage and many chains, and the law they all keep; the plugin's test uses it too."""

from collections.abc import Callable, Iterable

import numpy as np

from archer_codecs import (
    ENCODINGS,
    RATES,
    Chain,
    Family,
    Format,
    Reframer,
    Resampler,
    Stage,
    gain_stage,
    plan,
)
from archer_codecs.g711 import decode_stage, encode_stage
from archer_codecs.samples import float_decode_stage, float_encode_stage, mono_stage, stereo_stage

Make = Callable[[], Stage | Chain]

PCM, STEREO, REAL = Format("pcm_s16le", 8000), Format("pcm_s16le", 8000, 2), Format("pcm_f32le", 8000)

STAGES: dict[str, Make] = {
    "mulaw-decode": lambda: decode_stage(Format("mulaw", 8000)),
    "mulaw-decode-stereo": lambda: decode_stage(Format("mulaw", 8000, 2)),
    "mulaw-encode": lambda: encode_stage(Format("mulaw", 8000)),
    "alaw-decode": lambda: decode_stage(Format("alaw", 8000)),
    "alaw-encode": lambda: encode_stage(Format("alaw", 8000)),
    "float-decode": lambda: float_decode_stage(REAL),
    "float-encode": lambda: float_encode_stage(REAL),
    "to-mono": lambda: mono_stage(STEREO),
    "to-stereo": lambda: stereo_stage(PCM),
    "gain-up": lambda: gain_stage(PCM, 6.0),
    "gain-down": lambda: gain_stage(STEREO, -6.0),
    "reframe-mulaw": lambda: Reframer(Format("mulaw", 8000)),
    "reframe-stereo": lambda: Reframer(STEREO, frame_ms=5.0, prime_ms=1.0),
    "resample-up": lambda: Resampler(PCM, 16000),
    "resample-down": lambda: Resampler(Format("pcm_s16le", 24000), 8000),
    "resample-441-80": lambda: Resampler(PCM, 44100),
    "resample-160-441": lambda: Resampler(Format("pcm_s16le", 22050), 8000),
    "resample-147-160": lambda: Resampler(Format("pcm_s16le", 48000), 44100),
    "resample-stereo": lambda: Resampler(Format("pcm_s16le", 44100, 2), 16000),
    "resample-minimum-up": lambda: Resampler(PCM, 16000, phase="minimum"),
    "resample-minimum-down": lambda: Resampler(Format("pcm_s16le", 44100), 8000, phase="minimum"),
}

FORMATS = [
    Format(encoding, rate, channels) for encoding in ENCODINGS for rate in RATES for channels in (1, 2)
]  # fmt: skip

USUAL = [
    ("mulaw/8000", "pcm_s16le/16000"),
    ("pcm_s16le/16000", "mulaw/8000"),
    ("mulaw/8000", "pcm_s16le/24000"),
    ("pcm_s16le/24000", "mulaw/8000"),
    ("mulaw/8000", "pcm_s16le/44100"),
    ("pcm_s16le/44100", "mulaw/8000"),
    ("pcm_f32le/48000/2", "alaw/8000"),
    ("alaw/8000/1", "mulaw/8000/2"),
]


def chain_maker(source: Format, sink: Format, families: Iterable[Family] | None = None) -> Make:
    """A maker of fresh chains from one plan."""
    return plan(source, sink, None if families is None else tuple(families)).build


def noise(size: int, *, seed: int = 0) -> bytes:
    """Any bytes at all."""
    return np.random.default_rng(seed).integers(0, 256, size, dtype=np.uint8).tobytes()


def whole(make: Make, data: bytes) -> bytes:
    """What comes out when the stream is fed at once."""
    stage = make()
    return stage.feed(data) + stage.flush()


def in_parts(make: Make, data: bytes, cuts: Iterable[int]) -> bytes:
    """What comes out when the stream is cut at `cuts`."""
    stage = make()
    places = [0, *sorted(cuts), len(data)]
    parts = [stage.feed(data[first:last]) for first, last in zip(places[:-1], places[1:], strict=True)]
    return b"".join(parts) + stage.flush()
