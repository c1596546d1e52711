import math
from typing import Any

import pytest

from tests.bench.figures import counting, goal_rows, median_and_range, ratio, verdict
from tests.bench.segment import Segment

NAN = float("nan")


def segment(us: float = 100.0, **values: Any) -> Segment:
    return Segment(
        **{"us": us, "p50": 1.0, "p99": 2.0, "load": 0.2, "late": 0.5, "audio": 1.0, "waited": 0.0, **values}
    )


def test_median_and_tenths() -> None:
    assert median_and_range([*range(1, 12)]) == (6, 2, 10)


def test_one_value_is_its_own_range() -> None:
    assert median_and_range([3.0]) == (3.0, 3.0, 3.0)


def test_no_value_is_not_a_number() -> None:
    assert all(math.isnan(value) for value in median_and_range([]))


def test_ratios_are_made_within_rounds() -> None:
    """The machine was twice as slow in the second round; the ratio is the same."""
    rounds = [{"a": segment(100), "b": segment(50)}, {"a": segment(200), "b": segment(100)}]

    assert ratio(rounds, "a", "b", "us") == (2.0, 2.0, 2.0)


def test_a_round_without_both_gives_no_ratio() -> None:
    rounds = [{"a": segment(100), "b": segment(50)}, {"a": segment(700)}, {"b": segment(1)}]

    assert ratio(rounds, "a", "b", "us") == (2.0, 2.0, 2.0)


def test_rejected_segments_are_left_out() -> None:
    assert counting([{"a": segment(rejected="late"), "b": segment(7)}]) == [{"b": segment(7)}]


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        pytest.param((1.9, 1.8, 2.4, 2.0), "met", id="below"),
        pytest.param((2.2, 2.1, 2.4, 2.0), "within the noise", id="less than 15 % above"),
        pytest.param((2.6, 1.9, 2.9, 2.0), "within the noise", id="the best tenth is below"),
        pytest.param((2.6, 2.4, 2.9, 2.0), "not met", id="above"),
        pytest.param((NAN, NAN, NAN, 2.0), "not measured", id="nothing"),
    ],
)
def test_a_goal_of_at_most(values: tuple[float, float, float, float], expected: str) -> None:
    assert verdict(*values) == expected


@pytest.mark.parametrize(
    ("median", "expected"), [(3.1, "met"), (2.7, "within the noise"), (2.0, "not met"), (NAN, "not measured")]
)
def test_a_goal_of_at_least(median: float, expected: str) -> None:
    assert verdict(median, median, median, 3.0, at_least=True) == expected


def test_a_goal_is_one_row() -> None:
    assert goal_rows({"a / b": (0.25, 0.2, 0.3, 0.3)}) == ["| a / b | <= 0.3 | 0.25 | 0.20..0.30 | met |"]
