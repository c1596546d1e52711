"""Rounds: every variant once in each, in random order, with the same number of calls."""

import argparse
import asyncio
import random
import sys
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

from tests.bench.figures import figures
from tests.bench.segment import LATE_S, Segment, drive_segment, warm_up
from tests.bench.variants import (
    NAIVE,
    PASS,
    PCM_16000,
    PCM_24000,
    PIPECAT_8K,
    PIPECAT_16K,
    PLAIN,
    RECORDING,
    RELAY,
    TLS,
    start,
    start_engine,
)

NAMES = (RELAY, NAIVE, PASS, RECORDING, PCM_16000, PCM_24000, TLS, PLAIN, PIPECAT_8K, PIPECAT_16K)


async def measure_rounds(arguments: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Start everything, measure, return the figures."""
    rounds: list[dict[str, Segment]] = []
    late_s = float("inf") if arguments.busy else LATE_S
    async with AsyncExitStack() as stack:
        engine = await start_engine(stack, folder, tls=True)
        variants = await start(stack, NAMES, folder, engine, peers=arguments.peers)
        for variant in variants:
            await warm_up(variant)
        for number in range(arguments.rounds):
            results: dict[str, Segment] = {}
            for variant in random.sample(variants, len(variants)):
                result = await drive_segment(
                    variant, arguments.calls, warm_s=arguments.warm, measure_s=arguments.seconds, late_s=late_s
                )
                print(f"  {number + 1} {variant.name:22s} {result.us:7.1f} us  {result.rejected}", file=sys.stderr)
                results[variant.name] = result
                await asyncio.sleep(0.5)  # its calls end
            rounds.append(results)
        return figures(rounds, variants)
