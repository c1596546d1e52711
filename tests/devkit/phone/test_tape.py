"""Audio on a timeline, its level, and the phone's own sounds."""

import numpy as np
import pytest

from archer_bridge.devkit.phone.line import Monitor
from archer_bridge.devkit.phone.tape import Tape, frame_levels, is_voiced, linear
from archer_bridge.devkit.phone.tones import dial_tones
from tests.devkit.phone.bridge import tone

QUIET = b"\xff" * 8


def test_what_nobody_wrote_is_silence():
    tape = Tape()
    tape.write(3, b"ab")
    tape.write(7, b"c")

    assert (tape.read(0, 10), len(tape)) == (b"\xff\xff\xffab\xff\xffc\xff\xff", 8)


def test_the_past_is_never_rewritten():
    tape = Tape()
    tape.write(0, b"abc")

    with pytest.raises(ValueError, match="write at sample 2: the tape already reaches 3"):
        tape.write(2, b"x")


def test_cutting_forgets_the_future():
    tape = Tape()
    tape.write(0, b"abcdef")

    assert (tape.cut(4), tape.cut(4), tape.read(0, 6)) == (2, 0, b"abcd\xff\xff")


def test_levels_of_long_audio_equal_those_of_its_pieces():
    data = (tone(20) + QUIET * 20) * 3001 + tone(7)

    levels = frame_levels(data)

    assert len(levels) == 6003
    assert levels[0::2].tolist()[:3001] == [frame_levels(tone(20))[0]] * 3001
    assert set(levels[1:6002:2].tolist()) == {0.0}


@pytest.mark.parametrize(
    ("data", "voiced"),
    [
        pytest.param(b"", False, id="nothing"),
        pytest.param(b"\xff" * 160, False, id="silence"),
        pytest.param(b"\x7f" * 160, False, id="negative zero"),
        pytest.param(b"\xfe\x7e" * 80, False, id="line noise"),
        pytest.param(tone(20), True, id="a tone"),
        pytest.param(b"\x00" * 160, True, id="zero bytes are loud"),
    ],
)
def test_what_counts_as_sound(data, voiced):
    assert voiced == is_voiced(data)


@pytest.mark.parametrize(
    ("heard", "changes"),
    [
        pytest.param(QUIET * 100, [], id="silence"),
        pytest.param(
            QUIET * 40 + tone(100) + QUIET * 400,
            [("agent_audio_started", 320, 320), ("agent_audio_ended", 320, 1120)],
            id="one stretch",
        ),
        pytest.param(tone(100) + QUIET * 200 + tone(100), [("agent_audio_started", 0, 0)], id="a short stop inside"),
    ],
)
@pytest.mark.parametrize("step", [160, 1000, 100_000])
def test_stretches_of_sound_do_not_depend_on_how_often_one_looks(heard, changes, step):
    tape, monitor = Tape(), Monitor()
    tape.write(0, heard)

    found = [
        change for now in range(0, len(heard) + step, step) for change in monitor.update(tape, min(now, len(heard)))
    ]

    assert changes == found


@pytest.mark.parametrize(
    ("digit", "hertz"), [("1", (697, 1209)), ("5", (770, 1336)), ("#", (941, 1477)), ("D", (941, 1633))]
)
def test_dial_tones_are_q23(digit, hertz):
    spectrum = np.abs(np.fft.rfft(linear(dial_tones(digit)[:800]).astype(float)))

    strongest = sorted(int(index) * 10 for index in np.argsort(spectrum)[-2:])

    assert strongest == [round(f, -1) for f in hertz]


def test_a_w_is_half_a_second_of_silence():
    assert dial_tones("w") == QUIET * 500
