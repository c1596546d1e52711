"""A voice that carries text in audible tones, one symbol per character.

Theory of operation. Each character is a pair of tones, one of nine low and one of nine high
frequencies (81 characters), 50 ms long and followed by 10 ms of silence, about the pace of speech.
Everything lies inside 300-3400 Hz, so it survives mu-law companding and any resampling on the way.
All frequencies are multiples of 20 Hz and thus orthogonal over the 50 ms. None of the pairs is a DTMF
pair (the high group starts above 1477 Hz), and call-progress tones have nothing in the high group.
A sentence ends in a breath of silence, which the ear writes as a space.

`archer_bridge.devkit.voices.decoding` reads it. A cut recording decodes to a cut text, which is
what makes this voice a judge: what a listener heard is known to the character.
"""

import unicodedata
from collections.abc import Iterator
from functools import cache

import numpy as np
from numpy.typing import NDArray

from archer_bridge.devkit.voices.base import Utterance, Word
from archer_bridge.devkit.voices.sentences import sentences

TONE_MS = 50
GAP_MS = 10
SYMBOL_MS = TONE_MS + GAP_MS
BREATH_MS = 120
"""Silence after each sentence, beyond the gap of its last symbol."""

LOW_HZ = tuple(range(500, 1301, 100))
HIGH_HZ = tuple(range(1600, 3041, 180))
ALPHABET = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789 $.,'?!-:/@#%&+=();"
"""Character at index i is low tone i // 9 with high tone i % 9."""

_INDEX = {char: index for index, char in enumerate(ALPHABET)}
_LOOKALIKES = str.maketrans(
    {
        **dict.fromkeys('"`^*\u2018\u2019\u201a\u201b\u201c\u201d\u201e\u2032\u2033\u00ab\u00bb', "'"),
        **dict.fromkeys("_~\u2010\u2011\u2012\u2013\u2014\u2015\u2212", "-"),
        **dict.fromkeys("[{<", "("),
        **dict.fromkeys("]}>", ")"),
        **dict.fromkeys("\\|", "/"),
    }
)
_RAMP_MS = 3.0
# Root mean square of a symbol as a share of full scale (-15 and -16 dBFS; the peaks reach -9 dBFS),
# and how much of the power is in the low tone: the two speakers differ in timbre, not in code.
_LEVELS = {"agent": (0.178, 0.6), "caller": (0.158, 0.35)}


def spoken(text: str) -> str:
    """The characters that this voice says for `text`, which are the ones an ear will hear.

    Accents are dropped, quotes, dashes and brackets become their plain form, whitespace runs become
    one space, and whatever has no symbol becomes a question mark.
    """
    plain = unicodedata.normalize("NFKD", text.translate(_LOOKALIKES)).translate(_LOOKALIKES)
    kept = (char for char in plain if not unicodedata.combining(char))
    return " ".join("".join(c if c in _INDEX or c.isspace() else "?" for c in kept).split())


class ToneVoice:
    """Speaks text as dual tones; every utterance is the same for the same text."""

    name = "tones"
    blocking = False

    def __init__(self, *, speaker: str = "agent", rate: int = 8000) -> None:
        if speaker not in _LEVELS:
            raise ValueError(f"speaker is {speaker!r}; choose one of {sorted(_LEVELS)}")
        if rate < 8000 or rate % 100:
            raise ValueError(f"rate is {rate} Hz; the tones need 8000 or more, in whole hundreds")
        self.speaker = speaker
        self.rate = rate

    def warm(self) -> None:
        """Do nothing: the tones are computed in microseconds."""

    def speak(self, text: str) -> Iterator[Utterance]:
        """Say `text`; an utterance's text is what can be heard of it, see `spoken`."""
        for sentence in sentences(spoken(text)):
            yield self._utterance(sentence)

    def _utterance(self, sentence: str) -> Utterance:
        symbols = [_symbol(char, self.rate, self.speaker) for char in sentence]
        breath = bytes(2 * self.rate * BREATH_MS // 1000)
        return Utterance(sentence, self.rate, b"".join(symbols) + breath, _words(sentence))


def _words(sentence: str) -> tuple[Word, ...]:
    words: list[Word] = []
    position = 0
    for text in sentence.split(" "):
        end = position + len(text)
        words.append(Word(text, float(position * SYMBOL_MS), float(end * SYMBOL_MS - GAP_MS)))
        position = end + 1
    return tuple(words)


@cache
def _symbol(char: str, rate: int, speaker: str) -> bytes:
    """Tone and gap of one character, int16 bytes."""
    low, high = divmod(_INDEX[char], len(HIGH_HZ))
    rms, low_share = _LEVELS[speaker]
    seconds = np.arange(rate * TONE_MS // 1000) / rate
    tone = np.sqrt(low_share) * np.sin(2 * np.pi * LOW_HZ[low] * seconds)
    tone += np.sqrt(1 - low_share) * np.sin(2 * np.pi * HIGH_HZ[high] * seconds)
    samples = np.zeros(rate * SYMBOL_MS // 1000)
    samples[: len(tone)] = tone * _envelope(len(tone), rate) * (rms * np.sqrt(2) * 32767)
    return np.rint(samples).astype("<i2").tobytes()


def _envelope(length: int, rate: int) -> NDArray[np.float64]:
    """One with a raised-cosine rise and fall, so that nothing clicks."""
    ramp = round(rate * _RAMP_MS / 1000)
    rise = 0.5 - 0.5 * np.cos(np.pi * (np.arange(ramp) + 0.5) / ramp)
    envelope = np.ones(length)
    envelope[:ramp] = rise
    envelope[-ramp:] = rise[::-1]
    return envelope
