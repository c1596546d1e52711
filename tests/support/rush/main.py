"""What every proof's command line has: a seed that is printed, a folder that is removed, an exit code."""

import argparse
import logging
import sys
import tempfile
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any, NoReturn

import structlog
import uvloop

from tests.support.rush.bridge import environment_seed
from tests.support.rush.judge import Finding, conclude

Proof = Callable[[argparse.Namespace, Path], Awaitable[Sequence[Finding]]]


def skip(why: str) -> int:
    """Say loudly that nothing was proved."""
    print(f"SKIPPED, NOT PROVED: {why}\n0 passed, 0 failed", flush=True)
    return 0


def run_proof(doc: str | None, proof: Proof, missing: Callable[[argparse.Namespace], str], **options: Any) -> NoReturn:
    """Read the command line, run the proof and exit.

    Args:
        doc: the program's description.
        proof: what to run.
        missing: says what this machine lacks for it; empty when nothing.
        options: more options, name to default: a number or text.
    """
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=environment_seed())
    for name, default in options.items():
        parser.add_argument(
            f"--{name.replace('_', '-')}", type=type(default), default=default, help=f"default {default}"
        )
    chosen = parser.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    print(f"seed {chosen.seed}", flush=True)
    if why := missing(chosen):
        sys.exit(skip(why))
    with tempfile.TemporaryDirectory(prefix="archer-proof-") as folder:
        sys.exit(conclude(uvloop.run(_as_coroutine(proof, chosen, Path(folder)))))


async def _as_coroutine(proof: Proof, chosen: argparse.Namespace, folder: Path) -> Sequence[Finding]:
    return await proof(chosen, folder)


def nothing_missing(_: argparse.Namespace) -> str:
    """Every machine can run it."""
    return ""
