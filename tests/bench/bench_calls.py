"""What a call costs: the product in its modes, beside a byte relay, the bridge as it is written first, and pipecat.

    python -m tests.bench.bench_calls [--quick] [--calls 40] [--rounds 9] [--json FILE] [--peers PYTHON]
    python -m tests.bench.bench_calls --marker [--rounds 9] [--json FILE] [--peers PYTHON]
    python -m tests.bench.bench_calls --capacity [--plot FILE] [--json FILE] [--peers PYTHON]

All variants are alive all the time, one is driven at a time, in random order within each round; ratios are made within
a round, and their median, 10th and 90th percentile are printed. CPU is what the kernel's scheduler counted for all of a
process's threads. A segment is rejected when frames were lost, the generator was late, or the bridge was saturated. The
product is `archer serve` as it is deployed: signatures, tokens, SQLite record, ledger, tools and log in place. Pipecat
is measured when `--peers` names a Python that has it.

`--marker` and `--capacity` measure something else: how late the audio itself is, and how many calls a core carries.
"""

import argparse
import json
import tempfile
from collections.abc import Callable, Coroutine, Mapping
from pathlib import Path
from typing import Any

import uvloop

from tests.bench import figures, marking
from tests.bench.capacity import STEPS, measure_capacity
from tests.bench.capacity_tables import plot, show_capacity
from tests.bench.marking import measure_markers, show_markers
from tests.bench.processes import machine, peer_versions
from tests.bench.rounds import measure_rounds

Measure = Callable[[argparse.Namespace, Path], Coroutine[Any, Any, dict[str, Any]]]
WARM_S, LONG_WARM_S = 0.5, 1.5
"""Many calls that begin at once leave a backlog, which a bridge near its limit takes a second to work off."""
Show = Callable[[Mapping[str, Any]], str]


def options() -> argparse.ArgumentParser:
    """Return what may be asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--calls", type=int, default=40)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--seconds", type=float, default=1.4, help="of one measured segment")
    parser.add_argument("--warm", type=float, help=f"seconds driven before it: {WARM_S}, for --capacity {LONG_WARM_S}")
    parser.add_argument("--quick", action="store_true", help="three rounds: a first impression")
    parser.add_argument("--busy", action="store_true", help="accept a late generator: the CPU figures only count")
    parser.add_argument("--peers", type=Path, help="a Python that has pipecat")
    modes = parser.add_mutually_exclusive_group()
    modes.add_argument("--marker", action="store_true", help="measure the audio's delay by a burst in it")
    modes.add_argument("--capacity", action="store_true", help="find how many calls a core carries")
    parser.add_argument("--most", type=int, default=STEPS[-1], help="calls at once in the capacity mode")
    parser.add_argument("--plot", type=Path, help="draw the capacity mode's figures here (SVG or PNG)")
    parser.add_argument("--json", type=Path, help="write the figures here, too")
    return parser


def mode(arguments: argparse.Namespace) -> tuple[Measure, Show, str]:
    """Return what measures, what prints it, and the number of calls in words."""
    if arguments.marker:
        return measure_markers, show_markers, str(marking.CALLS)
    if arguments.capacity:
        return measure_capacity, show_capacity, f"{STEPS[0]} to {arguments.most}"
    return measure_rounds, figures.show, str(arguments.calls)


def main() -> None:
    """Measure and print."""
    parser = options()
    arguments = parser.parse_args()
    if arguments.plot and not arguments.capacity:
        parser.error("--plot draws what --capacity measures")
    if arguments.warm is None:
        arguments.warm = LONG_WARM_S if arguments.capacity else WARM_S
    if arguments.quick:
        arguments.rounds = min(arguments.rounds, 3)
    measure, show, calls = mode(arguments)
    about = machine(calls)
    if arguments.peers is not None and (peers := peer_versions(arguments.peers)):
        about += f"; beside it {peers}"
    with tempfile.TemporaryDirectory(prefix="archer-bench-") as folder:
        result = {"machine": about, **uvloop.run(measure(arguments, Path(folder)))}
    print(f"{about}\n\n{show(result)}")
    if arguments.plot:
        plot(result, arguments.plot)
    if arguments.json:
        arguments.json.write_text(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
