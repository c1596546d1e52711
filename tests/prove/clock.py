"""A wall clock that jumps: `python -m tests.prove.clock [--calls 12] [--seed N]`.

Under live calls the process's wall clock goes an hour forward, two back, and home again. No call may end by it, none
last less than nothing, new calls are answered at every hour, and nobody's lease is taken for over.
"""

import argparse
import asyncio
import struct
import sys
from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from tests.support.rush.disk import build, no_compiler
from tests.support.rush.judge import Finding, Record, judge, none_of
from tests.support.rush.main import run_proof
from tests.support.rush.scene import scene

JUMPS_S = (3600, -3600, 0)
STAY_S = 6.0
"""Longer than the housekeeping's round, which would reap what looks expired."""


def _instant(written: str) -> datetime:
    return datetime.fromisoformat(written)


async def prove(options: argparse.Namespace, folder: Path) -> Sequence[Finding]:
    """Run it."""
    sign = folder / "shift"
    sign.write_bytes(struct.pack("=q", 0))
    preload = {"LD_PRELOAD": str(build("clock.c", folder)), "CLOCK_SHIFT": str(sign)}
    async with scene(folder, preload, seed=options.seed) as here:
        plans = [here.plan(talk_s=STAY_S * len(JUMPS_S) + 2) for _ in range(options.calls)]
        for plan in plans:
            here.place(plan)
        await here.talking(plans)
        for jump in JUMPS_S:
            with sign.open("r+b") as page:
                page.write(struct.pack("=q", jump))
            for _ in range(4):
                await here.place(here.plan(talk_s=0.2))
            await asyncio.sleep(STAY_S)
        await here.all_over()
        record = Record(here.url)
        outcomes = Counter(str(outcome) for (outcome,) in await record.ask("SELECT outcome FROM calls"))
        created = [str(row[0]) for row in await record.ask("SELECT created_at FROM calls")]
        spread = (_instant(max(created)) - _instant(min(created))).total_seconds() >= max(JUMPS_S)
        backwards = await record.ask("SELECT call_sid FROM calls WHERE ended_at < created_at OR duration_ms < 0")
        return [
            Finding("the clock really jumped", "yes", "yes" if spread else "no", spread),
            Finding("outcomes", "completed", str(dict(outcomes)), set(outcomes) == {"completed"}),
            none_of("calls that ended before they began", backwards),
            *await judge(record, here.plans),
            none_of("complaints of a bug in the log", here.bridge.complaints()),
        ]


def missing(_: argparse.Namespace) -> str:
    """Say what this machine lacks."""
    return no_compiler() if sys.platform == "linux" else "the preloaded library is for Linux"


if __name__ == "__main__":
    sys.exit(run_proof(__doc__, prove, missing, calls=12))
