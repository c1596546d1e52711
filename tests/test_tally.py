"""Counts in buckets."""

from hypothesis import given
from hypothesis import strategies as st

from archer_bridge.tally import Tally


def test_a_value_counts_from_its_bound_on() -> None:
    tally = Tally((1.0, 2.0))
    for value in (0.5, 1.0, 1.5, 9.0):
        tally.observe(value)

    assert tally.buckets() == [("1.0", 2.0), ("2.0", 3.0), ("+Inf", 4.0)]
    assert (tally.count, tally.total) == (4, 12.0)


@given(st.lists(st.floats(0, 100)))
def test_buckets_count_everything_once(values: list[float]) -> None:
    tally = Tally()
    for value in values:
        tally.observe(value)

    assert [sum(value <= bound for value in values) for bound in tally.bounds] == [n for _, n in tally.buckets()[:-1]]
    assert len(values) == tally.buckets()[-1][1]
