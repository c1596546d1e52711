"""Twice as many calls as there is room for: `python -m tests.prove.overload [--capacity 30] [--seed N]`.

Half are admitted and must not notice the others, who hear the busy message at once; nobody gets an error.
"""

import argparse
import asyncio
import sys
from collections.abc import Sequence
from pathlib import Path

from tests.support.rush.judge import Finding, Record, none_of
from tests.support.rush.main import nothing_missing, run_proof
from tests.support.rush.plan import Plan
from tests.support.rush.scene import Scene, scene

BUSY_MS = 300.0
MORE_MS = 20.0
TALK_S = 6.0
REFUSED_FOR_S = 5.0


async def prove(options: argparse.Namespace, folder: Path) -> Sequence[Finding]:
    """Run the same calls twice: alone, and with as many again at the door."""
    capacity = options.capacity
    async with scene(folder, {"ARCHER_SERVER__MAX_CALLS": str(capacity)}, seed=options.seed) as here:
        alone = await _round(here, capacity, knocking=False)
        crowded = await _round(here, capacity, knocking=True)
        return await _findings(here, alone, crowded, capacity)


async def _round(here: Scene, capacity: int, *, knocking: bool) -> list[Plan]:
    plans = [here.plan(talk_s=TALK_S) for _ in range(capacity)]
    for plan in plans:
        here.place(plan)
        await asyncio.sleep(0.02)
    await here.talking(plans)
    for _ in range(capacity if knocking else 0):
        here.place(here.plan(talk_s=0.1))
        await asyncio.sleep(REFUSED_FOR_S / capacity)
    await here.all_over()
    return plans


def _late_ms(plans: Sequence[Plan]) -> float:
    """Return the 99th percentile of how much longer than usual the agent's audio was on its way."""
    gaps = sorted(
        (later - earlier) * 1000
        for plan in plans
        for earlier, later in zip(plan.audio_at, plan.audio_at[1:], strict=False)
        if later - earlier < 1.0  # not the pause between two things said
    )
    return gaps[int(len(gaps) * 0.99)]


async def _findings(here: Scene, alone: list[Plan], crowded: list[Plan], capacity: int) -> list[Finding]:
    admitted = {plan.call_sid for plan in (*alone, *crowded)}
    others = [plan for plan in here.plans.values() if plan.call_sid not in admitted]
    took = max(plan.webhook_ms[0] for plan in others)
    before, after = _late_ms(alone), _late_ms(crowded)
    rows = await Record(here.url).ask("SELECT call_sid, outcome FROM calls")
    not_done = [sid for sid, outcome in rows if sid in admitted and outcome != "completed"]
    not_busy = [sid for sid, outcome in rows if sid not in admitted and outcome != "busy"]
    unheard = [plan.call_sid for plan in others if "busy" not in " ".join(plan.heard)]
    failed = [code for plan in here.plans.values() for code in plan.statuses if code != 200]
    compared = f"{before:.0f} -> {after:.0f} ms"
    return [
        none_of(f"of {len(admitted)} admitted calls, not completed", not_done),
        Finding("99 % of gaps between their audio", f"+ {MORE_MS:g} ms", compared, after <= before + MORE_MS),
        none_of(f"of {len(others)} calls too many, not recorded as busy", not_busy),
        none_of("of them, without the busy message", unheard),
        Finding("slowest of their answers", f"<= {BUSY_MS:g} ms", f"{took:.0f} ms", took <= BUSY_MS),
        none_of("answers to Twilio other than 200", failed),
    ]


if __name__ == "__main__":
    sys.exit(run_proof(__doc__, prove, nothing_missing, capacity=30))
