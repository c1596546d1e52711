"""Let a hostile voice agent ask for tools in thousands of seeded sequences, and count what gets through.

    python tests/prove/hostile_tools.py --sequences 10000

A sequence that breaks a rule is named by its seed; run it alone with --seed N --sequences 1.
"""

import argparse
import logging
import random
import sys
from collections import Counter
from pathlib import Path

import structlog

sys.path.insert(0, str(Path(__file__).parents[2]))

from archer_bridge.devkit.virtual_time import run  # after the path
from archer_bridge.models import ToolStatus
from tests.support.hostile import HostileWorld, play
from tests.support.hostile_requests import CHARGES, CRAFTED, CUSTOMERS, DETAILS, NAMES, PAYMENTS

STEPS = (5, 40)


async def sequence(seed: int) -> tuple[list[str], Counter[str]]:
    """Play one sequence; return what went wrong, and counts of what happened."""
    random_steps = random.Random(seed)
    world = HostileWorld()
    await world.new_call(random_steps.randrange(len(CUSTOMERS)))
    counts = Counter[str]()
    wrong = 0.9 if seed % 4 == 0 else 0.2
    for _ in range(random_steps.randint(*STEPS)):
        step = _step(random_steps, world, wrong)
        counts[f"step:{step[0]}"] += 1
        await play(world, step)
    await world.settle()
    counts += Counter(f"row:{row.status.value}" for row in await world.store.tool_rows())
    counts["arrangements"] += len(await world.store.arrangements())
    counts["charges"] += sum(world.charged.values())
    counts["unknown"] += len(await world.store.tool_rows(status=ToolStatus.UNKNOWN))
    return world.problems, counts


def _step(choose: random.Random, world: HostileWorld, wrong: float) -> tuple[object, ...]:
    dice = choose.random()
    if dice < 0.45:
        return ("ask", *_towards_payment(choose, world, wrong), choose.random() < 0.05)
    if dice < 0.60:
        arguments = choose.choice([*DETAILS, *PAYMENTS, *CHARGES, *CRAFTED])
        return ("ask", choose.choice(NAMES), arguments, choose.random() < 0.3)
    if dice < 0.93:
        return ("wait", choose.choice([0.0, 0.005, 0.015, 0.05, 0.05, 2.0, 12.0]))
    if dice < 0.95:
        return ("call", choose.randrange(len(CUSTOMERS)))
    return ("hang_up",) if dice < 0.96 else ("crash",)


def _towards_payment(choose: random.Random, world: HostileWorld, wrong: float) -> tuple[str, dict[str, object]]:
    """Return what an agent would ask next, more often than not, so that the later guards are tried too.

    `wrong` is the share of verifications with details that may be somebody else's or nobody's.
    """
    call = world.calls[-1]
    details = {"account_last_4": call.customer.account_last_4, "postal_code": call.customer.postal_code}
    asked: list[tuple[str, dict[str, object]]] = [
        ("verify_account", details if choose.random() >= wrong else choose.choice(DETAILS)),
        ("get_customer_options", {}),
        ("process_payment", choose.choice(PAYMENTS)),
        ("charge", choose.choice(CHARGES)),
    ]
    if choose.random() < 0.3:
        return choose.choice(asked)
    if not call.verified:
        return asked[0]
    return choose.choice(asked[2:]) if call.offered else asked[1]


def main() -> int:
    """Run the sequences and print what happened; exit code 1 when a rule was broken."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sequences", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0, help="the first seed")
    options = parser.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    total, broken = Counter[str](), 0
    for seed in range(options.seed, options.seed + options.sequences):
        problems, counts = run(sequence(seed), max_speed=1e9)
        total += counts
        broken += bool(problems)
        for problem in problems:
            print(f"seed {seed}: {problem}")
    for name, count in sorted(total.items()):
        print(f"{name:16} {count}")
    print(f"{options.sequences} sequences, {broken} that broke a rule")
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
