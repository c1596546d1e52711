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
    peers: Annotated[Path | None, typer.Option("--peers", help="A Python that has pipecat: measure it, too.")] = None,
    json: Annotated[Path | None, typer.Option("--json", help="Write the figures to this file, too.")] = None,
) -> None:
    """Measure CPU, added latency and memory of a call: the product in its modes beside what it is compared with.

    Takes about five minutes, and wants a machine with two cores that does nothing else.
    """
    if not (SOURCES / MODULE.replace(".", "/")).with_suffix(".py").is_file():
        typer.echo("archer bench runs from a source checkout: what it compares with is in tests/bench", err=True)
        raise typer.Exit(USAGE)
    command = [sys.executable, "-m", MODULE, "--calls", str(calls), "--rounds", str(rounds)]
    command += ["--quick"] if quick else []
    command += ["--peers", str(peers.absolute())] if peers is not None else []  # resolved, it would leave its venv
    command += ["--json", str(json.resolve())] if json is not None else []
    raise typer.Exit(subprocess.run(command, cwd=SOURCES, check=False).returncode)  # noqa: S603 - our own module
