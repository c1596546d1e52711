"""The tone ear: speech start, words, end of turn."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from archer_bridge.devkit.voices.base import EarEvent, Heard, Partial, SpeechStarted
from archer_bridge.devkit.voices.hearing import ToneEar
from archer_bridge.devkit.voices.tones import ALPHABET, spoken
from tests.devkit.voices.sound import companded, noisy, pieces, say, silence, tone

TEXTS = st.text(ALPHABET, max_size=24)
SPEAKERS = st.sampled_from(["agent", "caller"])


def hear(*audio: bytes, endpoint_ms: float = 500.0) -> list[EarEvent]:
    ear = ToneEar(endpoint_ms=endpoint_ms)
    return [event for piece in audio for event in ear.feed(piece)] + ear.flush()


def heard(*audio: bytes) -> list[str]:
    return [event.text for event in hear(*audio) if isinstance(event, Heard)]


@given(text=TEXTS, speaker=SPEAKERS, offset=st.integers(0, 500), cuts=st.lists(st.integers(0, 20_000)))
@settings(deadline=None)
def test_any_text_is_heard_at_any_offset_in_any_pieces(text: str, speaker: str, offset: int, cuts: list[int]) -> None:
    audio = bytes(2 * offset) + companded(say(text, speaker=speaker)) + silence(50)

    said = spoken(text)

    assert heard(*pieces(audio, cuts)) == ([said] if said else [])
    assert hear(*pieces(audio, cuts)) == hear(audio)


def _when(audio: bytes, kind: type[EarEvent], *, frame_ms: int = 20) -> list[tuple[float, EarEvent]]:
    """Events of one kind with the stream time at which the ear reported them."""
    ear = ToneEar()
    frames = [audio[at : at + 16 * frame_ms] for at in range(0, len(audio), 16 * frame_ms)]
    return [
        ((index + 1) * frame_ms, event)
        for index, frame in enumerate(frames)
        for event in ear.feed(frame)
        if isinstance(event, kind)
    ]


def test_speech_start_is_reported_soon_after_its_onset() -> None:
    [(reported_ms, event)] = _when(silence(333) + say("hello"), SpeechStarted)

    assert event == SpeechStarted(332.5)
    assert 60 <= reported_ms - 333 <= 120


def test_an_utterance_ends_half_a_second_after_its_last_sound() -> None:
    [(reported_ms, event)] = _when(silence(100) + say("hi") + silence(2000), Heard)

    assert event == Heard("hi", 100.0, 210.0)
    assert reported_ms == 720.0


def test_pauses_shorter_than_the_endpoint_stay_in_one_utterance() -> None:
    audio = say("Yes.") + silence(250) + say("I do.") + silence(700) + say("Bye.")

    assert heard(audio) == ["Yes. I do.", "Bye."]


def test_the_endpoint_can_be_set() -> None:
    audio = say("one") + silence(200) + say("two")

    endings = [event.text for event in hear(audio, endpoint_ms=250) if isinstance(event, Heard)]

    assert endings == ["one", "two"]


def test_partials_grow_word_by_word() -> None:
    partials = [event.text for event in hear(say("one two three")) if isinstance(event, Partial)]

    assert partials == ["one", "one two"]


def test_sound_without_words_is_heard_as_nothing() -> None:
    assert hear(silence(100) + tone(440, 400) + silence(600)) == [SpeechStarted(100.0), Heard("", 100.0, 500.0)]


@pytest.mark.parametrize(
    "audio",
    [
        pytest.param(silence(500), id="silence"),
        pytest.param(noisy(silence(5000), -45), id="noise"),
        pytest.param(silence(100) + tone(1000, 15) + silence(600), id="click"),
        pytest.param((tone(1000, 10) + silence(90)) * 20, id="many-clicks"),
    ],
)
def test_what_is_not_speech_is_not_reported(audio: bytes) -> None:
    assert hear(audio) == []


def test_flush_closes_an_open_utterance_and_a_new_one_may_follow() -> None:
    ear = ToneEar()

    first = ear.feed(say("one")[: 16 * 175]) + ear.flush()
    second = ear.feed(say("two")) + ear.flush()

    assert [event.text for event in first if isinstance(event, Heard)] == ["one"]
    assert [event.text for event in second if isinstance(event, Heard)] == ["two"]
    assert isinstance(second[0], SpeechStarted)
    assert second[0].at_ms == 175.0


def test_one_symbol_is_speech() -> None:
    assert hear(say("a")[: 16 * 50]) == [SpeechStarted(0.0), Heard("a", 0.0, 50.0)]
