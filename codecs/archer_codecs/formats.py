"""Audio formats as values: encoding, rate and channels, with their sizes."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Self

from archer_codecs.errors import FormatError

ENCODINGS: Mapping[str, int] = {"mulaw": 1, "alaw": 1, "pcm_s16le": 2, "pcm_f32le": 4}
"""Bytes of one sample of each encoding this package speaks itself."""

RATES = (8000, 16000, 22050, 24000, 44100, 48000)
"""Samples a second that any stage must serve."""

CHANNELS = (1, 2)


@dataclass(frozen=True, slots=True)
class Format:
    """An audio format; equal formats are interchangeable byte for byte.

    `width` is the bytes of one sample. It is known for the encodings in `ENCODINGS`; an encoding that a plugin
    adds must bring its own (`Format("pcm_s16be", 8000, width=2)`).

    Raises:
        FormatError: unknown encoding, rate or channel count.
    """

    encoding: str
    rate: int
    channels: int = 1
    width: int = 0

    def __post_init__(self) -> None:
        known = ENCODINGS.get(self.encoding)
        if known is None and self.width <= 0:
            raise self._error(f"the encoding {self.encoding!r} is unknown")
        if known is not None and self.width not in (0, known):
            raise self._error(f"a {self.encoding} sample has {known} bytes, not {self.width}")
        if self.rate not in RATES:
            raise self._error(f"the rate {self.rate} is unknown")
        if self.channels not in CHANNELS:
            raise self._error(f"{self.channels} channels are unknown")
        object.__setattr__(self, "width", known or self.width)

    @classmethod
    def parse(cls, text: str, *, encodings: Mapping[str, int] | None = None) -> Self:
        """Read `mulaw/8000` or `mulaw/8000/1`.

        `encodings` adds what plugins know: name to bytes of a sample.

        Raises:
            FormatError: with the list of what is known.
        """
        extra = encodings or {}
        parts = text.split("/")
        if not 2 <= len(parts) <= 3 or not all(part.isascii() and part.isdigit() for part in parts[1:]):
            raise FormatError(text, "it has not the form ENCODING/RATE[/CHANNELS]", _known(extra))
        encoding, rate = parts[0], int(parts[1])
        channels = int(parts[2]) if len(parts) == 3 else 1
        if encoding not in ENCODINGS and encoding not in extra:
            raise FormatError(text, f"the encoding {encoding!r} is unknown", _known(extra))
        width = 0 if encoding in ENCODINGS else extra[encoding]
        try:
            return cls(encoding, rate, channels, width)
        except FormatError as error:
            raise FormatError(text, error.part, _known(extra)) from None

    def __str__(self) -> str:
        return f"{self.encoding}/{self.rate}/{self.channels}"

    @property
    def frame_bytes(self) -> int:
        """Bytes of one sample across all channels."""
        return self.width * self.channels

    def bytes_for(self, ms: float) -> int:
        """Bytes of `ms` milliseconds of audio, rounded to whole samples."""
        return round(self.rate * ms / 1000) * self.frame_bytes

    def ms_for(self, n_bytes: int) -> float:
        """Milliseconds that `n_bytes` of audio last."""
        return n_bytes * 1000 / (self.rate * self.frame_bytes)

    def _error(self, part: str) -> FormatError:
        return FormatError(f"{self.encoding}/{self.rate}/{self.channels}", part, _known({}))


def _known(extra: Mapping[str, int]) -> tuple[str, ...]:
    return (
        "encodings " + " ".join(sorted({*ENCODINGS, *extra})),
        "rates " + " ".join(map(str, RATES)),
        "channels " + " ".join(map(str, CHANNELS)),
    )


@cache
def format_of(encoding: str, rate: int, channels: int = 1) -> Format:
    """A built-in format, made once: values can be shared, and planning asks for the same few again and again."""
    return Format(encoding, rate, channels)


MULAW_8K = Format("mulaw", 8000)
ALAW_8K = Format("alaw", 8000)
PCM16_8K = Format("pcm_s16le", 8000)
PCM16_16K = Format("pcm_s16le", 16000)
PCM16_24K = Format("pcm_s16le", 24000)
PCM16_44K1 = Format("pcm_s16le", 44100)
