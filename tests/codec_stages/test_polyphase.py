from itertools import permutations

import numpy as np
import pytest

from archer_codecs import RATES
from archer_codecs.polyphase import SCALE_BITS, table_for
from archer_codecs.prototype import Phase

EVERY = [(source, sink, phase) for source, sink in permutations(RATES, 2) for phase in ("linear", "minimum")]


@pytest.mark.parametrize(("source", "sink", "phase"), EVERY)
def test_every_output_sums_exactly(source: int, sink: int, phase: Phase) -> None:
    weights = table_for(source, sink, phase).weights
    whole = weights * (1 << SCALE_BITS)
    worst = np.abs(whole).sum(axis=1).max() * 32768

    assert np.array_equal(whole, np.rint(whole))
    assert worst < 2**53
    assert np.array_equal(whole.sum(axis=1), np.full(whole[:, 0].shape, 1 << SCALE_BITS))


@pytest.mark.parametrize(("source", "sink", "phase"), EVERY)
def test_every_output_of_a_block_looks_just_as_far_as_promised(source: int, sink: int, phase: Phase) -> None:
    table = table_for(source, sink, phase)
    group = table.block_out // table.groups
    for output in range(table.block_out):
        column = np.flatnonzero(table.weights[output // group, :, output % group])
        newest = (output * table.down + table.offset) // table.up
        first = output // group * table.hop - table.behind
        assert newest - table.behind <= first + column[0]
        assert first + column[-1] <= newest + table.ahead
    assert table.block_in * table.up == table.block_out * table.down


@pytest.mark.parametrize(("source", "sink"), list(permutations(RATES, 2)))
def test_the_look_ahead_is_the_delay(source: int, sink: int) -> None:
    assert table_for(source, sink, "linear").ahead / source * 1000 <= 1.91
    assert table_for(source, sink, "minimum").ahead == 0


@pytest.mark.parametrize(("source", "sink"), list(permutations(RATES, 2)))
def test_tables_are_small(source: int, sink: int) -> None:
    table = table_for(source, sink, "linear")
    simple = max(table.up, table.down) <= 6

    assert table.weights.nbytes <= (20 if simple else 288) * 1024


def test_tables_are_made_once() -> None:
    assert table_for(8000, 16000, "linear") is table_for(8000, 16000, "linear")
    assert table_for(8000, 16000, "linear") is not table_for(8000, 16000, "minimum")


def test_outputs_lie_within_the_input() -> None:
    table = table_for(44100, 8000, "linear")

    assert [table.outputs_for(samples) for samples in (0, 1, 6, 441)] == [0, 1, 2, 80]
