"""The marker mode: how late audio is heard that goes to the engine and back, and what of that the resamplers make."""

import argparse
import asyncio
import base64
import random
import statistics
import sys
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from time import perf_counter
from typing import Any

from tests.bench.figures import GOALS_HEAD, UNKNOWN, Range, goal_rows, median_and_range
from tests.bench.load import Leg, Measured, drive
from tests.bench.marker import BURST, SILENCE, delays_ms, find, has_burst
from tests.bench.segment import LATE_S, open_calls, ready, why_rejected
from tests.bench.variants import (
    MINIMUM,
    NAIVE,
    PASS,
    PCM_16000,
    PCM_24000,
    PIPECAT_8K,
    PIPECAT_16K,
    RELAY,
    Variant,
    start,
    start_engine,
)

NAMES = (RELAY, NAIVE, PASS, PCM_16000, MINIMUM, PCM_24000, PIPECAT_8K, PIPECAT_16K)
CALLS = 4
SECONDS = 3.0
GOALS = (("both resamplers, pcm_16000, ms", PCM_16000, 4.5), ("both resamplers, minimum phase, ms", MINIMUM, 0.6))
SHIFT_MS = 0.01
"""In passthrough nothing is to be shifted; the burst is found to a tenth of this."""


@dataclass(frozen=True, slots=True)
class Marked:
    """One driven segment: the audio's delay and its shift within messages in ms, bursts heard, and why not to count."""

    delay: float
    worst: float
    shift: float
    bursts: int
    rejected: str = ""


@dataclass
class Ears(Measured):
    """What the calls of a segment heard."""

    due: dict[int, list[float]] = field(default_factory=dict)
    messages: dict[int, list[tuple[float, bytes]]] = field(default_factory=dict)


class MarkerLeg(Leg):
    """One call's socket, which keeps when bursts were due and all that it hears."""

    def __init__(self, measured: Ears) -> None:
        super().__init__(measured)
        self.frames = 0
        self.due = measured.due.setdefault(id(self), [])
        self.messages = measured.messages.setdefault(id(self), [])

    def send(self, frame: bytes, due: float) -> None:
        if has_burst(self.frames):
            self.due.append(due)
        self.frames += 1
        super().send(frame, due)

    def heard(self, payload: bytes) -> None:
        self.messages.append((perf_counter(), base64.b64decode(payload)))
        super().heard(payload)


def payload(frame: int) -> str:
    """Return the base64 of the frame of this number."""
    return base64.b64encode(BURST if has_burst(frame) else SILENCE).decode()


def judge(ears: Ears) -> Marked:
    """Find the bursts in what was heard."""
    delays, shifts, due = [], [], 0
    for call, messages in ears.messages.items():
        bursts = find(messages)
        delays += delays_ms(ears.due[call], bursts)
        shifts += [burst.shift_ms for burst in bursts]
        due += len(ears.due[call])
    lost = f"{len(delays)} of {due} bursts came back" if len(delays) != due else ""
    rejected = why_rejected(lost, late=ears.percentile(ears.lateness, 0.99), load=0.0, late_s=LATE_S)
    if not delays:
        return Marked(UNKNOWN, UNKNOWN, UNKNOWN, 0, rejected)
    return Marked(statistics.median(delays), max(delays), statistics.median(shifts), len(delays), rejected)


async def drive_marked(variant: Variant) -> Marked:
    """Drive a few calls on one variant, with a burst a second in each."""
    ears = Ears(calls=CALLS)
    legs = await open_calls(variant, CALLS, lambda: MarkerLeg(ears))
    await ready(variant)

    async def edge() -> None: ...

    await drive(legs, warm_s=0.4, measure_s=SECONDS, edge=edge, payload=payload)
    for leg in legs:
        leg.transport.abort()
    return judge(ears)


async def measure_markers(arguments: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Start everything, measure, return the figures."""
    rounds: list[dict[str, Marked]] = []
    async with AsyncExitStack() as stack:
        engine = await start_engine(stack, folder, module="echo_engine")
        variants = await start(stack, NAMES, folder, engine, peers=arguments.peers)
        for number in range(arguments.rounds):
            results: dict[str, Marked] = {}
            for variant in random.sample(variants, len(variants)):
                result = await drive_marked(variant)
                print(f"  {number + 1} {variant.name:24s} {result.delay:7.2f} ms  {result.rejected}", file=sys.stderr)
                results[variant.name] = result
                await asyncio.sleep(0.5)  # its calls end
            rounds.append(results)
        return marker_figures(rounds, [variant.name for variant in variants])


def beyond(rounds: Sequence[Mapping[str, Marked]], one: str, other: str) -> Range:
    """Return the median and range of the differences of delays made within rounds, in ms."""
    return median_and_range(r[one].delay - r[other].delay for r in rounds if one in r and other in r)


def marker_figures(rounds: Sequence[Mapping[str, Marked]], names: Sequence[str]) -> dict[str, Any]:
    """Return the tables' content."""
    good = [{name: result for name, result in results.items() if not result.rejected} for results in rounds]
    rows: dict[str, Any] = {}
    for name in names:
        kept = [results[name] for results in good if name in results]
        rows[name] = {
            "segments": len(kept),
            "bursts": sum(one.bursts for one in kept),
            "delay_ms": median_and_range(one.delay for one in kept),
            "worst_ms": max((one.worst for one in kept), default=UNKNOWN),
            "beyond_passthrough_ms": beyond(good, name, PASS),
        }
    goals = {text: (*beyond(good, name, PASS), goal) for text, name, goal in GOALS}
    shifts = median_and_range(abs(results[PASS].shift) for results in good if PASS in results)
    goals["shift of the audio, passthrough, ms"] = (*shifts, SHIFT_MS)
    return {"markers": rows, "marker_goals": goals}


def show_markers(result: Mapping[str, Any]) -> str:
    """Return the tables."""
    lines = ["| variant | segments | bursts | audio delay ms | worst ms | beyond passthrough ms |"]
    lines += ["|---|---|---|---|---|---|"]
    for name, row in result["markers"].items():
        (delay, low, high), (more, least, most) = row["delay_ms"], row["beyond_passthrough_ms"]
        lines.append(
            f"| {name} | {row['segments']} | {row['bursts']} | {delay:.2f} [{low:.2f}..{high:.2f}] "
            f"| {row['worst_ms']:.1f} | {more:.2f} [{least:.2f}..{most:.2f}] |"
        )
    return "\n".join([*lines, *GOALS_HEAD, *goal_rows(result["marker_goals"])])
