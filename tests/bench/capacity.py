"""The capacity mode: how many calls one core carries before the added delay of a frame in a hundred passes 20 ms.

The number of calls goes up in steps; at each step the variants that still hold are driven in random order, so that
their figures are of the same minutes. Two segments that agree decide a step, else a third one does. A segment that was
bad while the generator itself was late, while the host of a virtual machine kept its cores back ("steal"), or while
other processes held the core that the bridge was ready to use, says nothing of the bridge: it does not count, is said
so, and is driven again. When too few count, the machine's end is reached before the bridge's: its last good step is
then a lower bound. Steps halfway to the first bad one, until good and bad are a tenth apart, make the answer finer.
"""

import argparse
import asyncio
import random
import statistics
import sys
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.bench.segment import LATE_S, Segment, drive_segment, warm_up
from tests.bench.variants import NAIVE, PASS, PCM_16000, PIPECAT_8K, Variant, start, start_engine

NAMES = (NAIVE, PASS, PCM_16000, PIPECAT_8K)
STEPS = (10, 20, 30, 40, 60, 80, 100, 130, 160, 200, 250, 300, 400, 500, 600, 800)
LIMIT_MS = 20.0
SATURATED = 0.97
"""Of a core: everything waits for everything then, whatever the delays of one second were."""
CROWDED = 0.25
"""Share of the time that a bridge may be ready without a core."""
STOLEN = 0.02
"""Of a core, that the machine's host keeps back: 30 ms of 1.5 s, and more than a frame in a hundred is late."""
NEEDED, TRIES = 3, 8
"""Segments of which two decide, and how often it is tried."""


@dataclass
class Climb:
    """How far one variant has come."""

    variant: Variant
    good: int = 0
    bad: int = 0
    why: str = ""
    is_bound: bool = False
    """Whether the machine gave up before the bridge did."""
    points: dict[int, list[Segment]] = field(default_factory=dict)


def failure(result: Segment) -> str:
    """Say why a bridge does not carry so many calls, if it doesn't."""
    if result.lost:
        return result.lost
    if result.load > SATURATED:
        return f"{result.load:.0%} of a core"
    if result.p99 > LIMIT_MS:
        return f"p99 {result.p99:.1f} ms"
    return ""


def why_blind(result: Segment) -> str:
    """Say why a bad segment must not be held against the bridge, if so.

    A bridge that held although it was disturbed has held, and one that used a whole core has failed.
    """
    if failure(result) == "" or result.load > SATURATED:
        return ""
    if result.late > LATE_S * 1000:
        return f"the generator was {result.late:.1f} ms late"
    if result.stolen > STOLEN:
        return f"the machine's host kept back {result.stolen:.0%} of a core"
    if result.waited > CROWDED:
        return f"the bridge or the engine waited for a core {result.waited:.1%} of the time"
    return ""


def verdict(results: Sequence[Segment]) -> bool | None:
    """Say whether a step holds, by two segments of three; None while more are needed."""
    counted = [failure(result) == "" for result in results if not why_blind(result)][:NEEDED]
    if counted.count(True) * 2 > NEEDED:
        return True
    if counted.count(False) * 2 > NEEDED:
        return False
    return None


async def try_step(climb: Climb, calls: int, arguments: argparse.Namespace) -> bool | None:
    """Drive one variant with so many calls until it is decided; None when the machine never let it be."""
    results = climb.points.setdefault(calls, [])
    for _ in range(TRIES):
        result = await drive_segment(climb.variant, calls, warm_s=arguments.warm, measure_s=arguments.seconds)
        results.append(result)
        said = f"does not count: {blind}" if (blind := why_blind(result)) else failure(result)
        print(
            f"  {calls:4d} {climb.variant.name:20s} {result.load * 100:4.0f} % p50 {result.p50:6.2f} "
            f"p99 {result.p99:7.2f} ms late {result.late:4.1f} waits {result.waited * 100:2.0f} % "
            f"stolen {result.stolen * 100:3.0f} %  {said}",
            file=sys.stderr,
        )
        await asyncio.sleep(0.5 + calls / 400)  # its calls end
        if (decided := verdict(results)) is not None:
            return decided
    return None


def settle(climb: Climb, calls: int, holds: bool | None) -> None:
    """Note what a step came to."""
    if holds:
        climb.good = calls
        return
    climb.bad, climb.is_bound = calls, holds is None
    failures = [failure(result) for result in climb.points[calls] if not why_blind(result) and failure(result)]
    climb.why = why_blind(climb.points[calls][-1]) if holds is None else failures[0]


def halfway(climb: Climb) -> int:
    """Return the number of calls between the last good step and the first bad one; 0 when they are near."""
    middle = (climb.good + climb.bad) // 2
    return middle if climb.bad and not climb.is_bound and middle - climb.good >= max(2, climb.good // 20) else 0


async def measure_capacity(arguments: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Start everything, step up until every variant has failed, return the figures."""
    async with AsyncExitStack() as stack:
        engine = await start_engine(stack, folder)
        variants = await start(stack, NAMES, folder, engine, peers=arguments.peers)
        for variant in variants:
            await warm_up(variant)
        climbs = [Climb(variant) for variant in variants]
        for calls in STEPS:
            going = [climb for climb in climbs if not climb.bad and calls <= arguments.most]
            for climb in random.sample(going, len(going)):
                settle(climb, calls, await try_step(climb, calls, arguments))
        for climb in climbs:
            while calls := halfway(climb):
                settle(climb, calls, await try_step(climb, calls, arguments))
        return capacity_figures(climbs)


def capacity_figures(climbs: Sequence[Climb]) -> dict[str, Any]:
    """Return the tables' and the plot's content."""
    rows = {
        climb.variant.name: {
            "calls": climb.good,
            "is_bound": climb.is_bound or not climb.bad,
            "failed_at": climb.bad,
            "why": climb.why,
            "points": [point(calls, results) for calls, results in sorted(climb.points.items())],
        }
        for climb in climbs
    }
    return {"capacity": rows}


def point(calls: int, results: Sequence[Segment]) -> dict[str, float]:
    """Return the medians of one step's segments that count, or of all when none does."""
    kept = [result for result in results if not why_blind(result)] or list(results)
    medians = {name: statistics.median(getattr(result, name) for result in kept) for name in ("p50", "p99", "load")}
    return {
        "calls": calls,
        "segments": len(kept),
        "blind": sum(why_blind(result) != "" for result in results),
        **medians,
    }
