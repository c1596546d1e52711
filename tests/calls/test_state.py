from itertools import product

import pytest

from archer_bridge.calls.state import TRANSITIONS, allowed, sources
from archer_bridge.models import CallState

MOVES = {
    ("created", "connecting"),
    ("connecting", "active"),
    ("connecting", "created"),
    ("active", "created"),
    ("active", "ending"),
    ("created", "ended"),
    ("connecting", "ended"),
    ("active", "ended"),
    ("ending", "ended"),
}


@pytest.mark.parametrize(("source", "target"), list(product(CallState, CallState)))
def test_only_the_moves_of_the_drawing_are_allowed(source: CallState, target: CallState) -> None:
    assert ((source.value, target.value) in MOVES) == allowed(source, target)


@pytest.mark.parametrize("target", CallState)
def test_sources_is_the_table_read_backwards(target: CallState) -> None:
    assert {source for source in CallState if allowed(source, target)} == sources(target)


def test_every_state_has_a_line_and_the_end_has_no_way_out() -> None:
    assert set(CallState) == set(TRANSITIONS)
    assert frozenset() == TRANSITIONS[CallState.ENDED]
    assert all(allowed(state, CallState.ENDED) for state in CallState if state is not CallState.ENDED)


def test_the_table_cannot_be_changed() -> None:
    with pytest.raises(TypeError):
        TRANSITIONS[CallState.ENDED] = frozenset({CallState.ACTIVE})  # type: ignore[index]
