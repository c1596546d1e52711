"""Judge a recording: what was said in it, and how far that is from what should have been."""

import wave
from pathlib import Path

from archer_bridge.devkit.voices.base import Ear, Heard
from archer_bridge.devkit.voices.catalog import open_ear
from archer_bridge.devkit.voices.numerals import words
from archer_bridge.devkit.voices.pcm import resampled, to_floats, to_pcm

_EAR_RATE = 8000


def transcribe(audio: bytes, rate: int = _EAR_RATE, *, ear: Ear | None = None) -> list[Heard]:
    """Every utterance in int16 mono audio, in order; `ear` is the best one installed unless given."""
    listener = open_ear() if ear is None else ear
    if rate != _EAR_RATE:
        audio = to_pcm(resampled(to_floats(audio), rate, _EAR_RATE))
    events = listener.feed(audio) + listener.flush()
    return [event for event in events if isinstance(event, Heard)]


def transcribe_file(path: str | Path, *, ear: Ear | None = None) -> str:
    """The words in a WAV file of 16-bit samples; the channels of a stereo file are mixed.

    Raises:
        ValueError: for other sample sizes.
        wave.Error: for what is no PCM WAV file.
    """
    with wave.open(str(path), "rb") as file:
        if file.getsampwidth() != 2:
            raise ValueError(f"{path} has {8 * file.getsampwidth()}-bit samples; expected 16-bit PCM")
        channels, rate = file.getnchannels(), file.getframerate()
        samples = to_floats(file.readframes(file.getnframes()))
    mono = samples.reshape(-1, channels).mean(axis=1)
    return " ".join(heard.text for heard in transcribe(to_pcm(mono), rate, ear=ear) if heard.text)


def word_error_rate(reference: str, hypothesis: str) -> float:
    """Words to insert, delete and replace to turn one into the other, per word of the reference.

    Case, punctuation and the spelling of numbers do not count. 0.0 is perfect; above 1.0 is possible.
    An empty reference gives 0.0 for an empty hypothesis and 1.0 otherwise.
    """
    wanted, got = words(reference), words(hypothesis)
    if not wanted:
        return float(bool(got))
    distances = list(range(len(got) + 1))
    for row, word in enumerate(wanted, start=1):
        diagonal, distances[0] = distances[0], row
        for column, other in enumerate(got, start=1):
            change = diagonal + (word != other)
            diagonal = distances[column]
            distances[column] = min(change, distances[column] + 1, distances[column - 1] + 1)
    return distances[-1] / len(wanted)
