import sys
from collections import Counter
from collections.abc import Callable

import pytest

from archer_bridge.calls import lanes
from archer_bridge.calls.speech import STALE_AFTER_CLEAR_S
from archer_bridge.models import ToolRequest
from archer_bridge.ports import (
    EngineClear,
    EngineDigit,
    EngineFault,
    EngineIgnored,
    EngineReady,
    ToolCalled,
    TurnEnded,
    TurnStarted,
)
from archer_bridge.protocols import scan
from tests.support.core_rig import Rig

SPEAKS = TurnStarted(1, "assistant")
CUT = TurnEnded(1, "assistant", "", interrupted=True)


def talking(rig: Rig, seconds: float = 1.0) -> Rig:
    """An agent in the middle of a turn whose audio has all been given."""
    rig.does(SPEAKS, rig.audio(b"a" * round(8000 * seconds)))
    rig.run(1600)
    return rig


# ---- barge-in


def test_a_barge_in_is_a_new_generation_then_a_clear_and_nothing_of_the_old_turn_after_it():
    rig = talking(Rig())
    rig.clear()
    old = rig.audio(b"o" * 320)
    rig.does(old, old, CUT, old)
    rig.run(8000)
    after = rig.kinds[rig.kinds.index("clear") :]

    assert after == ["clear"]
    assert rig.playout.generation == 1
    assert rig.core.speech.stale_frames == 3
    assert ("barged_in", pytest.approx(800, abs=20)) in rig.engine.seen


def test_from_the_engines_clear_to_the_clear_on_the_wire_nothing_is_awaited():
    rig = talking(Rig())
    rig.core.on_engine(EngineClear())  # no loop runs here: whatever is written now was written at once

    assert rig.kinds[-1] == "clear"


@pytest.mark.parametrize(
    ("events", "clears", "barge_ins"),
    [
        pytest.param(0, 0, 0, id="while-everything-is-proved-heard"),
        pytest.param(1, 1, 1, id="once"),
        pytest.param(2, 1, 1, id="the-second-finds-nothing-new"),
    ],
)
def test_clears_are_sent_for_unheard_audio_and_only_then(events, clears, barge_ins):
    rig = Rig()
    rig.turn(1, b"a" * 8000)
    if events == 0:
        rig.run(9000)
        rig.clear()
    for _ in range(events):
        rig.run(400)
        rig.clear()

    assert rig.kinds.count("clear") == clears
    assert rig.core.speech.barge_ins == barge_ins


def test_nobody_is_deaf_while_an_echo_is_missing():
    """Audio that has played by the clock and was not proved: the clear goes out, though nothing is cut."""
    rig = Rig()
    rig.lose_marks()
    rig.turn(1, b"a" * 800)
    rig.run(8000)
    rig.clear()

    assert rig.kinds[-1] == "clear"
    assert (rig.core.speech.barge_ins, rig.cuts) == (0, [800])
    assert (rig.turns[0].heard_ms, rig.turns[0].interrupted) == (100, False)


def test_two_barge_ins_within_300_ms_cut_both_turns():
    rig = talking(Rig())
    rig.clear()
    rig.does(CUT)
    rig.does(TurnStarted(2, "assistant"), rig.audio(b"b" * 8000))
    rig.run(2400)
    rig.clear()
    rig.does(TurnEnded(2, "assistant", "", interrupted=True))

    assert rig.kinds.count("clear") == 2
    assert [(turn.number, turn.heard_ms, turn.interrupted) for turn in rig.turns] == [(1, 200, True), (2, 300, True)]


@pytest.mark.parametrize(
    ("between", "wait_s", "heard"),
    [
        pytest.param([CUT], 0.0, 0, id="the-cut-turn-ended-no-new-one"),
        pytest.param([CUT, TurnStarted(2, "user")], 0.5, 0, id="the-callers-turn"),
        pytest.param([CUT, TurnStarted(2, "assistant")], 0.0, 320, id="a-new-turn"),
        pytest.param([TurnStarted(2, "assistant")], 0.0, 320, id="a-new-turn-the-old-one-never-ended"),
        pytest.param([], STALE_AFTER_CLEAR_S - 0.1, 0, id="no-news-for-long"),
        pytest.param([], STALE_AFTER_CLEAR_S + 0.1, 320, id="no-news-for-too-long"),
    ],
)
def test_late_audio_is_dropped_and_a_new_turn_is_not(between, wait_s, heard):
    rig = talking(Rig())
    rig.clear()
    rig.does(*between)
    rig.run(round(8000 * wait_s))
    rig.does(rig.audio(b"n" * 320))
    rig.run(8000)

    assert rig.buffer.heard(8000, 16000) == heard
    assert rig.core.speech.stale_frames == (heard == 0)


