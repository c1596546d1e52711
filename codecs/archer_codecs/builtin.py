"""The families this package brings along."""

from functools import partial

from archer_codecs.formats import Format, format_of
from archer_codecs.g711 import decode_stage, encode_stage
from archer_codecs.resample import Resampler
from archer_codecs.samples import float_decode_stage, float_encode_stage, mono_stage, stereo_stage
from archer_codecs.stage import Edge, Family

_G711 = ("mulaw", "alaw")

# Microseconds of a 20 ms frame, rounded up, as `archer codecs bench` shows them: only their order matters.
_COST_DECODE = 1
_COST_ENCODE = 2
_COST_SAMPLES = 3
_COST_RESAMPLE = 10


class G711:
    """mu-law and A-law."""

    name = "g711"

    def edges(self, source: Format, goal: Format) -> tuple[Edge, ...]:
        """Decode to PCM16; encode as the last step, once rate and channels are the goal's."""
        if source.encoding in _G711:
            sink = format_of("pcm_s16le", source.rate, source.channels)
            cost = _COST_DECODE * source.channels
            return (Edge(f"{source.encoding}-decode", source, sink, cost, partial(decode_stage, source)),)
        if goal.encoding in _G711 and _only_encoding_is_left(source, goal):
            cost = _COST_ENCODE * source.channels
            return (Edge(f"{goal.encoding}-encode", source, goal, cost, partial(encode_stage, goal)),)
        return ()


class Float32:
    """Float audio, by way of PCM16."""

    name = "float32"

    def edges(self, source: Format, goal: Format) -> tuple[Edge, ...]:
        """Decode to PCM16; encode as the last step, once rate and channels are the goal's."""
        if source.encoding == "pcm_f32le":
            sink = format_of("pcm_s16le", source.rate, source.channels)
            cost = _COST_SAMPLES * source.channels
            return (Edge("f32-decode", source, sink, cost, partial(float_decode_stage, source)),)
        if goal.encoding == "pcm_f32le" and _only_encoding_is_left(source, goal):
            cost = _COST_SAMPLES * source.channels
            return (Edge("f32-encode", source, goal, cost, partial(float_encode_stage, goal)),)
        return ()


class Channels:
    """Mono and stereo PCM16."""

    name = "channels"

    def edges(self, source: Format, goal: Format) -> tuple[Edge, ...]:
        """Mix down or copy to the goal's number of channels."""
        if source.encoding != "pcm_s16le" or source.channels == goal.channels:
            return ()
        sink = format_of("pcm_s16le", source.rate, goal.channels)
        if goal.channels == 1:
            return (Edge("to-mono", source, sink, _COST_SAMPLES, partial(mono_stage, source)),)
        return (Edge("to-stereo", source, sink, _COST_SAMPLES, partial(stereo_stage, source)),)


class Resampling:
    """Any rate of PCM16 to the goal's."""

    name = "resampling"

    def edges(self, source: Format, goal: Format) -> tuple[Edge, ...]:
        """One edge, to the goal's rate: linear phase."""
        if source.encoding != "pcm_s16le" or source.rate == goal.rate:
            return ()
        sink = format_of("pcm_s16le", goal.rate, source.channels)
        cost = _COST_RESAMPLE * source.channels
        return (Edge("resample", source, sink, cost, partial(Resampler, source, goal.rate)),)


def _only_encoding_is_left(source: Format, goal: Format) -> bool:
    return source.encoding == "pcm_s16le" and source.rate == goal.rate and source.channels == goal.channels


BUILTIN_FAMILIES: tuple[Family, ...] = (G711(), Float32(), Channels(), Resampling())
