"""Coefficient tables of the polyphase resampler: one for each ratio and phase, cached and shared.

Output n stands at input time n * M / L for the reduced ratio L/M of sink to source rate, so the filter is needed
at L fractional positions, its phases. A block of outputs is laid out as groups of neighbours that share one
stretch of input, and each group is one small matrix: `stretch @ table[group]` gives the group's outputs.

Coefficients are integers over 2**24. An int16 sample times such an integer, summed over a filter, needs less than
43 bits, so float64 holds every partial sum exactly and the order of summation cannot matter: not to BLAS, not to
how the stream was cut.
"""

from dataclasses import dataclass
from functools import cache
from math import ceil, gcd

import numpy as np

from archer_codecs.prototype import HALF_SPAN, MINIMUM_SPAN, Floats, Phase, linear, minimum

SCALE_BITS = 24
PADDING = 8
"""Two vectors of four: see _fir.c."""


@dataclass(frozen=True, slots=True)
class Table:
    """How to turn blocks of input into blocks of output; all sizes in samples.

    A block turns `block_in` inputs into `block_out` outputs by `groups` matrices. Group g reads the `stretch` inputs
    from `g * hop - behind` after the block's first on; a whole block reads `span` inputs. Output i of a block stands
    `(i * down + offset) / up` inputs after the block's first, and needs `ahead` more. `weights` has the shape (groups,
    stretch, group outputs) and is read-only; `taps`, too: the same filters one by one,
    shape (up, behind + 1 + ahead, and zeros up to a multiple of `PADDING`), for the compiled half.

    The first block starts `lead_in` inputs and `lead_out` outputs before the stream. That puts the end of what can be
    given onto the end of a block whenever a multiple of `block_in` has arrived, so that frames of 20 ms compute no
    block twice.
    """

    up: int
    down: int
    behind: int
    ahead: int
    offset: int
    lead_in: int
    lead_out: int
    block_in: int
    block_out: int
    groups: int
    hop: int
    stretch: int
    span: int
    weights: Floats
    taps: Floats

    def outputs_for(self, inputs: int) -> int:
        """Outputs whose time lies within the first `inputs` samples of a stream: ceil(inputs * up / down)."""
        return -(-inputs * self.up // self.down)


@cache
def table_for(source_rate: int, sink_rate: int, phase: Phase) -> Table:
    """The shared table of a pair of rates in hertz."""
    common = gcd(source_rate, sink_rate)
    up, down = sink_rate // common, source_rate // common
    stretch = max(1.0, down / up)  # of the prototype's time axis: the low-pass belongs to the slower rate
    if phase == "linear":
        behind = ceil(HALF_SPAN * stretch) - 1
        ahead = ceil(HALF_SPAN * stretch + (up - 1) / up) - 1
    else:
        behind = ceil(MINIMUM_SPAN * stretch) - 1
        ahead = 0
    taps = _taps(up, down, behind, ahead, phase)
    blocks, groups = _layout(up, down, behind + ahead + 1, frame=round(source_rate * _FRAME_S))
    return _table(taps, down, behind, blocks=blocks, groups=groups)


def _taps(up: int, down: int, behind: int, ahead: int, phase: Phase) -> Floats:
    """Integer coefficients over 2**SCALE_BITS, shape (up, behind + 1 + ahead); each row sums to exactly 1.

    Row p is the filter p/up of an input period past the newest input. The equal sums are what keeps a constant a
    constant: no image of 0 Hz.
    """
    grid = max(up, down)  # points of the common grid of both rates in a period of the slower one
    impulse, origin = (linear(grid), HALF_SPAN * grid) if phase == "linear" else (minimum(grid), 0)
    at = np.arange(up)[:, None] - np.arange(-behind, ahead + 1) * up + origin
    inside = (at >= 0) & (at < len(impulse))
    taps = np.where(inside, impulse[np.where(inside, at, 0)], 0.0)
    scale = float(1 << SCALE_BITS)
    whole = np.rint(taps * (scale / taps.sum(axis=1, keepdims=True)))
    largest = np.argmax(whole, axis=1)
    whole[np.arange(up), largest] += scale - whole.sum(axis=1)
    return np.asarray(whole / scale)


# What 20 ms cost in each layout, in multiply-adds, so that the cheapest can be picked. Timings of many layouts of the
# ratios 2, 1/2, 3, 1/3, 441/80 and 80/441 are flat around their best: 10 to 24 outputs a matrix for the whole ratios,
# five to nine matrices a block for the others. These prices put every pick into that range.
_PRODUCT = 3000
_MOVE = 10
_FRAME_S = 0.02
_BLOCK_LIMIT = 64


def _layout(up: int, down: int, taps: int, *, frame: int) -> tuple[int, int]:
    """Pick the (periods a block, groups a block) that is cheapest for frames of `frame` inputs."""

    def price(choice: tuple[int, int]) -> float:
        periods, groups = choice
        group = periods * up // groups
        advance = group * down / up
        stretch = taps + advance + (advance % 1.0) * groups
        rows = ceil(frame / (periods * down))
        return rows * groups * stretch * (group + _MOVE) + groups * _PRODUCT

    choices = [(periods, 1) for periods in range(1, max(1, _BLOCK_LIMIT // max(up, down)) + 1)]
    choices += [(1, groups) for groups in range(2, up + 1) if up % groups == 0]
    return min(choices, key=price)


def _table(taps: Floats, down: int, behind: int, *, blocks: int, groups: int) -> Table:
    """Lay the filters of every output of a block out into the groups' matrices."""
    up, length = taps.shape
    ahead = length - behind - 1
    block_out = blocks * up
    lead_out = ahead * up // down % block_out
    lead_in = ceil(lead_out * down / up)
    offset = lead_in * up - lead_out * down
    group = block_out // groups
    hop = group * down // up
    outputs = np.arange(block_out)
    newest, phase = np.divmod(outputs * down + offset, up)
    shifts = newest - outputs // group * hop  # within the group's stretch
    stretch = int(shifts.max()) + length
    weights = np.zeros((groups, stretch, group))
    weights[outputs[:, None] // group, shifts[:, None] + np.arange(length), outputs[:, None] % group] = taps[phase]
    padded = np.pad(taps, ((0, 0), (0, -length % PADDING)))
    weights.flags.writeable = padded.flags.writeable = False
    return Table(
        up=up, down=down, behind=behind, ahead=ahead, offset=offset, lead_in=lead_in, lead_out=lead_out,
        block_in=blocks * down, block_out=block_out, groups=groups, hop=hop,
        stretch=stretch, span=(groups - 1) * hop + stretch, weights=weights, taps=padded,
    )  # fmt: skip
