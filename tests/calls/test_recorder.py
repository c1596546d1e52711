"""The recording's timeline against the phone's playback clock, to the sample."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from archer_bridge.calls.core_ports import AGENT, CALLER
from archer_bridge.calls.playout import Playout
from archer_bridge.calls.recorder import FRAME, KEPT_S, Recorder
from archer_bridge.devkit.phone.playback import Playback
from archer_bridge.devkit.phone.tape import SILENCE, Tape

RATE = 8000


class Sheet:
    """What a recording's file would hold."""

    def __init__(self) -> None:
        self.data = bytearray()
        self.closed = 0

    def write(self, sample: int, stereo: bytes) -> None:
        assert len(self.data) >= 2 * sample, "a hole in the file"
        self.data[2 * sample : 2 * sample + len(stereo)] = stereo

    def close(self) -> None:
        self.closed += 1

    @property
    def left(self) -> bytes:
        return bytes(self.data[0::2])

    @property
    def right(self) -> bytes:
        return bytes(self.data[1::2])


class Studio:
    """A recorder, a ledger without a network in between, and the phone that plays what the ledger sends."""

    def __init__(self) -> None:
        self.sheet = Sheet()
        self.playout = Playout()
        self.playout.echo(self.playout.mark(0.0), 0.0)
        self.recorder = Recorder(self.sheet.write, self.sheet.close)
        self.heard = Tape()
        self.phone = Playback(self.heard)
        self.dry_at = -RATE

    def caller(self, number: int, at: int, *, jitter_ms: int = 0, byte: int | None = None) -> None:
        """Frame `number` arrives at sample `at`."""
        data = frame(number) if byte is None else bytes([byte]) * FRAME
        self.note(data, 100 + 20 * number + jitter_ms, at)

    def note(self, data: bytes, timestamp_ms: int, at: int) -> None:
        """Caller audio with this timestamp arrives at sample `at`."""
        self.recorder.note((CALLER, timestamp_ms, data, (at - len(data)) / RATE))

    def agent(self, audio: bytes, at: int) -> None:
        """Agent audio arrives; not so soon after the last of it has played that nobody would hear the hole."""
        self.phone.advance(at)
        if 0 < at - self.dry_at < FRAME:
            return
        self.dry_at = max(at, self.dry_at) + len(audio)
        start = self.playout.accepted
        self.playout.accept(len(audio), at / RATE)
        self.playout.send(len(audio), at / RATE)
        self.recorder.note((AGENT, start, audio, self.playout.plays_at(start)))
        self.phone.media(at, audio)

    def barge_in(self, at: int) -> None:
        self.phone.advance(at)
        self.phone.clear(at)
        if (cut := self.playout.clear(at / RATE)) is not None:
            self.recorder.cut(cut.position, at / RATE)
        self.dry_at = min(at, self.dry_at)

    def finish(self, at: int) -> None:
        self.phone.advance(at)
        self.recorder.finish(at / RATE)


def frame(number: int) -> bytes:
    """Make a frame of the caller's that is like no other near it."""
    return bytes(((number * 7 + n * 3) % 251) for n in range(FRAME))


def voice(seed: int, length: int) -> bytes:
    return bytes(((seed * 13 + n * 5) % 249) for n in range(length))


@dataclass(frozen=True)
class Tick:
    """What happens in one frame's time."""

    fate: str
    jitter_ms: int
    agent: int
    barge_in: bool
    advance: bool


ticks = st.lists(
    st.builds(
        Tick,
        fate=st.sampled_from(["on_time"] * 6 + ["lost", "held"]),
        jitter_ms=st.integers(-2, 2),
        agent=st.sampled_from([0, 0, 0, 1, 159, 160, 800, 5000]),
        barge_in=st.sampled_from([False] * 5 + [True]),
        advance=st.booleans(),
    ),
    max_size=150,
)


@given(ticks)
def test_any_call_is_recorded_as_it_was_heard(script: list[Tick]) -> None:
    studio = Studio()
    said = Tape()
    held: list[tuple[int, int]] = []
    studio.caller(0, FRAME)
    said.write(0, frame(0))
    for number, tick in enumerate(script, start=1):
        now = (number + 1) * FRAME
        if tick.fate != "lost":
            held.append((number, tick.jitter_ms))
            said.write(number * FRAME, frame(number))
        if tick.fate == "on_time":
            for one, jitter_ms in held:
                studio.caller(one, now, jitter_ms=jitter_ms)
            held.clear()
        if tick.barge_in:
            studio.barge_in(now)
        if tick.agent:
            studio.agent(voice(number, tick.agent), now)
        if tick.advance:
            studio.recorder.advance(now / RATE)
    end = (len(script) + 1) * FRAME
    for one, jitter_ms in held:
        studio.caller(one, end, jitter_ms=jitter_ms)
    studio.finish(end)

    assert studio.sheet.left == said.read(0, end)
    assert studio.sheet.right == studio.heard.read(0, end)
    assert studio.sheet.closed == 1


