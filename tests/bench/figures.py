"""From segments to tables: ratios within rounds, their median and range, and what the goals say to them."""

import statistics
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from tests.bench.segment import Segment
from tests.bench.variants import NAIVE, PASS, PCM_16000, PIPECAT_8K, PIPECAT_16K, RECORDING, RELAY, TLS, Variant

Rounds = Sequence[Mapping[str, Segment]]
Range = tuple[float, float, float]
"""Median, 10th and 90th percentile."""
CPU_GOALS = (
    ("CPU, pcm_16000 / pipecat 8k 1:1", PCM_16000, PIPECAT_8K, "us", 0.20),
    ("CPU, pcm_16000 / pipecat 16k default", PCM_16000, PIPECAT_16K, "us", 0.30),
    ("CPU, passthrough / relay", PASS, RELAY, "us", 1.45),
    ("CPU, pcm_16000 / relay", PCM_16000, RELAY, "us", 2.0),
    ("CPU, passthrough / naive", PASS, NAIVE, "us", 0.32),
    ("CPU, pcm_16000 / naive", PCM_16000, NAIVE, "us", 0.42),
    ("latency p50, passthrough / relay", PASS, RELAY, "p50", 1.5),
    ("latency p99, passthrough / relay", PASS, RELAY, "p99", 2.0),
    ("CPU, recording / passthrough", RECORDING, PASS, "us", 1.15),
)
"""What is compared, and the goal: not more."""
IDLE_MIB, KIB_A_CALL = 90.0, 40.0
UNKNOWN = float("nan")


def median_and_range(values: Iterable[float]) -> Range:
    """Return median, 10th and 90th percentile; NaN without values."""
    known = list(values)
    if len(known) < 2:
        value = known[0] if known else UNKNOWN
        return value, value, value
    tenths = statistics.quantiles(known, n=10, method="inclusive")
    return statistics.median(known), tenths[0], tenths[-1]


def ratio(rounds: Rounds, one: str, other: str, figure: str) -> Range:
    """Return the median and range of the ratios made within rounds."""
    pairs = [(r[one], r[other]) for r in rounds if one in r and other in r]
    return median_and_range(getattr(a, figure) / getattr(b, figure) for a, b in pairs)


def counting(rounds: Rounds) -> list[dict[str, Segment]]:
    """Return the rounds without what was rejected."""
    return [{name: result for name, result in results.items() if not result.rejected} for results in rounds]


def figures(rounds: Rounds, variants: Sequence[Variant]) -> dict[str, Any]:
    """Return the tables' content."""
    good = counting(rounds)
    rows: dict[str, Any] = {}
    memory: dict[str, dict[str, float]] = {}
    for variant in variants:
        name = variant.name
        kept = [results[name] for results in good if name in results]
        row: dict[str, Any] = {"segments": len(kept)}
        for figure in ("us", "p50", "p99", "load"):
            row[figure] = median_and_range(getattr(result, figure) for result in kept)
        row["us_to_relay"] = ratio(good, name, RELAY, "us")
        row["us_to_naive"] = ratio(good, name, NAIVE, "us")
        rows[name] = row
        memory[name] = {"idle_mib": variant.rss_idle / 1024, "kib_a_call": median_and_range(variant.rss_call)[0]}
    goals = {text: (*ratio(good, one, other, figure), goal) for text, one, other, figure, goal in CPU_GOALS}
    goals |= memory_goals(variants)
    extra = ratio(good, TLS, PASS, "us")
    return {"variants": rows, "goals": goals, "memory": memory, "tls_to_passthrough": extra}


def memory_goals(variants: Sequence[Variant]) -> dict[str, tuple[float, float, float, float]]:
    """Return what the product in passthrough occupies, against the goals."""
    found = [variant for variant in variants if variant.name == PASS]
    idle = median_and_range(variant.rss_idle / 1024 for variant in found)
    call = median_and_range(kib for variant in found for kib in variant.rss_call)
    return {"memory idle, MiB": (*idle, IDLE_MIB), "memory a call, KiB": (*call, KIB_A_CALL)}


def verdict(median: float, low: float, high: float, goal: float, *, at_least: bool = False) -> str:
    """Say whether a goal is met; it is missed when the median is by more than 15 %, and the better end is, too."""
    if median != median:  # NaN is not itself
        return "not measured"
    if at_least:
        is_met, is_near = median >= goal, median >= goal / 1.15 or high >= goal
    else:
        is_met, is_near = median <= goal, median <= goal * 1.15 or low <= goal
    return "met" if is_met else "within the noise" if is_near else "not met"


def goal_rows(goals: Mapping[str, tuple[float, float, float, float]], *, at_least: bool = False) -> list[str]:
    """Return the lines of the table of goals, without its head."""
    sign = ">=" if at_least else "<="
    return [
        f"| {text} | {sign} {goal:g} | {median:.2f} | {low:.2f}..{high:.2f} "
        f"| {verdict(median, low, high, goal, at_least=at_least)} |"
        for text, (median, low, high, goal) in goals.items()
    ]


GOALS_HEAD = ["", "| figure | goal | median | p10..p90 | |", "|---|---|---|---|---|"]


def show(result: Mapping[str, Any]) -> str:
    """Return the tables."""
    lines = ["| variant | segments | us/frame | / relay | / naive | p50 ms | p99 ms | core % |"]
    lines += ["|---|---|---|---|---|---|---|---|"]
    for name, row in result["variants"].items():
        relay, naive = row["us_to_relay"], row["us_to_naive"]
        lines.append(
            f"| {name} | {row['segments']} | {row['us'][0]:.1f} | {relay[0]:.2f} [{relay[1]:.2f}..{relay[2]:.2f}] "
            f"| {naive[0]:.2f} [{naive[1]:.2f}..{naive[2]:.2f}] | {row['p50'][0]:.2f} | {row['p99'][0]:.2f} "
            f"| {row['load'][0] * 100:.0f} |"
        )
    lines += [*GOALS_HEAD, *goal_rows(result["goals"])]
    median, low, high = result["tls_to_passthrough"]
    lines.append(f"| CPU, TLS to the engine / passthrough | | {median:.2f} | {low:.2f}..{high:.2f} | |")
    lines += ["", "| variant | idle MiB | KiB a call |", "|---|---|---|"]
    for name, memory in result["memory"].items():
        lines.append(f"| {name} | {memory['idle_mib']:.0f} | {memory['kib_a_call']:.0f} |")
    return "\n".join(lines)
