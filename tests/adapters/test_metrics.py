"""The metrics as Prometheus reads them: each one moves with what it measures."""

from collections import Counter
from collections.abc import Callable

import pytest
from prometheus_client import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from archer_bridge.adapters.metrics import Sources, registry_of
from archer_bridge.adapters.vitals import Pulse, Vitals
from archer_bridge.calls.breaker import BreakerState
from archer_bridge.calls.registry import LiveCalls
from archer_bridge.models import CallEnd, Outcome, Turn
from archer_bridge.ports import StoreStats
from archer_bridge.tally import Tally

Samples = dict[str, float]


class Board:
    """Everything the metrics are read from, to be changed by a case."""

    def __init__(self) -> None:
        self.live = LiveCalls(7)
        self.vitals = Vitals(pulse=Pulse())
        self.refusals: Counter[tuple[str, str]] = Counter()
        self.commits = Tally()
        self.store = {"queue_depth": 0, "batches": 0, "rows": 0, "dropped": 0, "is_available": True}
        self.more: dict[str, object] = {}

    def scrape(self) -> Samples:
        store = StoreStats(**self.store, commit_seconds=self.commits)  # type: ignore[arg-type]  # a table of cases
        sources = Sources(self.live, self.refusals, store, self.vitals, **self.more)  # type: ignore[arg-type]  # same
        return {
            sample.name + "".join(f"|{value}" for _, value in sorted(sample.labels.items())): sample.value
            for family in text_string_to_metric_families(generate_latest(registry_of(sources)).decode())
            for sample in family.samples
        }


def ended(board: Board, outcome: Outcome = Outcome.COMPLETED, **numbers: object) -> None:
    board.live.note_end(CallEnd(outcome, "", 1500, numbers))


def heard(board: Board) -> None:
    turn = Turn(
        number=1, role="assistant", text="Hi.", heard_text="Hi.", interrupted=False, engine_interrupted=False,
        started_ms=0.0, ended_ms=1.0, heard_ms=1.0, spoken_ms=1.0, response_ms=700.0, engine_ms=600.0, bridge_ms=100.0,
    )  # fmt: skip
    board.live.totals.turn_heard(turn)


def late(board: Board) -> None:
    assert board.vitals.pulse is not None
    board.vitals.pulse.lag.observe(0.3)


CASES: list[tuple[Callable[[Board], object], str, float]] = [
    (lambda b: b.live.reserve("CA1"), "bridge_calls_active", 1),
    (lambda b: setattr(b.live, "capacity", 9), "bridge_capacity", 9),
    (lambda b: b.live.drain(), "bridge_draining", 1),
    (ended, "bridge_calls_total|completed", 1),
    (lambda b: ended(b, Outcome.VENDOR_LOST), "bridge_calls_total|vendor_lost", 1),
    (ended, "bridge_call_duration_seconds_sum", 1.5),
    (ended, "bridge_call_duration_seconds_bucket|5.0", 1),
    (lambda b: setattr(b.vitals, "orphans", 3), "bridge_orphans_recovered_total", 3),
    (heard, "bridge_turn_latency_seconds_sum|total", 0.7),
    (heard, "bridge_turn_latency_seconds_sum|agent", 0.6),
    (heard, "bridge_turn_latency_seconds_sum|bridge", 0.1),
    (lambda b: ended(b, first_heard_ms=400.0), "bridge_first_audio_seconds_sum", 0.4),
    (lambda b: ended(b, gaps_filled_ms=250.0), "bridge_audio_gap_seconds_sum", 0.25),
    (lambda b: ended(b, frames_in=50), "bridge_frames_total|in", 50),
    (lambda b: ended(b, messages_out=40), "bridge_frames_total|out", 40),
    (lambda b: ended(b, stale_frames=2), "bridge_frames_dropped_total|stale", 2),
    (lambda b: ended(b, bad_frames={"not_json": 4}), "bridge_frames_dropped_total|not_json", 4),
    (lambda b: ended(b, frames_missing=6), "bridge_sequence_gaps_total", 6),
    (lambda b: b.vitals.vendor_connects.observe(0.2), "bridge_vendor_connect_seconds_count", 1),
    (lambda b: b.vitals.vendor_errors.update(["429"]), "bridge_vendor_errors_total|429", 1),
    (lambda b: b.more.update(reconnects=2), "bridge_vendor_reconnects_total", 2),
    (lambda b: b.more.update(breaker=BreakerState.HALF_OPEN), "bridge_breaker_state", 1),
    (lambda b: b.more.update(breaker=BreakerState.OPEN), "bridge_breaker_state", 2),
    (lambda b: b.live.totals.tool_answered("pay", "ok", 0.3), "bridge_tool_duration_seconds_sum|ok|pay", 0.3),
    (lambda b: setattr(b.vitals, "unknown_tools", 1), "bridge_tool_unknown", 1),
    (lambda b: b.refusals.update([("webhook", "signature")]), "bridge_auth_rejects_total|webhook|signature", 1),
    (lambda b: b.more.update(unproved=5), "bridge_sockets_unproved", 5),
    (lambda b: b.vitals.webhooks["incoming", 200].observe(0.1), "bridge_webhook_seconds_count|200|incoming", 1),
    (lambda b: b.store.update(queue_depth=8), "bridge_db_queue_depth", 8),
    (lambda b: b.store.update(is_available=False), "bridge_db_available", 0),
    (lambda b: b.store.update(rows=11), "bridge_db_rows_total", 11),
    (lambda b: b.store.update(dropped=12), "bridge_db_rows_dropped_total", 12),
    (lambda b: b.commits.observe(0.02), "bridge_db_commit_seconds_count", 1),
    (late, "bridge_loop_lag_seconds_bucket|0.5", 1),
]


@pytest.mark.parametrize(("change", "sample", "value"), [pytest.param(*case, id=case[1]) for case in CASES])
async def test_it_moves(change: Callable[[Board], object], sample: str, value: float) -> None:
    board = Board()
    before = board.scrape().get(sample)
    change(board)
    after = board.scrape().get(sample)

    assert before != after
    assert value == after


async def test_every_metric_has_a_case() -> None:
    moved = {sample.partition("|")[0] for _, sample, _ in CASES}
    told = {name.partition("|")[0] for name in Board().scrape() if name.startswith("bridge_")}
    always = {"bridge_info", "bridge_tasks"}
    families = {name.removesuffix("_bucket").removesuffix("_sum").removesuffix("_count") for name in told | moved}

    assert (
        families - {name.removesuffix("_bucket").removesuffix("_sum").removesuffix("_count") for name in moved}
        == always
    )


async def test_tasks_are_counted() -> None:
    assert Board().scrape()["bridge_tasks"] >= 1


async def test_the_process_itself_is_told() -> None:
    assert Board().scrape()["process_open_fds"] > 0


def test_outside_a_loop_there_are_no_tasks() -> None:
    board = Board.__new__(Board)
    board.live, board.vitals, board.refusals, board.commits = LiveCalls(1), Vitals(), Counter(), Tally()
    board.store = {"queue_depth": 0, "batches": 0, "rows": 0, "dropped": 0, "is_available": True}
    board.more = {}

    assert board.scrape()["bridge_tasks"] == 0
