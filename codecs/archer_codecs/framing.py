"""Any chunks in, fixed frames out."""

from collections.abc import Iterator

from archer_codecs.errors import StageClosedError
from archer_codecs.formats import Format
from archer_codecs.g711 import SILENCE


class Reframer:
    """Cuts a stream into frames of `frame_ms`; as a stage it gives whole frames only, padded on `flush`.

    `prime_ms` of silence go in front. A resampler's first answer is short by its delay, so that frames cut behind
    it would wait for the next chunk; priming with that delay (`Resampler.delay_ms`) makes every 20 ms chunk give
    its 20 ms frame at once.

    Raises:
        ValueError: a frame shorter than one sample, or an encoding whose silence is unknown.
    """

    __slots__ = ("_closed", "_rest", "frame_bytes", "name", "sink", "source")

    def __init__(self, form: Format, *, frame_ms: float = 20.0, prime_ms: float = 0.0) -> None:
        self.frame_bytes = form.bytes_for(frame_ms)
        if self.frame_bytes <= 0:
            raise ValueError(f"a frame of {frame_ms} ms holds no sample of {form}")
        if form.encoding not in SILENCE:
            raise ValueError(f"cannot pad {form}: silence is known for {', '.join(SILENCE)}")
        self.name = f"reframe-{frame_ms:g}ms"
        self.source = form
        self.sink = form
        self._rest = SILENCE[form.encoding] * (form.bytes_for(max(prime_ms, 0.0)) // form.width)
        self._closed = False

    def feed(self, data: bytes) -> bytes:
        """Give all whole frames there are now, joined; the rest is kept."""
        if self._closed:
            raise StageClosedError(self.name, len(data))
        data = self._rest + data
        whole = len(data) - len(data) % self.frame_bytes
        self._rest = data[whole:]
        return data[:whole]

    def frames(self, data: bytes) -> Iterator[bytes]:
        """`feed`, one frame at a time; every frame has `frame_bytes` bytes."""
        joined = self.feed(data)
        for start in range(0, len(joined), self.frame_bytes):
            yield joined[start : start + self.frame_bytes]

    def flush(self) -> bytes:
        """Give the last, partly filled frame, padded with silence; b"" when there is none."""
        self._closed = True
        rest, self._rest = self._rest, b""
        width = self.source.width
        rest = rest[: len(rest) - len(rest) % self.source.frame_bytes]
        if not rest:
            return b""
        return rest + SILENCE[self.source.encoding] * ((self.frame_bytes - len(rest)) // width)
