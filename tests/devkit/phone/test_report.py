"""The report's own arithmetic: latencies and the WAV."""

import wave

import numpy as np
import pytest

from archer_bridge.devkit.phone import CallerTurn, CallReport
from archer_bridge.devkit.phone.tape import linear
from tests.devkit.phone.bridge import tone

QUIET = b"\xff" * 8


def make_report(*, said: bytes, heard: bytes, turns: tuple[CallerTurn, ...] = ()) -> CallReport:
    return CallReport(
        call_sid="CA1",
        from_number="+1",
        to_number="+2",
        ended_by="caller",
        end_detail="",
        duration_ms=len(heard) / 8,
        heard=heard,
        said=said,
        streams=(),
        turns=turns,
        pressed=(),
        violations=(),
        twiml=(),
        requests=(),
        statuses=(),
        stream_events=(),
        verbs=(),
        script_error="",
    )


TURN = CallerTurn("hello", 100, 500)  # voiced until 400, then silence
AGAIN = CallerTurn("again", 600, 700)


@pytest.mark.parametrize(
    ("heard", "turns", "expected"),
    [
        pytest.param(QUIET * 900 + tone(200), (TURN,), [(900, 500, False)], id="answer"),
        pytest.param(QUIET * 900, (TURN,), [(None, None, False)], id="no answer"),
        pytest.param(tone(600) + QUIET * 300 + tone(100), (TURN,), [(900, 500, True)], id="talked over, then answer"),
        pytest.param(tone(1000), (TURN,), [(None, None, True)], id="talked over only"),
        pytest.param(
            QUIET * 900 + tone(200), (TURN, AGAIN), [(None, None, False), (900, 200, False)], id="after the second turn"
        ),
        pytest.param(QUIET * 300, (TURN,), [(None, None, False)], id="call ended during the turn"),
    ],
)
def test_latency_is_from_the_last_voiced_audio_to_the_first_agent_sound(heard, turns, expected):
    said = QUIET * 100 + tone(300) + QUIET * 200 + tone(100) + QUIET * 500
    report = make_report(said=said, heard=heard, turns=turns)

    assert expected == [(latency.agent_at_ms, latency.ms, latency.overlapped) for latency in report.latencies]


def test_the_wav_is_stereo_with_the_caller_on_the_left(tmp_path):
    report = make_report(said=tone(50), heard=QUIET * 20 + tone(100))

    report.write_wav(tmp_path / "call.wav")

    with wave.open(str(tmp_path / "call.wav")) as file:
        shape = (file.getnchannels(), file.getsampwidth(), file.getframerate(), file.getnframes())
        both = np.frombuffer(file.readframes(shape[3]), dtype="<i2").reshape(-1, 2)
    assert shape == (2, 2, 8000, 960)
    assert both[:, 0].tolist() == linear(tone(50) + QUIET * 70).tolist()
    assert both[:, 1].tobytes() == report.heard_pcm()
