"""Voices on the telephone."""

import threading
from collections.abc import Iterator

import pytest

from archer_bridge.devkit.phone.speaker import Speaker
from archer_bridge.devkit.voices.base import Utterance


class Recorder:
    """A voice of 24 kHz that notes where it was asked to speak."""

    name = "recorder"
    rate = 24_000

    def __init__(self, *, blocking: bool) -> None:
        self.blocking = blocking
        self.threads: list[int] = []

    def speak(self, text: str) -> Iterator[Utterance]:
        self.threads.append(threading.get_ident())
        for sentence in text.split("."):
            yield Utterance(sentence, self.rate, bytes(2 * 2400), ())


@pytest.mark.parametrize("blocking", [True, False])
async def test_a_blocking_voice_speaks_in_a_thread_and_once_only(blocking):
    voice = Recorder(blocking=blocking)
    speaker = Speaker(lambda: voice)

    await speaker.prepare(["One.Two"])
    audio = await speaker.speak("One.Two")

    assert len(audio) == 1600
    assert len(voice.threads) == 1
    assert blocking == (voice.threads[0] != threading.get_ident())


def test_a_voice_is_not_opened_before_it_speaks():
    def fail() -> Recorder:
        raise AssertionError("opened")

    Speaker(fail)
