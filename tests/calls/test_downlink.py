import random

import pytest

from archer_bridge.calls.downlink import SMALLEST_SEND
from archer_bridge.ports import TurnEnded, TurnStarted
from tests.support.core_rig import BEAT, Rig

FORMATS = ["mulaw_8000", "pcm_16000", "pcm_24000", "pcm_44100"]
CHUNKS = [
    pytest.param(0.125, id="a-byte-or-two"),
    pytest.param(9.9, id="odd-9.9ms"),
    pytest.param(20, id="20ms"),
    pytest.param(40, id="40ms"),
    pytest.param(1000, id="1s"),
]
LEAD_MS = 400


def speak(rig: Rig, seconds: float, chunk_ms: float, *, lead_ms: float = 160, speed: float | None = None) -> bytes:
    """Let the engine say noise, paced `lead_ms` ahead of the ear or `speed` times as fast; returns it."""
    line = random.Random(1).randbytes(rig.format.bytes_for(seconds * 1000))
    size = max(1, round(len(line) * chunk_ms / 1000 / seconds))
    began = rig.now
    rig.does(TurnStarted(1, "assistant"))
    for at in range(0, len(line), size):
        sounds = at / len(line) * seconds
        due = began + round(8000 * (max(0.0, sounds - lead_ms / 1000) if speed is None else sounds / speed))
        rig.run(due - rig.now)
        rig.does(rig.audio(line[at : at + size]))
    rig.does(TurnEnded(1, "assistant", "", interrupted=False))
    return line


@pytest.mark.parametrize("audio_format", FORMATS)
@pytest.mark.parametrize("chunk_ms", CHUNKS)
def test_at_speaking_pace_nothing_is_missing_and_nothing_runs_dry(audio_format, chunk_ms):
    rig = Rig(audio_format)
    speak(rig, 1.5, chunk_ms, lead_ms=max(160.0, chunk_ms))
    rig.run(3 * 8000)

    assert rig.holes == []
    assert rig.buffer.heard(0, len(rig.accepted)) == len(rig.accepted) == rig.playout.acknowledged
    assert len(rig.accepted) == pytest.approx(1.5 * 8000, abs=2)


@pytest.mark.parametrize("audio_format", FORMATS)
@pytest.mark.parametrize("chunk_ms", CHUNKS)
def test_a_burst_is_paced_within_the_lead_and_never_runs_dry(audio_format, chunk_ms):
    rig = Rig(audio_format, lead_ms=LEAD_MS)
    seconds = 2.0 if chunk_ms < 1 else 10.0
    speak(rig, seconds, chunk_ms, speed=10.0)
    rig.run(round(8000 * (seconds + 1)))

    assert rig.holes == []
    assert rig.fullest <= LEAD_MS * 8
    assert rig.buffer.heard(0, len(rig.accepted)) == len(rig.accepted) == rig.playout.acknowledged
    assert len(rig.accepted) == pytest.approx(seconds * 8000, abs=2)


def test_small_chunks_are_joined():
    rig = Rig()
    speak(rig, 2.0, 0.125, speed=10.0)
    rig.run(3 * 8000)
    sizes = [len(event["media"]["payload"]) * 3 // 4 for event in rig.wrote if event["event"] == "media"]

    assert min(sizes[:-1]) >= SMALLEST_SEND
    assert len(sizes) <= 2000 / 20 + 1


def test_a_chunk_that_fits_goes_out_at_once_and_untouched():
    rig = Rig()
    audio = rig.audio(bytes(range(256)))
    rig.does(TurnStarted(1, "assistant"), audio)

    assert rig.wrote[0]["media"] == {"payload": audio.text.decode()}


def test_a_small_chunk_into_silence_waits_for_the_next_beat_and_no_longer():
    rig = Rig()
    rig.run(10)
    rig.does(TurnStarted(1, "assistant"), rig.audio(b"a" * 79))
    before = list(rig.kinds)
    rig.run(BEAT)

    assert before == []
    assert rig.kinds == ["media", "mark"]


def test_the_end_of_a_turn_sends_and_marks_the_last_small_piece():
    rig = Rig()
    rig.does(TurnStarted(1, "assistant"), rig.audio(b"a" * 239), rig.audio(b"b" * 79))
    rig.does(TurnEnded(1, "assistant", "", interrupted=False))

    assert rig.kinds == ["media", "mark", "media", "mark"]
    assert rig.playout.sent == 239 + 79
    assert rig.playout.unmarked == 0


def test_marks_stand_at_the_start_every_400_ms_and_at_the_end():
    rig = Rig()
    speak(rig, 1.0, 20)
    rig.run(8000)
    sent, at = 0, []
    for event in rig.wrote:
        if event["event"] == "media":
            sent += len(event["media"]["payload"]) * 3 // 4 // 20 * 20
        else:
            at.append(sent)

    assert at == [160, 160 + 3200, 160 + 6400, 8000]


def test_audio_that_stops_in_mid_turn_is_marked_after_a_pause():
    rig = Rig()
    rig.does(TurnStarted(1, "assistant"), rig.audio(b"a" * 800), rig.audio(b"b" * 800))
    rig.run(8000)

    assert rig.playout.acknowledged == 1600
    assert rig.kinds.count("mark") == 2


def test_a_lost_echo_is_asked_for_again():
    rig = Rig()
    rig.lose_marks()
    rig.turn(1, b"a" * 1600)
    rig.run(8000)
    unproved, sent = rig.playout.has_unheard, rig.playout.marks_sent
    rig._echo_marks = True
    rig.run(8000)

    assert unproved
    assert sent == 1 + 1 + 1  # the stream's, the turn's, and another half a second after that was due
    assert not rig.playout.has_unheard
    assert rig.playout.marks_sent == 4


def test_a_clear_takes_back_what_waits():
    rig = Rig()
    rig.turn(1, bytes(8000))
    rig.run(800)
    rig.clear()
    rig.run(8000)

    assert not rig.downlink.waiting
    assert rig.kinds[-1] == "clear"
    assert rig.cuts == [800]
    assert rig.buffer.heard(0, 8000) == 800
