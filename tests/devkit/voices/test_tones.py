"""The tone voice: its alphabet, its sound, its timing."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from archer_bridge.devkit.voices.tones import ALPHABET, HIGH_HZ, LOW_HZ, ToneVoice, spoken
from tests.devkit.voices.sound import level_dbfs


@pytest.mark.parametrize(
    ("text", "said"),
    [
        pytest.param("Your balance is $900.00.", "Your balance is $900.00.", id="plain"),
        pytest.param("Dana\u2019s \u201cplan\u201d \u2014 ok", "Dana's 'plan' - ok", id="typographic"),
        pytest.param("Ren\u00e9e M\u00fcller", "Renee Muller", id="accents"),
        pytest.param("  two \t words\n", "two words", id="whitespace"),
        pytest.param("[a] {b} c|d e_f", "(a) (b) c/d e-f", id="brackets"),
        pytest.param("\u20ac5 \u4f60", "?5 ?", id="no-symbol"),
        pytest.param("wait\u2026", "wait...", id="ellipsis"),
        pytest.param(" \n", "", id="nothing"),
    ],
)
def test_every_text_maps_to_what_can_be_said(text: str, said: str) -> None:
    assert spoken(text) == said


@given(st.text())
def test_spoken_text_is_in_the_alphabet_and_stays_the_same(text: str) -> None:
    said = spoken(text)

    assert set(said) <= set(ALPHABET)
    assert spoken(said) == said


def test_the_alphabet_fills_the_grid_of_tones_without_repeats() -> None:
    assert len(set(ALPHABET)) == len(ALPHABET) == len(LOW_HZ) * len(HIGH_HZ)


def test_all_tones_lie_in_the_telephone_band_and_none_is_a_dtmf_pair() -> None:
    assert all(300 < hz < 3400 and hz % 20 == 0 for hz in LOW_HZ + HIGH_HZ)
    assert min(HIGH_HZ) > 1477 * 1.035


@pytest.mark.parametrize("rate", [8000, 16000, 24000, 44100])
def test_one_utterance_a_sentence_with_its_words_in_time(rate: int) -> None:
    first, second = ToneVoice(rate=rate).speak("Hi there. Bye!")

    assert (first.text, second.text) == ("Hi there.", "Bye!")
    assert [(word.text, word.start_ms, word.end_ms) for word in first.words] == [
        ("Hi", 0.0, 110.0),
        ("there.", 180.0, 530.0),
    ]
    assert first.rate == rate
    assert first.duration_ms == 9 * 60 + 120
    assert second.duration_ms == 4 * 60 + 120


def test_nothing_to_say_yields_nothing() -> None:
    assert list(ToneVoice().speak(" \n ")) == []


def test_the_same_text_sounds_the_same_every_time() -> None:
    text = "The same. Twice."

    assert list(ToneVoice().speak(text)) == list(ToneVoice().speak(text))


@pytest.mark.parametrize(("speaker", "dbfs"), [("agent", -15.0), ("caller", -16.0)])
def test_speakers_talk_at_the_level_of_speech(speaker: str, dbfs: float) -> None:
    audio = next(ToneVoice(speaker=speaker).speak("a")).audio[: 2 * 400]

    assert level_dbfs(audio) == pytest.approx(dbfs, abs=0.6)


def test_speakers_sound_different() -> None:
    agent, caller = (next(ToneVoice(speaker=s).speak("hello")) for s in ("agent", "caller"))

    assert agent.text == caller.text
    assert agent.audio != caller.audio


def test_symbols_begin_and_end_without_a_click() -> None:
    samples = np.frombuffer(next(ToneVoice().speak(ALPHABET.replace(" ", ""))).audio, dtype="<i2")
    edges = np.abs(samples.reshape(-1, 480)[:, [0, 399, 400, 479]])

    assert edges.max() < 200


@pytest.mark.parametrize(
    ("options", "message"),
    [
        pytest.param({"speaker": "robot"}, r"speaker is 'robot'; choose one of \['agent', 'caller'\]", id="who"),
        pytest.param({"rate": 4000}, "rate is 4000 Hz; the tones need 8000 or more", id="too-slow"),
        pytest.param({"rate": 11025}, "rate is 11025 Hz; the tones need .* whole hundreds", id="odd"),
    ],
)
def test_impossible_voices_are_refused(options: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ToneVoice(**options)  # type: ignore[arg-type]  # wrong on purpose
