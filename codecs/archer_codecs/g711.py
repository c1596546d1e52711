"""G.711 mu-law and A-law to and from PCM16, bit-exact to the ITU-T tables.

The work is done by `audioop`, which is in the standard library up to Python 3.12 and is the `audioop-lts`
distribution from 3.13 on. Its 16-bit words carry the 14-bit (mu-law) or 13-bit (A-law) uniform PCM values of
ITU-T G.711 (11/88) tables 1a to 2b in their top bits. Mu-law, which every call has, goes through the compiled `_g711`
where there is one: the same bytes, and no Python function in between.
"""

import warnings
from collections.abc import Callable

from archer_codecs.formats import Format, format_of
from archer_codecs.stage import SampleMap

with warnings.catch_warnings():
    # 3.11 and 3.12 announce the removal of 2024; from 3.13 on audioop-lts takes its place.
    warnings.simplefilter("ignore", DeprecationWarning)
    import audioop as audioop  # the benchmark measures it too

try:
    from archer_codecs import _g711 as kernel
except ImportError:
    kernel = None  # type: ignore[assignment]

KERNEL_VERSION = 1
"""A kernel compiled from another source is left alone."""

# audioop takes no keywords; 2 is the bytes of a PCM sample.
_CONVERT: dict[str, Callable[[bytes], bytes]] = {
    "mulaw-decode": lambda data: audioop.ulaw2lin(data, 2),
    "mulaw-encode": lambda data: audioop.lin2ulaw(data, 2),
    "alaw-decode": lambda data: audioop.alaw2lin(data, 2),
    "alaw-encode": lambda data: audioop.lin2alaw(data, 2),
}

is_compiled = kernel is not None and kernel.VERSION == KERNEL_VERSION
if is_compiled:
    _CONVERT |= {"mulaw-decode": kernel.mulaw_decode, "mulaw-encode": kernel.mulaw_encode}

SILENCE = {"mulaw": b"\xff", "alaw": b"\xd5", "pcm_s16le": b"\0\0", "pcm_f32le": b"\0\0\0\0"}
"""One sample of silence in each encoding; 0xFF and 0xD5 are G.711's codes for the smallest positive value."""


def decode_stage(source: Format) -> SampleMap:
    """Decode mu-law or A-law to PCM16 of the same rate and channels."""
    sink = format_of("pcm_s16le", source.rate, source.channels)
    name = f"{source.encoding}-decode"
    return SampleMap(name, source, sink, _CONVERT[name])


def encode_stage(sink: Format) -> SampleMap:
    """Encode PCM16 as mu-law or A-law of the same rate and channels; the law itself clips."""
    source = format_of("pcm_s16le", sink.rate, sink.channels)
    name = f"{sink.encoding}-encode"
    return SampleMap(name, source, sink, _CONVERT[name])
