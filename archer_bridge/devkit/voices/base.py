"""What a voice says and an ear hears: the values and the two protocols every implementation keeps."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Word:
    """One spoken word and when it sounds, in milliseconds from the start of its utterance's audio."""

    text: str
    start_ms: float
    end_ms: float


@dataclass(frozen=True, slots=True)
class Utterance:
    """One spoken sentence: `audio` is little-endian int16 mono at `rate` hertz, `words` are in order."""

    text: str
    rate: int
    audio: bytes
    words: tuple[Word, ...]

    @property
    def duration_ms(self) -> float:
        """Length of the audio in milliseconds."""
        return len(self.audio) / 2 * 1000 / self.rate


class Voice(Protocol):
    """Text to speech."""

    @property
    def name(self) -> str:
        """Which voice this is, as `open_voice` knows it."""

    @property
    def rate(self) -> int:
        """Samples per second of every utterance."""

    @property
    def blocking(self) -> bool:
        """Whether `speak` computes long enough to belong in a thread."""

    def warm(self) -> None:
        """Load what the first `speak` would otherwise load. May block; safe to repeat."""

    def speak(self, text: str) -> Iterator[Utterance]:
        """Say `text`, one utterance a sentence, in order. Nothing to say yields nothing."""


@dataclass(frozen=True, slots=True)
class SpeechStarted:
    """Someone began to talk; `at_ms` is the onset, in milliseconds from the first sample fed."""

    at_ms: float


@dataclass(frozen=True, slots=True)
class Partial:
    """The whole text of the open utterance as understood so far; later ones may correct it."""

    text: str


@dataclass(frozen=True, slots=True)
class Heard:
    """A finished utterance.

    `text` is "" when there was sound but no words could be made out. Times are those of the speech
    itself, without the silence that ended it, in milliseconds from the first sample fed.
    """

    text: str
    start_ms: float
    end_ms: float


EarEvent = SpeechStarted | Partial | Heard


class Ear(Protocol):
    """Speech to text with turn detection, over one continuous stream."""

    @property
    def blocking(self) -> bool:
        """Whether `feed` computes long enough to belong in a thread."""

    def warm(self) -> None:
        """Load what the first utterance would otherwise load. May block; safe to repeat."""

    def feed(self, audio: bytes) -> list[EarEvent]:
        """Listen to little-endian int16 mono at 8 kHz, in pieces of any size, even of half a sample."""

    def flush(self) -> list[EarEvent]:
        """End the audio: close an utterance that is still open. Later audio starts a new one."""
