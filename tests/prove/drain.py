"""SIGTERM while calls are live: `python -m tests.prove.drain [--calls 50] [--seed N]`.

First calls that end by themselves before the deadline: none may be dropped, and the process is gone within a second of
the last. Then calls that would go on for ever: they go on to the deadline, then hear words, and end as `drained`.
"""

import argparse
import asyncio
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from tests.support.rush.judge import Finding, Record, none_of
from tests.support.rush.main import nothing_missing, run_proof
from tests.support.rush.plan import Plan
from tests.support.rush.scene import Scene, scene
from tests.support.rush.wire import fetch

DEADLINE_S = 4.0
PROXY_S = 0.5
EXIT_S = 1.0


async def prove(options: argparse.Namespace, folder: Path) -> Sequence[Finding]:
    """Run both."""
    for name in ("ends", "deadline"):
        (folder / name).mkdir()
    patient = {"ARCHER_SERVER__MIN_DRAIN_S": f"{PROXY_S:g}", "ARCHER_SERVER__MAX_DRAIN_S": "60"}
    async with scene(folder / "ends", patient, seed=options.seed) as here:
        found = await calls_that_end(here, options.calls)
    short = {**patient, "ARCHER_SERVER__MAX_DRAIN_S": str(DEADLINE_S)}
    async with scene(folder / "deadline", short, seed=options.seed) as here:
        return [*found, *await calls_that_go_on(here, options.calls)]


async def calls_that_end(here: Scene, count: int) -> list[Finding]:
    """A drain that has time."""
    plans = await _live(here, count, talk_s=2.0)
    loop = asyncio.get_running_loop()
    here.bridge.terminate()
    asked = loop.time()
    status, _ = await fetch(here.address, "/readyz")
    while status == 200 and loop.time() - asked < EXIT_S:
        status, _ = await fetch(here.address, "/readyz")
    await asyncio.sleep(PROXY_S)  # until then a proxy may not have seen it, and its calls are answered
    newcomer = here.plan(talk_s=0.1)
    await here.place(newcomer)
    await here.all_over()
    last = max(plan.ended_at for plan in plans)
    code = await here.bridge.gone()
    took = loop.time() - last
    outcomes = await _outcomes(here, plans)
    dropped = [sid for sid, outcome in outcomes.items() if outcome not in {"completed", "transferred"}]
    busy = "busy" in " ".join(newcomer.heard)
    return [
        Finding("ready while draining", "503", str(status), status == 503),
        Finding("a new call after the proxy's time", "hears busy", str(newcomer.heard[:1]), busy),
        none_of(f"of {count} live calls, dropped before the deadline", dropped),
        Finding("seconds from the last call's end to the exit", f"<= {EXIT_S:g}", f"{took:.2f}", took <= EXIT_S),
        Finding("exit code", "0", str(code), code == 0),
        none_of("complaints of a bug in the log", here.bridge.complaints()),
    ]


async def calls_that_go_on(here: Scene, count: int) -> list[Finding]:
    """A drain whose time runs out."""
    plans = await _live(here, count, talk_s=60.0)
    loop = asyncio.get_running_loop()
    here.bridge.terminate()
    asked = loop.time()
    await here.all_over()
    first = min(plan.ended_at for plan in plans) - asked
    last = max(plan.ended_at for plan in plans)
    code = await here.bridge.gone()
    took = loop.time() - last
    outcomes = Counter((await _outcomes(here, plans)).values())
    silent = [plan.call_sid for plan in plans if not plan.heard]
    return [
        Finding("seconds until the first of them was ended", f">= {DEADLINE_S:g}", f"{first:.1f}", first >= DEADLINE_S),
        Finding("their outcomes", "drained", str(dict(outcomes)), outcomes == {"drained": count}),
        none_of("of them that heard no words", silent),
        Finding("seconds from the last one's end to the exit", f"<= {EXIT_S:g}", f"{took:.2f}", took <= EXIT_S),
        Finding("exit code", "0", str(code), code == 0),
    ]


async def _live(here: Scene, count: int, *, talk_s: float) -> list[Plan]:
    plans = [here.plan(talk_s=talk_s) for _ in range(count)]
    for plan in plans:
        here.place(plan)
        await asyncio.sleep(0.01)
    await here.talking(plans)
    return plans


async def _outcomes(here: Scene, plans: Sequence[Plan]) -> dict[str, str]:
    rows = await Record(here.url).ask("SELECT call_sid, outcome FROM calls")
    wanted = {plan.call_sid for plan in plans}
    return {str(sid): str(outcome) for sid, outcome in rows if sid in wanted}


if __name__ == "__main__":
    sys.exit(run_proof(__doc__, prove, nothing_missing, calls=50))
