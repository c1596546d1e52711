"""What the capacity mode prints and draws."""

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.bench.capacity import LIMIT_MS
from tests.bench.figures import GOALS_HEAD, UNKNOWN, goal_rows
from tests.bench.variants import NAIVE, PASS, PCM_16000

GOALS = (("calls a core, passthrough / naive", PASS, 3.0), ("calls a core, pcm_16000 / naive", PCM_16000, 3.0))
"""At least."""


def capacity_goals(rows: Mapping[str, Any]) -> dict[str, tuple[float, float, float, float]]:
    """Return the ratios to the naive bridge, in the form of the other goals.

    NaN where only bounds are known that decide nothing: naive's, or one of the product's that is below the goal.
    """
    naive = rows.get(NAIVE, {"calls": 0, "is_bound": True})
    goals = {}
    for text, name, goal in GOALS:
        is_known = name in rows and naive["calls"] and not naive["is_bound"]
        ratio = rows[name]["calls"] / naive["calls"] if is_known else UNKNOWN
        if is_known and rows[name]["is_bound"] and ratio < goal:
            ratio = UNKNOWN
        goals[text] = (ratio, ratio, ratio, goal)
    return goals


def show_capacity(result: Mapping[str, Any]) -> str:
    """Return the tables."""
    rows = result["capacity"]
    lines = [f"| variant | calls a core, p99 < {LIMIT_MS:g} ms | what ended it | segments not counted |"]
    lines += ["|---|---|---|---|"]
    for name, row in rows.items():
        bound = f"at least {row['calls']}" if row["calls"] else "not measured"
        calls = bound if row["is_bound"] else str(row["calls"])
        ended = f"{row['failed_at']} calls: {row['why']}" if row["failed_at"] else "no step was left"
        lines.append(f"| {name} | {calls} | {ended} | {sum(point['blind'] for point in row['points'])} |")
    lines += [*GOALS_HEAD, *goal_rows(capacity_goals(rows), at_least=True), ""]
    lines += ["| variant | calls | core % | p50 ms | p99 ms |", "|---|---|---|---|---|"]
    lines += [
        f"| {name} | {one['calls']} | {one['load'] * 100:.0f} | {one['p50']:.2f} | {one['p99']:.2f} |"
        for name, row in rows.items()
        for one in row["points"]
    ]
    return "\n".join(lines)


def plot(result: Mapping[str, Any], path: Path) -> bool:
    """Draw added latency and CPU against the number of calls; say so and return False without matplotlib."""
    try:
        import matplotlib
    except ModuleNotFoundError:
        print(f"SKIPPED: {path}: matplotlib is not installed; pip install 'archer-bridge[bench]'", file=sys.stderr)
        return False
    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, (delay, core) = pyplot.subplots(2, 1, sharex=True, figsize=(8, 8), layout="constrained")
    for name, row in result["capacity"].items():
        points = row["points"]
        calls = [one["calls"] for one in points]
        (line,) = delay.plot(calls, [one["p50"] for one in points], marker="o", label=f"{name}, p50")
        color = line.get_color()
        delay.plot(calls, [one["p99"] for one in points], marker="s", ls="--", color=color, label=f"{name}, p99")
        core.plot(calls, [one["load"] * 100 for one in points], marker="o", color=color, label=name)
    delay.axhline(LIMIT_MS, color="grey", lw=0.8, ls=":")
    delay.set(yscale="log", ylabel="added latency of a frame, ms")
    core.set(xscale="log", xlabel="calls at once", ylabel="CPU, % of a core", ylim=(0, 105))
    ticks = sorted({one["calls"] for row in result["capacity"].values() for one in row["points"]})
    core.set_xticks(ticks, [str(tick) for tick in ticks], rotation=90)
    core.minorticks_off()
    for axes in (delay, core):
        axes.grid(visible=True, alpha=0.3)
        axes.legend(fontsize=8)
    figure.suptitle(result["machine"].partition(", load")[0], fontsize=9)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path)
    pyplot.close(figure)
    return True