def test_a_clear_between_turns_mutes_nothing():
    rig = Rig()
    rig.turn(1, b"a" * 800)
    rig.run(8000)
    rig.clear()
    rig.does(rig.audio(b"b" * 320))

    assert rig.core.speech.stale_frames == 0
    assert rig.playout.accepted == 1120


@pytest.mark.parametrize("audio_format", ["pcm_16000", "pcm_24000", "pcm_44100"])
def test_the_filters_start_afresh_after_a_barge_in(audio_format):
    """Not a sample of the old turn rings on in the new one, even if a sample was cut in half."""
    line = bytes(range(256)) * 40
    interrupted, fresh = Rig(audio_format), Rig(audio_format)
    interrupted.does(SPEAKS, interrupted.audio(b"\x11\x7f" * 3000 + b"\x11"))
    interrupted.clear()
    start = len(interrupted.accepted)
    for rig in (interrupted, fresh):
        rig.turn(2, line)

    assert fresh.accepted
    assert fresh.accepted == interrupted.accepted[start:]


# ---- fillers


def test_a_filler_gives_way_to_the_agent_and_is_no_barge_in():
    rig = Rig()
    rig.core.speech.play_filler(b"f" * 3200, rig.seconds)
    rig.run(800)
    rig.turn(1, b"a" * 800)
    rig.run(8000)

    assert rig.cuts == [800]
    assert rig.core.speech.barge_ins == 0
    assert (rig.turns[0].spoken_ms, rig.turns[0].heard_ms, rig.turns[0].interrupted) == (100, 100, False)


def test_a_filler_within_a_turn_is_not_the_turns():
    rig = Rig()
    rig.does(SPEAKS, rig.audio(b"a" * 800))
    rig.run(4000)
    rig.core.speech.play_filler(b"f" * 3200, rig.seconds)
    rig.run(800)
    rig.does(rig.audio(b"b" * 800))
    rig.does(TurnEnded(1, "assistant", "all of it", interrupted=False))
    rig.run(8000)

    assert (rig.turns[0].spoken_ms, rig.turns[0].heard_ms) == (200, 200)
    assert (rig.turns[0].heard_text, rig.turns[0].interrupted) == ("all of it", False)


def test_a_filler_is_cut_by_the_caller_too():
    rig = Rig()
    rig.core.speech.play_filler(b"f" * 3200, rig.seconds)
    rig.run(800)
    rig.clear()

    assert rig.kinds[-1] == "clear"


# ---- ends


def test_the_agents_leaving_marks_what_it_left():
    rig = Rig("pcm_16000")
    rig.does(SPEAKS, rig.audio(bytes(6400)))
    rig.run(400)
    rig.core.engine_gone()
    rig.run(4000)

    assert len(rig.accepted) == 1600  # with what the filters held back
    assert not rig.playout.has_unheard


def test_what_plays_after_the_callers_last_frame_is_not_heard():
    rig = Rig()
    rig.does(SPEAKS, rig.audio(b"a" * 8000))
    for number in range(10):
        rig.run(160)
        rig.frame(150 + 20 * number)
    rig.run(80)
    rig.say({"event": "stop"})
    rig.run(8000)  # what the rig's Twilio does now, no real one does: it goes on playing, and echoes

    assert rig.playout.heard_total(rig.seconds) == pytest.approx(10 * 160 + 80, abs=1)
    assert rig.engine.seen[-1] == "stopped"


def test_after_the_outcome_nothing_is_heard_that_is_not_in_the_record():
    """The engine goes on talking while the record is being written."""
    rig = talking(Rig())
    rig.core.speech.finish(rig.seconds)
    rig.transcript.settle(rig.seconds, final=True)
    rig.does(rig.audio(b"o" * 320), CUT, TurnStarted(2, "assistant"), rig.audio(b"n" * 320))
    rig.does(TurnEnded(2, "assistant", "more", interrupted=False))
    rig.run(8000)

    assert rig.kinds[-1] == "clear"
    assert rig.buffer.heard(0, 16000) == 1600
    assert [(turn.number, turn.heard_ms, turn.interrupted) for turn in rig.turns] == [(1, 200, True)]


