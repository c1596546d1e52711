"""The playback buffer: what was heard, to the byte, and which marks come back when."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from archer_bridge.devkit.phone.playback import Playback
from archer_bridge.devkit.phone.tape import Tape
from tests.devkit.phone.bridge import tone


def names(marks) -> list[str]:
    return [mark.name for mark in marks]


def test_partial_frames_are_played_to_the_byte():
    tape = Tape()
    playback = Playback(tape)

    playback.advance(100)
    playback.media(100, bytes(range(1, 14)))
    playback.advance(107)

    assert b"\xff" * 100 + bytes(range(1, 8)) == tape.read(0, 107)
    assert playback.buffered == 6


@pytest.mark.parametrize(
    ("sent_at", "due"),
    [
        pytest.param(0, 160, id="after all buffered audio"),
        pytest.param(100, 160, id="still after it, half way through"),
        pytest.param(500, 500, id="at once when nothing is buffered"),
    ],
)
def test_mark_is_due_when_what_came_before_it_has_been_played(sent_at, due):
    playback = Playback(Tape())
    playback.media(0, bytes(160))
    playback.advance(sent_at)
    playback.mark(sent_at, "m")

    assert due == playback.next_due
    assert names(playback.advance(due - 1)) == []
    assert names(playback.advance(due)) == ["m"]


def test_clear_returns_every_outstanding_mark_in_order_and_drops_the_audio():
    tape = Tape()
    playback = Playback(tape)
    playback.media(0, b"a" * 80)
    playback.mark(0, "played")
    playback.media(0, b"b" * 80)
    for name in ("m8", "m9", "m10"):
        playback.mark(0, name)

    played = playback.advance(100)
    cleared = playback.clear(100)
    later = playback.advance(1000)

    assert names(played) == ["played"]
    assert names(cleared) == ["m8", "m9", "m10"]
    assert names(later) == []
    assert playback.flushed_bytes == 60
    assert tape.read(0, 1000) == b"a" * 80 + b"b" * 20 + b"\xff" * 900


def test_media_after_clear_is_played_from_then_on():
    tape = Tape()
    playback = Playback(tape)
    playback.media(0, b"old" * 100)
    playback.advance(30)
    playback.clear(30)
    playback.media(30, b"new")
    playback.advance(100)

    assert tape.read(0, 36) == b"old" * 10 + b"new" + b"\xff" * 3


def test_contiguous_media_is_one_segment_and_a_hole_starts_another():
    playback = Playback(Tape())
    playback.media(0, b"a" * 80)
    playback.advance(80)
    playback.media(80, b"b" * 80)
    playback.advance(200)
    playback.media(200, b"c" * 8)
    playback.advance(300)

    assert [(s.start_ms, s.data) for s in playback.segments] == [(0.0, b"a" * 80 + b"b" * 80), (25.0, b"c" * 8)]


@pytest.mark.parametrize(
    ("first", "gap_ms", "second", "found"),
    [
        pytest.param(tone(40), 10, tone(40), [(40.0, 10.0)], id="hole between voiced audio"),
        pytest.param(tone(40), 0, tone(40), [], id="just in time"),
        pytest.param(tone(40), 900, tone(40), [], id="a pause between sentences"),
        pytest.param(b"\xff" * 320, 10, tone(40), [], id="after silence"),
        pytest.param(tone(40), 10, b"\xff" * 320, [], id="before silence"),
    ],
)
def test_underruns_are_holes_in_the_middle_of_speech(first, gap_ms, second, found):
    playback = Playback(Tape())
    playback.media(0, first)
    now = (40 + gap_ms) * 8
    playback.advance(now)
    playback.media(now, second)

    assert found == [(u.at_ms, u.gap_ms) for u in playback.underruns]


def test_stop_tells_what_was_never_heard():
    playback = Playback(Tape())
    playback.media(0, bytes(160))
    playback.mark(0, "end")
    playback.advance(60)

    marks = playback.stop()

    assert (names(marks), playback.unplayed_bytes, playback.flushed_bytes) == (["end"], 100, 0)


STEP = st.tuples(st.integers(0, 400), st.one_of(st.binary(min_size=1, max_size=300), st.just("mark"), st.just("clear")))


@given(st.lists(STEP, max_size=40))
def test_agrees_with_a_player_that_takes_one_byte_a_sample(steps):
    tape = Tape()
    playback = Playback(tape)
    queue: list[int | str] = []
    heard, echoed, expected, now = bytearray(), [], [], 0
    for number, (pause, action) in enumerate(steps):
        for _ in range(pause):
            byte = queue.pop(0) if queue else 0xFF
            heard.append(byte)
            while queue and isinstance(queue[0], str):
                expected.append(queue.pop(0))
        now += pause
        echoed += names(playback.advance(now))
        if action == "mark":
            playback.mark(now, f"m{number}")
            queue.append(f"m{number}")
            while isinstance(queue[0] if queue else 0, str):
                expected.append(queue.pop(0))
        elif action == "clear":
            echoed += names(playback.clear(now))
            expected += [item for item in queue if isinstance(item, str)]
            queue = []
        else:
            playback.media(now, action)
            queue += action
        echoed += names(playback.advance(now))

        assert expected == echoed
    assert bytes(heard) == tape.read(0, now)
