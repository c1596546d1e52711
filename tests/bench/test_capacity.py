import math
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.bench.capacity import Climb, capacity_figures, halfway, settle, verdict, why_blind
from tests.bench.capacity_tables import capacity_goals, plot, show_capacity
from tests.bench.segment import Segment
from tests.bench.test_figures import segment
from tests.bench.variants import NAIVE, PASS, PCM_16000

GOOD, SLOW = segment(), segment(p99=31.0)
LOST, FULL = segment(lost="9 of 10 frames came back"), segment(p99=90.0, load=0.99, late=9.0)
LATE, CROWDED = segment(p99=31.0, late=8.0), segment(p99=31.0, waited=0.4)
ROBBED = segment(p99=31.0, stolen=0.05)


def row(calls: int, *, is_bound: bool = False) -> dict[str, Any]:
    point = {"calls": calls, "segments": 2, "blind": 1, "p50": 0.5, "p99": 3.0, "load": 0.4}
    return {"calls": calls, "is_bound": is_bound, "failed_at": 2 * calls, "why": "p99 31.0 ms", "points": [point]}


def climb(**values: Any) -> Climb:
    return Climb(variant=None, **values)  # type: ignore[arg-type]  # no process here


@pytest.mark.parametrize(
    ("results", "expected"),
    [
        pytest.param([], None, id="nothing"),
        pytest.param([GOOD], None, id="one is too few"),
        pytest.param([GOOD, GOOD], True, id="two good"),
        pytest.param([SLOW, LOST], False, id="two bad"),
        pytest.param([GOOD, SLOW], None, id="they differ"),
        pytest.param([GOOD, SLOW, GOOD], True, id="two of three"),
        pytest.param([SLOW, GOOD, FULL], False, id="two of three are bad"),
        pytest.param([LATE, CROWDED, ROBBED, LATE], None, id="none counts"),
        pytest.param([LATE, GOOD, CROWDED, GOOD], True, id="two count"),
    ],
)
def test_two_of_three_segments_decide(results: list[Segment], expected: bool | None) -> None:
    assert verdict(results) is expected


@pytest.mark.parametrize(
    ("result", "expected"),
    [
        pytest.param(LATE, "the generator was 8.0 ms late", id="late"),
        pytest.param(CROWDED, "the bridge or the engine waited for a core 40.0% of the time", id="crowded"),
        pytest.param(ROBBED, "the machine's host kept back 5% of a core", id="steal"),
        pytest.param(segment(stolen=0.05), "", id="held although the host kept cores back"),
        pytest.param(FULL, "", id="a full core is the bridge's own"),
        pytest.param(SLOW, "", id="slow"),
        pytest.param(segment(late=8.0), "", id="held although the generator was late"),
    ],
)
def test_what_is_not_held_against_a_bridge(result: Segment, expected: str) -> None:
    assert why_blind(result) == expected


def test_a_bad_step_ends_the_climb() -> None:
    one = climb(good=40, points={50: [GOOD, SLOW, LOST]})
    settle(one, 50, False)

    assert (one.good, one.bad, one.why, one.is_bound) == (40, 50, "p99 31.0 ms", False)


def test_a_blind_step_makes_a_bound() -> None:
    one = climb(good=40, points={50: [LATE] * 6})
    settle(one, 50, None)

    assert (one.good, one.bad, one.why, one.is_bound) == (40, 50, "the generator was 8.0 ms late", True)


@pytest.mark.parametrize(
    ("good", "bad", "is_bound", "expected"),
    [
        pytest.param(100, 150, False, 125, id="between"),
        pytest.param(100, 108, False, 0, id="near"),
        pytest.param(100, 150, True, 0, id="the generator's end"),
        pytest.param(800, 0, False, 0, id="it never failed"),
    ],
)
def test_one_more_step_halfway(good: int, bad: int, is_bound: bool, expected: int) -> None:
    assert halfway(climb(good=good, bad=bad, is_bound=is_bound)) == expected


def test_ratios_to_the_naive_bridge() -> None:
    goals = capacity_goals({NAIVE: row(50), PASS: row(200), PCM_16000: row(140)})

    assert [values[0] for values in goals.values()] == [4.0, 2.8]


@pytest.mark.parametrize("rows", [{PASS: row(200)}, {PASS: row(200), NAIVE: row(50, is_bound=True)}])
def test_a_bound_is_no_divisor(rows: dict[str, Any]) -> None:
    assert all(math.isnan(values[0]) for values in capacity_goals(rows).values())


@pytest.mark.parametrize(("calls", "decides"), [(200, True), (140, False)])
def test_the_product_s_bound_decides_only_above_the_goal(calls: int, decides: bool) -> None:
    ratio, *_ = capacity_goals({NAIVE: row(50), PASS: row(calls, is_bound=True)})["calls a core, passthrough / naive"]

    assert math.isnan(ratio) is not decides


def test_nothing_held_and_nothing_counted_is_not_measured() -> None:
    assert f"| {NAIVE} | not measured |" in show_capacity({"capacity": {NAIVE: row(0, is_bound=True)}})


def test_the_table_names_bounds_and_ends() -> None:
    shown = show_capacity({"capacity": {NAIVE: row(50), PASS: row(200, is_bound=True)}})

    assert f"| {NAIVE} | 50 | 100 calls: p99 31.0 ms | 1 |" in shown
    assert f"| {PASS} | at least 200 | 400 calls: p99 31.0 ms | 1 |" in shown


def test_a_step_is_the_median_of_what_counts() -> None:
    one = climb(good=10, points={10: [segment(p99=2.0), LATE, segment(p99=4.0)]})
    one.variant = type("Named", (), {"name": PASS})()
    (point,) = capacity_figures([one])["capacity"][PASS]["points"]

    assert (point["p99"], point["segments"], point["blind"]) == (3.0, 2, 1)


@pytest.mark.parametrize("name", ["bench.svg", "bench.png"])
def test_a_plot_is_drawn(tmp_path: Path, name: str) -> None:
    pytest.importorskip("matplotlib")

    assert plot({"capacity": {PASS: row(200), NAIVE: row(50)}, "machine": "here"}, tmp_path / name)
    assert (tmp_path / name).stat().st_size > 1000


def test_without_matplotlib_it_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)

    assert not plot({"capacity": {}, "machine": "here"}, tmp_path / "bench.svg")
    assert "SKIPPED" in capsys.readouterr().err
