"""SIGKILL of one of two bridges with live calls: `python -m tests.prove.takeover [--calls 50] [--seed N]`.

Behind HAProxy, on one PostgreSQL. Twilio is simulated as asking `<Connect action>` after the loss of the connection,
which it does not document; then the other bridge lets the call go on, and the agent must be heard again soon.
"""

import argparse
import asyncio
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from tests.support.rush.balancer import haproxy, no_haproxy
from tests.support.rush.judge import Finding, Record, none_of
from tests.support.rush.main import run_proof
from tests.support.rush.plan import Plan
from tests.support.rush.scene import scene
from tests.support.rush.storage import no_postgres

WITHIN_S = 5.0
SHARE = 0.98


async def prove(options: argparse.Namespace, folder: Path) -> Sequence[Finding]:
    """Run it."""
    limits = {"ARCHER_SERVER__MAX_DRAIN_S": "5", "ARCHER_CALLS__DEAD_AIR_S": "4"}
    async with (
        scene(folder, limits, seed=options.seed, database="postgres", bridges=2) as here,
        haproxy(folder, [bridge.address for bridge in here.bridges]) as address,
    ):
        here.address = address
        plans = [here.plan(talk_s=12.0) for _ in range(options.calls)]
        for plan in plans:
            here.place(plan)
            await asyncio.sleep(0.04)
        await here.talking(plans)
        loop = asyncio.get_running_loop()
        killed_at = loop.time()
        await here.bridge.kill()
        await asyncio.sleep(WITHIN_S + 0.5)
        cut = [plan for plan in plans if plan.stream_lost]
        waits = sorted(_silence(plan, killed_at) for plan in cut)
        await here.all_over()
        return await _findings(here.url, plans, cut, waits)


def _silence(plan: Plan, killed_at: float) -> float:
    """Return the seconds from the kill to the agent's next word; infinite when there was none in time."""
    return min((at - killed_at for at in plan.audio_at if at > plan.stream_lost[0]), default=float("inf"))


async def _findings(url: str, plans: Sequence[Plan], cut: Sequence[Plan], waits: Sequence[float]) -> list[Finding]:
    rows = await Record(url).ask("SELECT call_sid, outcome FROM calls")
    outcomes = Counter(str(outcome) for _, outcome in rows)
    back = sum(wait <= WITHIN_S for wait in waits)
    share = back / len(waits) if waits else 0.0
    worst = f"{back} of {len(waits)}" + (f", slowest {waits[back - 1]:.1f} s" if back else "")
    untouched = [plan.call_sid for plan in plans if plan not in cut and not plan.said_done]
    not_ended = [sid for sid, outcome in rows if outcome is None]
    print(f"{len(plans)} calls, {len(cut)} of them on the killed process, {dict(outcomes)}")
    return [
        Finding("calls that were on the killed process", "> 0", str(len(cut)), bool(cut)),
        Finding(f"of them, hearing the agent again within {WITHIN_S:g} s", f">= {SHARE:.0%}", worst, share >= SHARE),
        none_of("calls of the other process that suffered", untouched),
        none_of("calls not ended", not_ended),
    ]


def missing(_: argparse.Namespace) -> str:
    """Say what this machine lacks."""
    return no_haproxy() or no_postgres()


if __name__ == "__main__":
    sys.exit(run_proof(__doc__, prove, missing, calls=50))
