"""`archer bench`: what a call costs on this machine, beside a bare relay, a naive bridge and pipecat."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Annotated

import typer

MODULE = "tests.bench.bench_calls"
SOURCES = Path(__file__).resolve().parents[2]
USAGE = 2


def bench(
    calls: Annotated[int, typer.Option(min=1, help="Calls at once; only figures of the same number compare.")] = 40,
    rounds: Annotated[int, typer.Option(min=1, help="Each round measures every variant once, in random order.")] = 9,
    quick: Annotated[bool, typer.Option("--quick", help="Three rounds: a first impression.")] = False,
    marker: Annotated[bool, typer.Option("--marker", help="Measure how late the audio is, by a burst in it.")] = False,
    capacity: Annotated[bool, typer.Option("--capacity", help="Find how many calls a core carries.")] = False,
    plot: Annotated[Path | None, typer.Option("--plot", help="With --capacity: draw it here (SVG or PNG).")] = None,
    peers: Annotated[Path | None, typer.Option("--peers", help="A Python that has pipecat: measure it, too.")] = None,
    json: Annotated[Path | None, typer.Option("--json", help="Write the figures to this file, too.")] = None,
) -> None:
    """Measure CPU, added latency and memory of a call: the product in its modes beside what it is compared with.

    Takes about seven minutes, --capacity about ten, and wants a machine with two cores that does nothing else.
    """
    if not (SOURCES / MODULE.replace(".", "/")).with_suffix(".py").is_file():
        typer.echo("archer bench runs from a source checkout: what it compares with is in tests/bench", err=True)
        raise typer.Exit(USAGE)
    switches = {"--quick": quick, "--marker": marker, "--capacity": capacity}
    # absolute, not resolved: a virtual environment's Python is a link, and behind it is no environment
    paths = {"--plot": plot, "--peers": peers, "--json": json}
    command = [sys.executable, "-m", MODULE, "--calls", str(calls), "--rounds", str(rounds)]
    command += [name for name, is_on in switches.items() if is_on]
    command += [word for name, path in paths.items() if path is not None for word in (name, str(path.absolute()))]
    raise typer.Exit(subprocess.run(command, cwd=SOURCES, check=False).returncode)  # noqa: S603 - our own module
