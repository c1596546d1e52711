"""Rolling restarts behind HAProxy: `python -m tests.prove.rolling [--rounds 3] [--a-second 5] [--seed N]`.

Two bridges on one PostgreSQL behind the shipped configuration, with calls coming all the while; in each round each of
the two gets SIGTERM, goes when its calls are over, and is started again. No call may be dropped, no webhook fail.
"""

import argparse
import asyncio
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from tests.support.rush.balancer import haproxy, no_haproxy
from tests.support.rush.judge import Finding, Record, judge, none_of
from tests.support.rush.main import run_proof
from tests.support.rush.scene import Scene, scene
from tests.support.rush.storage import no_postgres


async def prove(options: argparse.Namespace, folder: Path) -> Sequence[Finding]:
    """Run it."""
    patient = {"ARCHER_SERVER__MIN_DRAIN_S": "2", "ARCHER_SERVER__MAX_DRAIN_S": "120"}
    async with (
        scene(folder, patient, seed=options.seed, database="postgres", bridges=2) as here,
        haproxy(folder, [bridge.address for bridge in here.bridges]) as address,
    ):
        here.address = address
        calling = asyncio.create_task(_calls(here, options.a_second))
        restarts = 0
        for _ in range(options.rounds):
            for bridge in here.bridges:
                await asyncio.sleep(1.0)
                bridge.terminate()
                await bridge.gone()
                await bridge.start()
                restarts += 1
                await asyncio.sleep(1.5)  # HAProxy must see it before the other one goes
        calling.cancel()
        await asyncio.gather(calling, return_exceptions=True)
        await here.all_over()
        return [*await _findings(here, restarts, 2 * options.rounds), *await judge(Record(here.url), here.plans)]


async def _calls(here: Scene, a_second: float) -> None:
    while True:
        here.place(here.plan(talk_s=1.5))
        await asyncio.sleep(1 / a_second)


async def _findings(here: Scene, restarts: int, wanted: int) -> list[Finding]:
    plans = here.plans.values()
    outcomes = Counter(str(outcome) for (outcome,) in await Record(here.url).ask("SELECT outcome FROM calls"))
    dropped = [plan.call_sid for plan in plans if plan.documents[-1:] != ["hang up"] or not plan.said_done]
    failed = [f"{plan.call_sid} {code}" for plan in plans for code in plan.statuses if code != 200]
    count = sum(len(plan.statuses) for plan in plans)
    print(f"{len(plans)} calls, {count} webhooks, {dict(outcomes)}")
    return [
        Finding("restarts", str(wanted), str(restarts), restarts == wanted),
        none_of(f"of {len(plans)} calls, dropped or without their arrangement", dropped),
        none_of(f"of {count} webhooks, failed", failed),
        Finding("outcomes", "completed", str(dict(outcomes)), set(outcomes) == {"completed"}),
        none_of("complaints of a bug in the logs", [line for bridge in here.bridges for line in bridge.complaints()]),
    ]


def missing(_: argparse.Namespace) -> str:
    """Say what this machine lacks."""
    return no_haproxy() or no_postgres()


if __name__ == "__main__":
    sys.exit(run_proof(__doc__, prove, missing, rounds=3, a_second=5.0))
