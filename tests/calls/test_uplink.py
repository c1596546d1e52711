import base64
import random

import pytest

from archer_bridge.calls.lanes import NEVER
from archer_bridge.calls.uplink import SILENCE, Uplink
from archer_bridge.protocols.twilio_media import Audio
from archer_codecs import MULAW_8K, PCM16_16K, plan
from tests.support.core_rig import Sink

FRAME = b"\x80" * 160
"""Loud."""


def heard_by_engine(timestamps: list[int], *, frame: bytes = FRAME) -> tuple[Uplink, Sink]:
    uplink, engine = Uplink(plan(MULAW_8K, MULAW_8K).build()), Sink("mulaw/8000/1")
    for at in timestamps:
        uplink.caller(Audio(frame, b"...", at, 0), engine, at / 1000)
    return uplink, engine


def grid(count: int, *, start: int = 155, step: float = 20, jitter: int = 0, seed: int = 1) -> list[int]:
    chance = random.Random(seed)
    return [round(start + n * step + chance.uniform(-jitter, jitter)) for n in range(count)]


@pytest.mark.parametrize(
    "timestamps",
    [
        pytest.param(grid(500), id="a-grid"),
        pytest.param(grid(500, jitter=2), id="jitter"),
        pytest.param(grid(500, jitter=4), id="twice-the-jitter-of-captures"),
        pytest.param(grid(500, step=20 * 1438 / 1440), id="the-step-of-a-captured-call"),
        pytest.param(grid(500, step=20.02), id="a-clock-that-drifts"),
        pytest.param([0] * 500, id="no-timestamps-at-all"),
        pytest.param(grid(250) + grid(250), id="timestamps-that-begin-again"),
    ],
)
def test_what_is_no_gap_is_not_filled(timestamps):
    uplink, engine = heard_by_engine(timestamps)

    assert uplink.filled_ms == 0
    assert b"".join(engine.audio) == FRAME * 500


@pytest.mark.parametrize("jitter", [0, 2, 4])
@pytest.mark.parametrize("lost", [1, 2, 7, 50, 200])
@pytest.mark.parametrize("seed", range(5))
def test_each_lost_frame_is_filled_once(jitter, lost, seed):
    timestamps = grid(400, jitter=jitter, seed=seed)
    del timestamps[100 : 100 + lost]
    uplink, engine = heard_by_engine(timestamps)

    assert (uplink.gaps, uplink.filled_ms) == (1, 20 * lost)
    assert b"".join(engine.audio) == FRAME * 100 + SILENCE * 160 * lost + FRAME * (300 - lost)


def test_many_single_losses_are_each_filled():
    timestamps = [at for number, at in enumerate(grid(1000, jitter=2)) if number % 10 != 5]
    uplink, engine = heard_by_engine(timestamps)

    assert (uplink.gaps, uplink.filled_ms) == (100, 2000)
    assert sum(map(len, engine.audio)) == 1000 * 160


def test_a_jump_beyond_reason_is_filled_only_so_far():
    uplink, _ = heard_by_engine([0, 3_600_000, 3_600_020])

    assert uplink.filled_ms == 5000


def test_silence_sent_while_waiting_is_not_sent_again_when_frames_come():
    uplink, engine = heard_by_engine(grid(10))
    last_s = (155 + 9 * 20) / 1000
    for tenths in range(1, 6):
        uplink.fill_gap(engine, last_s + tenths / 10 + 0.001)
    before = uplink.filled_ms
    uplink.caller(Audio(FRAME, b"...", 155 + 10 * 20 + 1000, 0), engine, last_s + 1.02)

    assert before == 481 - 200
    assert uplink.filled_ms == 1000
    assert sum(map(len, engine.audio)) == (10 + 50 + 1) * 160


def test_frames_that_were_only_late_are_still_sent_and_later_gaps_filled():
    """A burst after a second of nothing: the engine got silence meanwhile; the frames are speech, so it gets them."""
    uplink, engine = heard_by_engine(grid(10))
    uplink.fill_gap(engine, (155 + 9 * 20) / 1000 + 1.0001)
    for at in grid(200)[10:100] + grid(200)[110:]:
        uplink.caller(Audio(FRAME, b"...", at, 0), engine, (at + 1000) / 1000)

    assert uplink.filled_ms == 980 + 200
    assert sum(map(len, engine.audio)) == 190 * 160 + 1180 * 8


@pytest.mark.parametrize("size", [1, 80, 159, 320, 800])
def test_frames_of_any_length_are_taken(size):
    timestamps = [round(n * size / 8) for n in range(200)]
    uplink, engine = heard_by_engine(timestamps, frame=b"\x80" * size)

    assert uplink.filled_ms == 0
    assert sum(map(len, engine.audio)) == 200 * size


def test_untouched_audio_keeps_its_text_and_silence_gets_one():
    uplink, engine = heard_by_engine([0, 40])

    assert engine.texts[0] == engine.texts[2] == b"..."
    assert base64.b64decode(engine.texts[1] or "") == engine.audio[1] == SILENCE * 160


def test_silence_goes_through_the_chain():
    uplink, engine = Uplink(plan(MULAW_8K, PCM16_16K).build()), Sink("pcm_s16le/16000/1")
    for at in (0, 20, 80, 100):
        uplink.caller(Audio(SILENCE * 160, b"...", at, 3 if at == 80 else 0), engine, 0.0)

    assert set(engine.texts) == {None}
    assert sum(map(len, engine.audio)) == pytest.approx(6 * 640, abs=200)
    assert uplink.missing == 3


@pytest.mark.parametrize(
    ("frame", "voiced"),
    [
        pytest.param(FRAME, True, id="loud"),
        pytest.param(SILENCE * 160, False, id="silence"),
        pytest.param(b"\x7f" * 160, False, id="negative-zero"),
        pytest.param(b"\x80" * 19 + SILENCE * 141, False, id="a-click"),
        pytest.param(b"\x80" * 20 + SILENCE * 140, True, id="an-eighth"),
    ],
)
def test_voice_is_noticed_and_timed(frame, voiced):
    uplink, _ = heard_by_engine([155], frame=frame)

    assert uplink.way.voiced_until_ms == (175 if voiced else NEVER)


def test_what_was_filled_too_much_is_neither_taken_back_nor_counted_off():
    """Frames were late by 400 ms and one was lost: the silence sent meanwhile covers that one."""
    uplink, engine = heard_by_engine(grid(10))
    uplink.fill_gap(engine, (155 + 9 * 20) / 1000 + 0.4201)
    for at in grid(20)[11:]:
        uplink.caller(Audio(FRAME, b"...", at, 0), engine, (at + 400) / 1000)

    assert (uplink.gaps, uplink.filled_ms) == (1, 400)
    assert sum(map(len, engine.audio)) == 19 * 160 + 400 * 8
