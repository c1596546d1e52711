"""When new calls are held back from an engine in trouble, and when one may try again."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from archer_bridge.calls.breaker import TRIAL_S, Breaker, BreakerState

CLOSED, OPEN, HALF = BreakerState.CLOSED, BreakerState.OPEN, BreakerState.HALF_OPEN


class Bench:
    """A breaker with its clock in the test's hand."""

    def __init__(self, failures: int = 3) -> None:
        self.now = 100.0
        self.told: list[BreakerState] = []
        self.breaker = Breaker(
            failures=failures, open_s=10.0, clock=lambda: self.now, tell=lambda state, why: self.told.append(state)
        )

    def fail(self, times: int = 1, status: int | None = None) -> None:
        for _ in range(times):
            self.breaker.failed(status, "no answer")


@pytest.mark.parametrize(
    ("failures", "times", "status", "state"),
    [
        pytest.param(3, 2, None, CLOSED, id="few"),
        pytest.param(3, 3, None, OPEN, id="enough"),
        pytest.param(3, 3, 503, OPEN, id="enough-refusals"),
        pytest.param(3, 1, 429, OPEN, id="too-many-calls"),
        pytest.param(3, 1, 401, OPEN, id="bad-key"),
        pytest.param(3, 1, 402, OPEN, id="no-money"),
        pytest.param(3, 1, 1011, CLOSED, id="one-close"),
        pytest.param(0, 50, 401, CLOSED, id="switched-off"),
    ],
)
def test_what_opens_it(failures: int, times: int, status: int | None, state: BreakerState) -> None:
    bench = Bench(failures)
    bench.fail(times, status)

    assert bench.breaker.state is state
    assert bench.breaker.admits("CA1") == (state is CLOSED)
    assert bench.told == [OPEN] * (state is OPEN)


def test_a_success_in_between_begins_the_count_again() -> None:
    bench = Bench()
    for _ in range(5):
        bench.fail(2)
        bench.breaker.succeeded()

    assert bench.breaker.state is CLOSED
    assert bench.told == []


def test_after_a_while_one_call_tries_for_all() -> None:
    bench = Bench()
    bench.fail(3)
    bench.now += 9.9
    still_open = bench.breaker.admits("CA1")
    bench.now += 0.1
    admitted = [bench.breaker.admits(sid) for sid in ("CA1", "CA2", "CA1", "CA3")]
    bench.breaker.succeeded()

    assert not still_open
    assert admitted == [True, False, True, False]
    assert bench.breaker.admits("CA2")
    assert bench.told == [OPEN, CLOSED]


def test_a_trial_that_fails_opens_it_again_for_the_whole_time() -> None:
    bench = Bench()
    bench.fail(3)
    bench.now += 10
    assert bench.breaker.admits("CA1")
    bench.fail()
    bench.now += 9.9

    assert bench.breaker.state is OPEN
    assert (bench.breaker.opened, bench.told) == (2, [OPEN, OPEN])


def test_a_trial_that_never_reaches_the_engine_makes_room_for_another() -> None:
    bench = Bench()
    bench.fail(3)
    bench.now += 10
    assert bench.breaker.admits("CA1")
    bench.now += TRIAL_S

    assert [bench.breaker.admits(sid) for sid in ("CA2", "CA1")] == [True, False]


def test_failures_of_calls_on_the_line_do_not_keep_it_open_for_longer() -> None:
    bench = Bench()
    bench.fail(3)
    bench.now += 5
    bench.fail(10)
    bench.now += 5

    assert bench.breaker.state is HALF


@given(st.lists(st.sampled_from(["fail", "429", "ok", "ask", "1s", "11s"]), max_size=60))
def test_whatever_happens_a_sound_engine_gets_its_calls_back(history: list[str]) -> None:
    bench = Bench()
    for number, event in enumerate(history):
        match event:
            case "fail":
                bench.fail()
            case "429":
                bench.fail(status=429)
            case "ok":
                bench.breaker.succeeded()
            case "ask":
                before = bench.breaker.state
                assert bench.breaker.admits(f"CA{number}") <= (before is not OPEN)
            case _:
                bench.now += float(event.rstrip("s"))
    bench.now += 10 + TRIAL_S

    assert bench.breaker.admits("CA-last")
    bench.breaker.succeeded()
    assert bench.breaker.state is CLOSED