def test_everything_that_is_not_audio_is_handed_on():
    rig = Rig()
    called = ToolCalled(ToolRequest("t1", "tool", {}))
    fault = EngineFault("agent_failed", "x", fatal=False)
    rig.does(EngineReady("s"), called, EngineDigit("5"), fault, EngineIgnored("new"))
    rig.say({"event": "dtmf", "dtmf": {"digit": "7", "track": "inbound_track"}})
    rig.say({"event": "new"})

    assert rig.engine.seen == [("ready", "s"), called, ("engine_digit", "5"), fault, ("digit", "7")]
    assert (rig.core.ignored_events, rig.core.digits) == (2, 1)


def test_unusable_messages_are_counted_and_too_many_reported_once():
    rig = Rig()
    for _ in range(4):
        rig.core.on_caller("nonsense")
    rig.say({"event": "start", "start": {}})

    assert rig.core.bad_frames["not_json"] == 4
    assert [seen[0] for seen in rig.engine.seen] == ["bad"]


def test_a_key_pressed_while_the_agent_speaks_changes_nothing_for_the_audio():
    rig = talking(Rig())
    rig.say({"event": "dtmf", "dtmf": {"digit": "1", "track": "inbound_track"}})
    rig.run(16000)

    assert rig.engine.seen == [("digit", "1")]
    assert rig.buffer.heard(0, 8000) == 8000


# ---- caller gaps


def test_silence_takes_the_place_of_frames_that_do_not_come_and_marks_do_not_hide_it():
    rig = Rig()
    rig.turn(1, b"a" * 32000)
    for number in range(10):
        rig.run(160)
        rig.frame(150 + 20 * number)
    for _ in range(10):  # a second without audio; marks come meanwhile
        rig.run(800)
        rig.core.fill_caller_gap(rig.seconds)
    rig.frame(150 + 200 + 1000 - 20)

    assert sum(map(len, rig.engine.audio)) == 11 * 160 + (1000 - 20) * 8
    assert rig.uplink.filled_ms == 980


# ---- cost


def calls_per_frame(work: Callable[[], None], frames: int) -> Counter[str]:
    """Count Python function calls in archer_bridge."""
    calls: Counter[str] = Counter()

    def note(frame, event, _):
        if event == "call" and "/archer_bridge/" in frame.f_code.co_filename:
            calls[frame.f_code.co_qualname] += 1

    sys.setprofile(note)
    try:
        work()
    finally:
        sys.setprofile(None)
    return Counter({name: round(count / frames, 2) for name, count in calls.items()})


def test_a_frame_costs_a_few_calls_and_no_task():
    """Passthrough, 1,000 frames each way; no event loop runs, so that there is nothing to make a task or future on.

    Where lanes are compiled a frame is none of Python's business, but for the rig's clock and ear. Otherwise the
    caller's takes on_caller, receive, _caller_audio, Uplink.caller and what looks at its audio; the engine's takes
    on_engine, _play, Downlink.play, pass_on, _open_lane, _book and _note, because the rig listens. Marks are not in it.
    """
    rig = Rig(mark_every_ms=10_000_000)
    frame = b"\x80" * 160
    rig.does(SPEAKS, rig.audio(frame))
    messages = [rig.caller_message(20 * number, frame) for number in range(1000)]
    audio = rig.audio(frame)

    def from_caller() -> None:
        for message in messages:
            rig.core.caller_sink(message)

    def from_engine() -> None:
        for _ in range(1000):
            rig.now += 160
            rig.core.engine_sink(audio)

    inbound, outbound = calls_per_frame(from_caller, 1000), calls_per_frame(from_engine, 1000)

    assert sum(inbound.values()) <= (0.1 if lanes.is_compiled and scan.is_compiled else 7.1), inbound
    assert sum(outbound.values()) <= (0.2 if lanes.is_compiled else 8.5), outbound


def test_audio_that_is_not_what_it_claims_is_told_once_and_the_call_goes_on() -> None:
    rig = Rig()
    header = b"RIFF" + (1000).to_bytes(4, "little") + b"WAVEfmt "

    for number in range(20):
        rig.does(rig.audio((header if number == 0 else b"") + bytes(range(1, 161))))

    found = [item for item in rig.engine.seen if isinstance(item, tuple) and item[0] == "wrong_format"]
    assert [side for _, side, _ in found] == ["engine"]
    assert "mulaw/8000/1" in found[0][2]
    assert len(rig.accepted) > 3000
