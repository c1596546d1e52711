"""No sequence of requests, hang-ups and crashes gets round the policy; the long run is tests/prove/hostile_tools.py."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from archer_bridge.devkit.virtual_time import run
from tests.prove.hostile_tools import sequence
from tests.support.hostile import HostileWorld, play
from tests.support.hostile_requests import CHARGES, CRAFTED, DETAILS, NAMES, PAYMENTS

ARGUMENTS = st.one_of(
    st.sampled_from([*DETAILS, *PAYMENTS, *CHARGES, *CRAFTED]),
    st.dictionaries(st.text(max_size=8), st.one_of(st.text(max_size=8), st.integers(), st.none(), st.booleans())),
)
FITTING = st.one_of(
    st.tuples(st.just("verify_account"), st.sampled_from(DETAILS)),
    st.tuples(st.just("get_customer_options"), st.just({})),
    st.tuples(st.just("process_payment"), st.sampled_from(PAYMENTS)),
    st.tuples(st.just("charge"), st.sampled_from(CHARGES)),
)
ASK = st.one_of(FITTING, st.tuples(st.sampled_from(NAMES), ARGUMENTS)).flatmap(
    lambda asked: st.tuples(st.just("ask"), st.just(asked[0]), st.just(asked[1]), st.booleans())
)
STEP = st.one_of(
    ASK,
    ASK,
    ASK,
    st.tuples(st.just("wait"), st.sampled_from([0.0, 0.005, 0.02, 2.0, 12.0])),
    st.tuples(st.just("call"), st.integers(0, 3)),
    st.just(("hang_up",)),
    st.just(("crash",)),
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.integers(0, 3), st.lists(STEP, max_size=25))
def test_whatever_the_agent_asks_policy_holds(customer, steps):
    async def scenario() -> list[str]:
        world = HostileWorld()
        await world.new_call(customer)
        for step in steps:
            await play(world, step)
        await world.settle()
        return world.problems

    assert run(scenario(), max_speed=1e9) == []


@pytest.mark.parametrize("seed", range(25))
def test_a_seeded_sequence_holds(seed):
    problems, _ = run(sequence(seed), max_speed=1e9)

    assert problems == []