def test_what_was_given_out_reaches_to_this_moment() -> None:
    studio = Studio()
    for number in range(100):
        studio.caller(number, (number + 1) * FRAME)
    studio.recorder.advance(100 * FRAME / RATE)

    assert studio.sheet.left == b"".join(frame(number) for number in range(100))


@pytest.mark.parametrize("late_s", [pytest.param(0.5, id="half-a-second"), pytest.param(KEPT_S - 0.1, id="five-less")])
def test_frames_that_were_held_up_find_their_place(late_s: float) -> None:
    studio = Studio()
    studio.caller(0, FRAME)
    late = round(late_s * 50)
    for number in range(1, late):
        studio.recorder.advance((number + 1) * FRAME / RATE)
    for number in range(1, late + 1):
        studio.caller(number, (late + 1) * FRAME)
    studio.finish((late + 1) * FRAME)

    assert studio.sheet.left == b"".join(frame(number) for number in range(late + 1))


def test_a_greeting_before_the_callers_first_frame_is_kept() -> None:
    studio = Studio()
    greeting = voice(1, 4000)
    studio.agent(greeting, 0)
    studio.caller(0, 2000 + FRAME)
    studio.finish(6000)

    assert studio.sheet.right == greeting + SILENCE * 2000
    assert studio.sheet.left[2000 : 2000 + FRAME] == frame(0)


def test_a_call_without_any_audio_is_an_empty_recording() -> None:
    studio = Studio()
    studio.recorder.advance(5.0)
    studio.finish(80_000)

    assert (bytes(studio.sheet.data), studio.sheet.closed) == (b"", 1)


def test_agent_audio_that_would_have_played_later_is_not_in_it() -> None:
    studio = Studio()
    studio.caller(0, FRAME)
    studio.agent(voice(1, 8000), FRAME)
    studio.finish(FRAME + 1000)

    assert studio.sheet.right == SILENCE * FRAME + voice(1, 1000)


def test_a_timestamp_from_far_ahead_costs_no_memory() -> None:
    studio = Studio()
    studio.caller(0, FRAME)
    studio.note(frame(1), 1_000_000_000, 2 * FRAME)
    studio.recorder.advance(2 * FRAME / RATE)

    assert studio.recorder.kept_bytes == 2 * FRAME


def two_hours(studio: Studio) -> Iterable[tuple[int, int]]:
    """Run 7200 s: the caller speaks all the time, the agent 5 s of every 10; yield what is kept, twice a second."""
    for number in range(7200 * 50):
        now = (number + 1) * FRAME
        studio.note(PATTERN[number % 250], 100 + 20 * number, now)
        if number % 500 == 0:
            start = studio.playout.accepted
            studio.playout.accept(5 * RATE, now / RATE)
            studio.playout.send(5 * RATE, now / RATE)
            studio.recorder.note((AGENT, start, SPEECH, studio.playout.plays_at(start)))
        if number % 25 == 24:
            studio.recorder.advance(now / RATE)
            yield now, studio.recorder.kept_bytes


PATTERN = [frame(number) for number in range(250)]
SPEECH = voice(3, 5 * RATE)
WHOLE = b"".join(PATTERN)


def test_two_hours_keep_no_more_memory_than_a_minute_and_do_not_drift() -> None:
    studio = Studio()
    left = np.frombuffer(WHOLE + WHOLE, dtype=np.uint8)
    right = np.frombuffer(SILENCE * FRAME + SPEECH + SILENCE * (5 * RATE - FRAME), dtype=np.uint8)
    right = np.concatenate([right, right])
    wrong = 0
    given_out = 0

    def check(sample: int, stereo: bytes) -> None:
        nonlocal wrong, given_out
        pairs = np.frombuffer(stereo, dtype=np.uint8)
        count = len(pairs) // 2
        at_left, at_right = sample % len(WHOLE), sample % (10 * RATE)
        wrong += int((pairs[0::2] != left[at_left : at_left + count]).sum())
        wrong += int((pairs[1::2] != right[at_right : at_right + count]).sum())
        given_out = sample + count

    studio.recorder = Recorder(check, studio.sheet.close)
    kept = list(two_hours(studio))
    most_in_a_minute = max(size for now, size in kept if now <= 60 * RATE)

    assert wrong == 0
    assert given_out == 7200 * RATE
    assert max(size for _, size in kept) <= most_in_a_minute
