"""Runs every measurement once and holds the results."""

import gc
import platform
import sys
import tracemalloc
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import permutations
from typing import Any

import numpy as np

from archer_codecs.bench.chains import GOAL, USUAL, chain_costs, planning_us, stage_costs
from archer_codecs.bench.quality import Quality, measure
from archer_codecs.bench.subjects import alternatives, ours, versions
from archer_codecs.bench.timing import Clock, Cost
from archer_codecs.formats import RATES, Format
from archer_codecs.planner import plan
from archer_codecs.resample import is_compiled

PAIRS = ((8000, 16000), (16000, 8000), (8000, 24000), (24000, 8000), (44100, 8000))
"""The pairs of rates in which the alternatives are measured too."""

PACKAGES = ("archer-bridge", "numpy", "audioop-lts", "soxr", "scipy", "samplerate", "audio-resampler")


@dataclass(frozen=True, slots=True)
class Options:
    """How thorough: laps of each race, tones of each sweep, random cuts of each chain."""

    rounds: int = 25
    tones: int = 20
    splits: int = 10_000


@dataclass(frozen=True, slots=True)
class Goal:
    """One figure to reach; `limit` is the largest (or with `at_least` the smallest) value that will do."""

    figure: str
    value: float
    limit: float
    unit: str
    at_least: bool = False

    @property
    def is_met(self) -> bool:
        """Whether the value is on the right side of the limit."""
        return self.value >= self.limit if self.at_least else self.value <= self.limit


@dataclass(slots=True)
class Report:
    """Everything one run measured."""

    machine: str
    python: str
    versions: dict[str, str]
    every_pair: dict[str, list[Quality]] = field(default_factory=dict)
    compared: dict[str, list[Quality]] = field(default_factory=dict)
    stages: dict[str, float] = field(default_factory=dict)
    chains: dict[str, dict[str, Cost]] = field(default_factory=dict)
    planning_us: float = 0.0
    state_bytes: int = 0
    broken: dict[str, int] = field(default_factory=dict)
    splits: int = 0
    goals: list[Goal] = field(default_factory=list)


def run(clock: Clock, options: Options, progress: Callable[[str], None]) -> Report:
    """Measure all of it; `progress` is told what comes next."""
    report = Report(_machine(), platform.python_version(), versions(PACKAGES))
    linear, minimum = ours()
    others = alternatives()
    progress("cost of chains and stages")
    report.chains = chain_costs(others, clock, options.rounds)
    report.stages = stage_costs(clock)
    report.planning_us = planning_us(clock)
    report.state_bytes = state_bytes()
    for subject in (linear, minimum):
        progress(f"quality of {subject.name}, every pair of rates")
        report.every_pair[subject.name] = [
            measure(subject, source, sink, tones=options.tones) for source, sink in permutations(RATES, 2)
        ]
    for subject in others:
        progress(f"quality of {subject.name}")
        report.compared[subject.name] = [
            measure(subject, source, sink, tones=options.tones // 2, splits=20) for source, sink in PAIRS
        ]
    progress(f"the law, {options.splits} random splits a chain")
    report.splits = options.splits
    report.broken = {f"{source} -> {sink}": law_breaks(source, sink, options.splits) for source, sink in USUAL}
    report.goals = _goals(report)
    return report


def law_breaks(source: str, sink: str, splits: int, *, seed: int = 3) -> int:
    """How many of `splits` random cuts, at any byte, of 5 ms of random bytes changed a chain's output."""
    route = plan(Format.parse(source), Format.parse(sink))
    rng = np.random.default_rng(seed)
    data = rng.integers(0, 256, route.source.bytes_for(5.0) + 1, dtype=np.uint8).tobytes()
    chain = route.build()
    whole = chain.feed(data) + chain.flush()
    broken = 0
    for cut in rng.integers(0, len(data) + 1, splits):
        chain = route.build()
        broken += chain.feed(data[:cut]) + chain.feed(data[cut:]) + chain.flush() != whole
    return broken


def state_bytes(streams: int = 50) -> int:
    """The most memory one stream of a usual chain holds between frames, the shared tables not counted."""
    worst = 0
    for source, sink in USUAL:
        route = plan(Format.parse(source), Format.parse(sink))
        frame = bytes(route.source.bytes_for(20.0))
        route.build().feed(frame)  # fills the cache of tables
        tracemalloc.start()
        gc.collect()
        before, _ = tracemalloc.get_traced_memory()
        chains = [route.build() for _ in range(streams)]
        for chain in chains:
            chain.feed(frame)
            chain.feed(frame)
        gc.collect()
        after, _ = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        worst = max(worst, (after - before) // streams)
    return worst


def _goals(report: Report) -> list[Goal]:
    linear, minimum = (report.every_pair[subject.name] for subject in ours())
    goals = [
        Goal("aliases and images, linear phase, 30 pairs of rates", max(q.reject_db for q in linear), -80, "dB"),
        Goal("ripple 300-3400 Hz, linear phase, 30 pairs", max(q.ripple_db for q in linear), 0.02, "dB"),
        Goal("SINAD at 1 kHz, int16, linear phase, 30 pairs", min(q.sinad_db for q in linear), 85, "dB", at_least=True),
        Goal("delay of one resample, linear phase, 30 pairs", max(q.delay_ms for q in linear), 2.2, "ms"),
        Goal("delay of one resample, minimum phase, 30 pairs", max(q.delay_ms for q in minimum), 0.3, "ms"),
        Goal("aliases and images, minimum phase, 30 pairs", max(q.reject_db for q in minimum), -58, "dB"),
        Goal("state of a stream, usual chains", report.state_bytes, 4096, "bytes"),
        Goal("planning", report.planning_us, 50, "us"),
        Goal(f"broken cuts of {report.splits} a chain", sum(report.broken.values()), 0, ""),
    ]
    for source, sink in GOAL:
        name = f"{Format.parse(source)} -> {Format.parse(sink)}"
        if "audioop + soxr VHQ" in report.chains[name]:
            ratio = report.chains[name]["archer"].ratio
            goals.append(Goal(f"cost of {name} to audioop + soxr VHQ", ratio, 1.3, "x"))
    return goals


def _machine() -> str:
    resampling = "the kernel" if is_compiled() else "numpy"
    return f"{platform.machine()}, {platform.system()}, {_processor()}; one channel is resampled by: {resampling}"


def _processor() -> str:
    if sys.platform == "linux":
        with open("/proc/cpuinfo", encoding="utf-8", errors="replace") as file:
            names = [line.partition(":")[2].strip() for line in file if line.startswith("model name")]
        if names:
            return f"{names[0]} x {len(names)}"
    return platform.processor() or "unknown processor"


def as_json(report: Report) -> dict[str, Any]:
    """The report as plain values for `json.dumps`."""
    from dataclasses import asdict

    plain = asdict(report)
    plain["goals"] = [{**asdict(goal), "is_met": goal.is_met} for goal in report.goals]
    return plain
