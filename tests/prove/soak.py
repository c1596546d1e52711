"""Leaks: `python -m tests.prove.soak [--seconds 600] [--at-once 25] [--seed N]`.

Calls with and without faults, one after the other and so many at once, for minutes; the process's memory, tasks,
descriptors and threads are read all the while, and their slopes must be none.
"""

import argparse
import asyncio
import random
import statistics
import sys
from collections.abc import Sequence
from pathlib import Path

from tests.support.rush.bridge import Footprint
from tests.support.rush.caller import QuickCall
from tests.support.rush.judge import Finding, Record, judge
from tests.support.rush.main import nothing_missing, run_proof
from tests.support.rush.plan import new_plan
from tests.support.rush.scene import Scene, scene

SAMPLE_S = 2.0
KIB_A_CALL = 1.0
"""Memory may grow by this a call: fragmentation, not a leak that fills a machine."""
A_MINUTE = 0.5
"""Tasks, descriptors and threads come and go with calls; their trend may be this, a minute."""


async def prove(options: argparse.Namespace, folder: Path) -> Sequence[Finding]:
    """Run it."""
    async with scene(folder, {"ARCHER_CARTESIA__BREAKER_OPEN_S": "1"}, seed=options.seed) as here:
        samples = await _run(here, options)
        half = samples[len(samples) // 2 :]  # pools and caches have filled by then
        minutes = [at / 60 for at, _, _ in half]
        calls = [float(count) for _, count, _ in half]
        each = 1024 * _slope(calls, [seen.rss_mib for _, _, seen in half])
        print(f"{len(here.plans)} calls in {samples[-1][0]:.0f} s; first {samples[0][2]}, last {samples[-1][2]}")
        found = [Finding("memory, KiB a call", f"<= {KIB_A_CALL:g}", f"{each:.2f}", each <= KIB_A_CALL)]
        for name in ("tasks", "descriptors", "threads"):
            trend = _slope(minutes, [float(getattr(seen, name)) for _, _, seen in half])
            # What is at rest afterwards is judged by chaos.py; here a spread that chance explains is no trend.
            spread = statistics.pstdev(float(getattr(seen, name)) for _, _, seen in half)
            allowed = max(A_MINUTE, 2 * spread / max(minutes[-1] - minutes[0], 1e-9))
            found.append(Finding(f"{name} a minute", f"<= {allowed:.1f}", f"{trend:.2f}", trend <= allowed))
        return [*found, *await judge(Record(here.url), here.plans, away=None)]


async def _run(here: Scene, options: argparse.Namespace) -> list[tuple[float, int, Footprint]]:
    loop, choose = asyncio.get_running_loop(), random.Random(options.seed)
    began, samples = loop.time(), list[tuple[float, int, Footprint]]()

    async def one_line() -> None:
        while loop.time() - began < options.seconds:
            plan = new_plan(choose, len(here.plans))
            here.plans[plan.call_sid] = plan
            await QuickCall(plan, lambda: here.address, stolen=lambda: "v1.none", longest_s=25.0).run()

    async with asyncio.TaskGroup() as group:
        for _ in range(options.at_once):
            group.create_task(one_line())
        while loop.time() - began < options.seconds:
            await asyncio.sleep(SAMPLE_S)
            samples.append((loop.time() - began, len(here.plans), await here.bridge.footprint()))
    await asyncio.sleep(10.0)
    return samples


def _slope(xs: Sequence[float], ys: Sequence[float]) -> float:
    return statistics.linear_regression(xs, ys).slope


if __name__ == "__main__":
    sys.exit(run_proof(__doc__, prove, nothing_missing, seconds=600.0, at_once=25))
