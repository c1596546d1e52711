"""Try to get in, thousands of times: `python -m tests.prove.security [--quick] [--seed N]`. Loopback only.

Prints a table of goals and results, and `N passed, M failed`; exit code 1 when anything failed.
"""

import argparse
import asyncio
import logging
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import structlog

from archer_bridge.devkit.virtual_time import run
from tests.security.proofs.findings import Finding, Size
from tests.security.proofs.forgeries import forged_webhooks, tokens
from tests.security.proofs.output import canaries, documents
from tests.security.proofs.races import process_races, races
from tests.security.proofs.strangers import memory, strangers

Proof = Callable[[Size, Path], Awaitable[list[Finding]]]
PROOFS: tuple[tuple[Proof, bool], ...] = (
    (forged_webhooks, True),
    (tokens, False),
    (races, False),
    (process_races, False),
    (strangers, True),
    (memory, False),
    (documents, False),
    (canaries, False),
)
"""And whether it runs on virtual time."""


def main() -> int:
    """Run every proof and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a few of everything, for the test suite")
    parser.add_argument("--only", choices=[proof.__name__ for proof, _ in PROOFS], action="append", help="and again")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    size = (
        Size(
            options.seed,
            forgeries=5,
            tokens=500,
            races=20,
            process_races=10,
            sockets=300,
            calls=2,
            secrets=0,
            documents=300,
        )
        if options.quick
        else Size(
            options.seed,
            forgeries=1000,
            tokens=10_000,
            races=500,
            process_races=200,
            sockets=1000,
            calls=50,
            secrets=200,
            documents=10_000,
        )
    )
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    findings: list[Finding] = []
    for proof, is_virtual in PROOFS:
        if options.only and proof.__name__ not in options.only:
            continue
        began = time.perf_counter()
        with tempfile.TemporaryDirectory() as folder:
            work = proof(size, Path(folder))
            findings += run(work) if is_virtual else asyncio.run(work)  # type: ignore[arg-type]  # coroutines both
        print(f"{proof.__name__}: {time.perf_counter() - began:.1f} s", flush=True)
    print(f"seed {size.seed}")
    for finding in findings:
        print(f"{'ok  ' if finding.holds else 'FAIL'} {finding.what:62} goal {finding.goal:26} result {finding.result}")
    failed = sum(not finding.holds for finding in findings)
    print(f"{len(findings) - failed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
