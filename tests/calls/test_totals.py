"""Sums over calls, turns and tools."""

from archer_bridge.calls.totals import CallTotals
from archer_bridge.models import CallEnd, Outcome, Turn


def test_a_call_without_numbers_is_counted() -> None:
    totals = CallTotals()
    totals.call_ended(CallEnd(Outcome.INTERNAL_ERROR, "a bug", None, {}))

    assert totals.ended == {"internal_error": 1}
    assert (totals.seconds.count, totals.seconds.total) == (0, 0.0)
    assert (totals.first_audio.count, totals.caller_gaps.count) == (0, 0)


def test_numbers_add_up() -> None:
    totals = CallTotals()
    numbers = {
        "first_heard_ms": 250.0, "gaps_filled_ms": 40.0, "frames_in": 10, "messages_out": 20, "frames_missing": 2,
        "stale_frames": 1, "bad_frames": {"not_json": 3},
    }  # fmt: skip
    for _ in range(2):
        totals.call_ended(CallEnd(Outcome.COMPLETED, "", 4000, numbers))

    assert totals.ended == {"completed": 2}
    assert (totals.seconds.total, totals.first_audio.total, totals.caller_gaps.total) == (8.0, 0.5, 0.08)
    assert totals.frames == {"in": 20, "out": 40}
    assert totals.dropped == {"stale": 2, "not_json": 6}
    assert totals.sequence_gaps == 4


def test_only_answers_have_latencies() -> None:
    totals = CallTotals()
    turn = Turn(1, "user", "Hi.", "Hi.", interrupted=False, engine_interrupted=False, started_ms=0.0, ended_ms=1.0,
                heard_ms=1.0, spoken_ms=1.0)  # fmt: skip
    totals.turn_heard(turn)

    assert totals.turns == {}


def test_tools_count_by_name_and_status() -> None:
    totals = CallTotals()
    totals.tool_answered("pay", "ok", 0.5)
    totals.tool_answered("pay", "ok", 0.25)
    totals.tool_answered("pay", "error", 1.0)

    assert {key: tally.total for key, tally in totals.tools.items()} == {("pay", "ok"): 0.75, ("pay", "error"): 1.0}
