"""What is measured: our resampler and, when installed, what a user would pick instead."""

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from typing import Any, Protocol

import numpy as np

from archer_codecs.formats import Format
from archer_codecs.g711 import audioop
from archer_codecs.resample import Resampler


class Stream(Protocol):
    """PCM16 mono bytes in, PCM16 mono bytes of another rate out."""

    def feed(self, data: bytes) -> bytes:
        """Convert a chunk."""

    def flush(self) -> bytes:
        """Give what is held back."""


@dataclass(frozen=True, slots=True)
class Subject:
    """A way to resample: its name, what it stands on, how to open a stream from one rate to another."""

    name: str
    package: str
    open: Callable[[int, int], Stream]


def ours() -> tuple[Subject, Subject]:
    """Both phases of this package's resampler."""

    def linear(source: int, sink: int) -> Stream:
        return Resampler(Format("pcm_s16le", source), sink)

    def minimum(source: int, sink: int) -> Stream:
        return Resampler(Format("pcm_s16le", source), sink, phase="minimum")

    return Subject("archer linear", "archer-bridge", linear), Subject("archer minimum", "archer-bridge", minimum)


def alternatives() -> tuple[Subject, ...]:
    """The others that are installed."""
    found = [Subject("audioop.ratecv", "audioop-lts", _Ratecv)]
    if find_spec("soxr"):
        found += [Subject(f"soxr {quality}", "soxr", _soxr(quality)) for quality in ("QQ", "LQ", "HQ", "VHQ")]
    if find_spec("scipy"):
        found.append(Subject("resample_poly/frame", "scipy", _PolyPerFrame))
    if find_spec("samplerate"):
        found.append(Subject("samplerate fastest", "samplerate", _Samplerate))
    if find_spec("audio_resampler"):
        found.append(Subject("audio-resampler", "audio-resampler", _AudioResampler))
    return tuple(found)


def versions(names: tuple[str, ...]) -> dict[str, str]:
    """Versions of the distributions that are installed."""
    found = {}
    for name in names:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "not installed"
    return found


class _Ratecv:
    def __init__(self, source: int, sink: int) -> None:
        self._rates = source, sink
        self._state: Any = None

    def feed(self, data: bytes) -> bytes:
        out, self._state = audioop.ratecv(data, 2, 1, *self._rates, self._state)
        return bytes(out)

    def flush(self) -> bytes:
        return b""


def _soxr(quality: str) -> Callable[[int, int], Stream]:
    import soxr

    class Soxr:
        def __init__(self, source: int, sink: int) -> None:
            self._stream = soxr.ResampleStream(source, sink, 1, dtype="int16", quality=quality)

        def feed(self, data: bytes) -> bytes:
            return bytes(self._stream.resample_chunk(np.frombuffer(data, "<i2")).tobytes())

        def flush(self) -> bytes:
            return bytes(self._stream.resample_chunk(np.empty(0, "<i2"), last=True).tobytes())

    return Soxr


class _PolyPerFrame:
    """Each frame on its own, as `scipy.signal.resample_poly` is used where a stream has no state."""

    def __init__(self, source: int, sink: int) -> None:
        from scipy.signal import resample_poly

        self._resample = resample_poly
        common = int(np.gcd(source, sink))
        self._ratio = sink // common, source // common

    def feed(self, data: bytes) -> bytes:
        if not data:
            return b""
        values = self._resample(np.frombuffer(data, "<i2").astype(np.float64), *self._ratio)
        return bytes(np.rint(values).clip(-32768, 32767).astype("<i2").tobytes())

    def flush(self) -> bytes:
        return b""


class _Samplerate:
    """libsamplerate's fastest sinc."""

    def __init__(self, source: int, sink: int) -> None:
        self._stream: Any = import_module("samplerate").Resampler("sinc_fastest", channels=1)
        self._ratio = sink / source

    def feed(self, data: bytes) -> bytes:
        return self._process(np.frombuffer(data, "<i2"), end=False)

    def flush(self) -> bytes:
        return self._process(np.empty(0, "<i2"), end=True)

    def _process(self, samples: np.ndarray[Any, Any], *, end: bool) -> bytes:
        values = self._stream.process(samples.astype(np.float32) / 32768, self._ratio, end_of_input=end)
        return bytes(np.rint(np.asarray(values) * 32768).clip(-32768, 32767).astype("<i2").tobytes())


class _AudioResampler:
    """`audio_resampler.Converter`, int16 mono both ways."""

    def __init__(self, source: int, sink: int) -> None:
        self._stream: Any = import_module("audio_resampler").Converter(source, 1, sink, 1, "i16")

    def feed(self, data: bytes) -> bytes:
        return bytes(self._stream.process(data))

    def flush(self) -> bytes:
        return b""
