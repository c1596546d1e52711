"""Judging recordings."""

import wave
from pathlib import Path

import pytest

from archer_bridge.devkit.voices import Heard, ToneEar, transcribe, transcribe_file, word_error_rate
from tests.devkit.voices.sound import say, silence


def write_wav(path: Path, audio: bytes, *, rate: int, channels: int = 1, width: int = 2) -> Path:
    with wave.open(str(path), "wb") as file:
        file.setnchannels(channels)
        file.setsampwidth(width)
        file.setframerate(rate)
        file.writeframes(audio)
    return path


@pytest.mark.parametrize("rate", [8000, 16000, 24000, 44100])
def test_a_wav_file_is_written_down(tmp_path: Path, rate: int) -> None:
    path = write_wav(
        tmp_path / "call.wav", say("One. Two", rate=rate) + bytes(2 * rate) + say("three", rate=rate), rate=rate
    )

    assert transcribe_file(path, ear=ToneEar()) == "One. Two three"


def test_the_channels_of_a_stereo_file_are_mixed(tmp_path: Path) -> None:
    mono = say("left")
    stereo = b"".join(mono[at : at + 2] + b"\0\0" for at in range(0, len(mono), 2))
    path = write_wav(tmp_path / "call.wav", stereo, rate=8000, channels=2)

    assert transcribe_file(path, ear=ToneEar()) == "left"


def test_utterances_come_with_their_times() -> None:
    audio = silence(100) + say("a") + silence(900) + say("b")

    assert transcribe(audio, ear=ToneEar()) == [Heard("a", 100.0, 150.0), Heard("b", 1180.0, 1230.0)]


def test_other_sample_sizes_are_refused(tmp_path: Path) -> None:
    path = write_wav(tmp_path / "call.wav", b"\x80" * 80, rate=8000, width=1)

    with pytest.raises(ValueError, match=r"call\.wav has 8-bit samples; expected 16-bit PCM"):
        transcribe_file(path, ear=ToneEar())


@pytest.mark.parametrize(
    ("reference", "hypothesis", "rate"),
    [
        pytest.param("Yes, that's right.", "yes that\u2019s right", 0.0, id="same"),
        pytest.param("It ends in 4821.", "It ends in four, eight, two, one", 0.0, id="digits"),
        pytest.param("You owe $150.00 now", "you owe one hundred and fifty dollars now", 0.0, id="amount"),
        pytest.param("one two", "", 1.0, id="all-lost"),
        pytest.param("the payment plan", "the payment", 1 / 3, id="deletion"),
        pytest.param("the plan", "the payment plan", 1 / 2, id="insertion"),
        pytest.param("pay in full", "paying full", 2 / 3, id="replacement"),
        pytest.param("a", "b c d", 3.0, id="above-one"),
        pytest.param("", "", 0.0, id="nothing-from-nothing"),
        pytest.param("", "you", 1.0, id="something-from-nothing"),
    ],
)
def test_word_error_rate(reference: str, hypothesis: str, rate: float) -> None:
    assert word_error_rate(reference, hypothesis) == pytest.approx(rate)
