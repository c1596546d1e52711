"""Real speech: spoken, sent through a telephone line, heard again."""

import subprocess
import sys
from collections.abc import Iterator

import pytest

from archer_bridge.devkit.voices import (
    LOCAL_HINT,
    Ear,
    Heard,
    SpeechStarted,
    Voice,
    have_local,
    open_ear,
    open_voice,
    transcribe,
    word_error_rate,
)
from archer_bridge.devkit.voices.base import EarEvent, Partial
from archer_bridge.devkit.voices.pcm import resampled, to_floats, to_pcm
from tests.devkit.voices.sound import companded, mixed, noisy, silence, tone

pytestmark = [
    pytest.mark.voices,
    pytest.mark.skipif(not have_local(), reason=LOCAL_HINT),
    pytest.mark.timeout(60),  # a few seconds each; the engines load slowly on a machine that is busy
]


@pytest.fixture(scope="module")
def agent() -> Voice:
    voice = open_voice("local")
    voice.warm()
    return voice


@pytest.fixture(scope="module")
def caller() -> Voice:
    return open_voice("local", speaker="caller")


@pytest.fixture
def ear() -> Iterator[Ear]:
    listener = open_ear("local")
    listener.warm()
    yield listener
    listener.flush()


def on_the_line(voice: Voice, text: str) -> bytes:
    """Speech at 8 kHz after mu-law, with silence around it."""
    floats = [resampled(to_floats(u.audio), u.rate, 8000) for u in voice.speak(text)]
    return companded(silence(300) + b"".join(to_pcm(part) for part in floats) + silence(800))


@pytest.mark.parametrize("speaker", ["agent", "caller"])
@pytest.mark.parametrize(
    "text",
    [
        "Yes, what are my options?",
        "The payment plan please.",
        "Yes, that's right.",
        "No, that's all. Goodbye.",
        "You can choose six monthly payments of $150.00.",
    ],
)
def test_sentences_survive_the_line(agent: Voice, caller: Voice, ear: Ear, speaker: str, text: str) -> None:
    heard = transcribe(on_the_line({"agent": agent, "caller": caller}[speaker], text), ear=ear)

    assert word_error_rate(text, " ".join(utterance.text for utterance in heard)) == 0.0


def test_account_numbers_are_understood(caller: Voice, ear: Ear) -> None:
    text = "My account ends in 4821 and my zip code is 94107."

    [heard] = transcribe(on_the_line(caller, text), ear=ear)

    assert word_error_rate("ends in 4821 and my zip code is 94107", heard.text.partition("account ")[2]) == 0.0


def test_the_same_seed_gives_the_same_audio_and_another_does_not(agent: Voice) -> None:
    first, again, other = (list(open_voice("local", seed=seed).speak("Hello.")) for seed in (1, 1, 2))

    assert first == again
    assert first != other
    assert [u.text for u in first] == ["Hello."]


def test_speakers_differ(agent: Voice, caller: Voice) -> None:
    [one], [other] = list(agent.speak("Hello there.")), list(caller.speak("Hello there."))

    assert one.rate == other.rate == 24000
    assert one.audio != other.audio


def test_words_follow_each_other_inside_the_audio(agent: Voice) -> None:
    utterances = list(agent.speak("Your balance is $900.00. Is that right?"))

    assert [[word.text for word in u.words] for u in utterances] == [
        ["Your", "balance", "is", "$900.00."],
        ["Is", "that", "right?"],
    ]
    for utterance in utterances:
        times = [time for word in utterance.words for time in (word.start_ms, word.end_ms)]
        assert times == sorted(times)
        assert times[0] >= 0.0
        assert times[-1] <= utterance.duration_ms


@pytest.mark.parametrize("text", [" ... ", "", "\u4f60\u597d"])
def test_what_cannot_be_pronounced_says_nothing(agent: Voice, text: str) -> None:
    assert list(agent.speak(text)) == []


def test_an_unknown_speaker_is_refused() -> None:
    with pytest.raises(ValueError, match=r"speaker is 'robot'; choose one of \['agent', 'caller'\]"):
        open_voice("local", speaker="robot")


def test_speech_start_comes_early_and_the_end_after_the_pause(caller: Voice, ear: Ear) -> None:
    audio = on_the_line(caller, "The payment plan please.")
    reported: list[tuple[float, EarEvent]] = []
    for at in range(0, len(audio), 320):
        reported.extend(((at + 320) / 16, event) for event in ear.feed(audio[at : at + 320]))

    [(started_ms, started), (ended_ms, heard)] = reported
    assert isinstance(started, SpeechStarted)
    assert isinstance(heard, Heard)
    assert 90 <= started_ms - started.at_ms <= 150
    assert started.at_ms == heard.start_ms < heard.end_ms
    assert 470 <= ended_ms - heard.end_ms <= 560


def test_chunks_do_not_matter(caller: Voice) -> None:
    audio = on_the_line(caller, "Yes.")
    results = []
    for size in (111, 320, len(audio)):
        listener = open_ear("local")
        events = [event for at in range(0, len(audio), size) for event in listener.feed(audio[at : at + size])]
        results.append(events + listener.flush())

    assert results[0] == results[1] == results[2]
    assert len(results[0]) == 2


def test_flush_closes_what_is_open(caller: Voice, ear: Ear) -> None:
    audio = on_the_line(caller, "Yes.")[: -2 * 8 * 750]
    events = ear.feed(audio)

    assert [type(event) for event in events + ear.flush()] == [SpeechStarted, Heard]
    assert ear.flush() == []


@pytest.mark.parametrize(
    "audio",
    [
        pytest.param(silence(3000), id="silence"),
        pytest.param(noisy(silence(3000), -45), id="noise"),
        pytest.param(mixed(tone(440, 2000), tone(480, 2000)), id="ringback"),
        pytest.param(mixed(tone(941, 200), tone(1477, 200)) + silence(800), id="dtmf"),
    ],
)
def test_nothing_is_heard_in_what_is_not_speech(ear: Ear, audio: bytes) -> None:
    assert [event for event in ear.feed(audio) + ear.flush() if isinstance(event, Heard) and event.text] == []


def test_partials_come_when_asked_for(caller: Voice) -> None:
    from archer_bridge.devkit.voices.local import LocalEar  # only where the extra is installed

    listener = LocalEar(partial_ms=640)
    events = listener.feed(on_the_line(caller, "The payment plan please."))
    partials = [event.text for event in events if isinstance(event, Partial)]

    assert len(partials) >= 2
    assert isinstance(events[-1], Heard)


def test_the_engines_neither_print_nor_warn() -> None:
    program = (
        "from archer_bridge.devkit.voices import open_voice, open_ear, transcribe\n"
        "audio = b''.join(u.audio for u in open_voice('local').speak('Hello there.'))\n"
        "assert transcribe(audio, 24000, ear=open_ear('local'))[0].text"
    )

    done = subprocess.run([sys.executable, "-W", "error", "-c", program], capture_output=True, text=True)

    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
