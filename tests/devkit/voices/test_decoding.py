"""Decoding tones: what is left of a text after everything a phone line does to audio."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from archer_bridge.devkit.voices.decoding import decode_tones, heard_text
from archer_bridge.devkit.voices.tones import ALPHABET, spoken
from tests.devkit.voices.sound import companded, mixed, noisy, resampled, say, silence, tone

TEXTS = st.text(ALPHABET, max_size=24)
SPEAKERS = st.sampled_from(["agent", "caller"])


@given(text=TEXTS, speaker=SPEAKERS, offset=st.integers(0, 500))
@settings(deadline=None)
def test_any_text_round_trips_at_any_offset(text: str, speaker: str, offset: int) -> None:
    assert heard_text(bytes(2 * offset) + companded(say(text, speaker=speaker))) == spoken(text)


@given(text=TEXTS, rate=st.sampled_from([16000, 24000, 44100]), seed=st.integers(0, 2**32 - 1))
@settings(max_examples=50, deadline=None)
def test_any_text_survives_resampling_and_line_noise(text: str, rate: int, seed: int) -> None:
    audio = companded(noisy(silence(200) + resampled(say(text, rate=rate), rate, 8000) + silence(200), -45, seed=seed))

    assert heard_text(audio) == spoken(text)


@given(text=TEXTS, speaker=SPEAKERS, share=st.floats(0, 1))
@settings(deadline=None)
def test_audio_cut_off_anywhere_is_a_prefix_of_the_text(text: str, speaker: str, share: float) -> None:
    audio = companded(say(text, speaker=speaker))

    text_heard = heard_text(audio[: round(share * len(audio) / 2) * 2])

    assert spoken(text).startswith(text_heard)


@given(text=st.text(ALPHABET.replace(" ", ""), max_size=20), samples=st.integers(0, 20 * 480))
@settings(deadline=None)
def test_a_cut_loses_nothing_but_the_symbol_it_hits(text: str, samples: int) -> None:
    complete, left = divmod(min(samples, 480 * len(text)), 480)

    text_heard = heard_text(companded(say(text)[: 2 * samples]))

    assert text_heard in (text[:complete], text[: complete + 1])
    assert left < 280 or text_heard == text[: complete + 1]  # 35 ms of a symbol are enough to tell it


@given(text=st.text(ALPHABET.replace(" ", ""), min_size=1, max_size=12), start_ms=st.integers(0, 59))
@settings(deadline=None)
def test_audio_joined_in_mid_symbol_is_a_suffix_of_the_text(text: str, start_ms: int) -> None:
    text_heard = heard_text(say(text)[16 * start_ms :])

    assert text_heard in (text, text[1:])


@given(text=TEXTS, cut_ms=st.integers(0, 1500), answer=st.sampled_from(["Sorry? No.", "aa", "Yes"]))
@settings(deadline=None)
def test_a_splice_after_barge_in_keeps_both_sides(text: str, cut_ms: int, answer: str) -> None:
    text_heard = heard_text(companded(say(text)[: 16 * cut_ms] + say(answer)))

    assert text_heard.endswith(answer)
    assert spoken(text).startswith(text_heard[: -len(answer)].rstrip())


def test_characters_come_with_their_times() -> None:
    found = decode_tones(silence(35) + say("Hi 4.") + silence(300) + say("a"))

    assert [(char, pytest.approx(start, abs=5)) for char, start in found] == [
        ("H", 35),
        ("i", 95),
        (" ", 155),
        ("4", 215),
        (".", 275),
        ("a", 35 + 5 * 60 + 120 + 300),
    ]


@pytest.mark.parametrize(
    ("audio", "text"),
    [
        pytest.param(b"", "", id="empty"),
        pytest.param(silence(1000), "", id="silence"),
        pytest.param(noisy(silence(1000), -45), "", id="noise"),
        pytest.param(noisy(silence(1000), -20), "", id="loud-noise"),
        pytest.param(mixed(tone(440, 2000), tone(480, 2000)), "", id="ringback"),
        pytest.param(mixed(tone(941, 300), tone(1477, 300)), "", id="dtmf"),
        pytest.param(tone(500, 300), "", id="one-tone"),
        pytest.param(say("ok")[: 16 * 75], "o", id="too-short-to-tell"),
        pytest.param(say("ok")[: 16 * 95], "ok", id="long-enough-to-tell"),
        pytest.param(say("ab") + silence(20) + say("cd"), "ab cd", id="breath-is-a-space"),
        pytest.param(say("ab")[: 16 * 120] + silence(40) + say("cd"), "abcd", id="lost-frames-are-not"),
        pytest.param(say("aaaa"), "aaaa", id="repeats"),
        pytest.param(say("a b. c? d!"), "a b. c? d!", id="sentences"),
        pytest.param(say("hello")[: 16 * 90] + say("hello")[16 * 160 :], "helo", id="a-symbol-lost"),
    ],
)
def test_odd_sounds(audio: bytes, text: str) -> None:
    assert heard_text(audio) == text
