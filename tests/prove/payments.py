"""Pay from two processes at once, and kill a process at every step of a payment: `python -m tests.prove.payments`.

    python -m tests.prove.payments [--quick] [--seed N]

The processes run the product's tool runner on its real record. What really happened is counted by a bank in another
process, which charges whatever it is asked to, as often as it is asked to. Two processes race on PostgreSQL: of one
SQLite file, the second is refused. Prints a table and `N passed, M failed`; exit code 1 when anything failed.
"""

import argparse
import asyncio
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import create_async_engine

from archer_bridge.adapters.sql.address import parse_address
from tests.support.bank import open_bank
from tests.support.payer import STEPS
from tests.support.payers import Payer, Place, payer, postgres_places, sqlite_places

ROWS = (
    "SELECT status, count(*), count(DISTINCT business_key) FROM tool_calls "
    "WHERE business_key IS NOT NULL AND status <> 'denied' GROUP BY status ORDER BY status"
)


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the table."""

    what: str
    goal: str
    result: str
    holds: bool


async def _ask_sql(url: str, query: str) -> list[Any]:
    engine = create_async_engine(parse_address(url).url)
    async with engine.connect() as connection:
        rows = list(await connection.execute(text(query)))
    await engine.dispose()
    return rows


def race(place: Place, keys: int, seed: int) -> list[Finding]:
    """Two processes ask for every key twice each, in random orders of their own, starting together."""
    choose, orders = random.Random(seed), [f"order {number}" for number in range(keys)]
    given = {owner: choose.sample(orders * 2, 2 * keys) for owner in ("a", "b")}
    with payer(place, "race", owner="a", orders=given["a"]) as one, payer(place, "race", orders=given["b"]) as two:
        for each in (one, two):
            assert each.say(1) == ["ready"]
        for each in (one, two):
            each.pipe.send("go")
        with ThreadPoolExecutor() as both:
            answers = [answer for heard in both.map(Payer.say, (one, two)) for answer in heard]
    charged = place.bank.journal()
    rows = asyncio.run(_ask_sql(place.url, ROWS))
    found = "; ".join(f"{status} {count} {distinct}" for status, count, distinct in rows)
    told = Counter(answer["error"] or "ok" for answer in answers)
    lies = sum(answer["error"] is None and charged[answer["order"]] != 1 for answer in answers)
    twice = sum(charged[order] != 1 for order in orders)
    return [
        Finding(
            f"2 processes x {2 * keys} attempts on {keys} keys: answers",
            f"{4 * keys}, ok or in_progress",
            ", ".join(f"{count} {name}" for name, count in sorted(told.items())),
            told.total() == 4 * keys and set(told) <= {"ok", "in_progress"},
        ),
        Finding("charges in the bank's own journal", f"{keys}", f"{charged.total()}", charged.total() == keys),
        Finding("keys charged more than once, or never", "0", f"{twice}", twice == 0),
        Finding("by SQL: status, rows, different keys", f"ok {keys} {keys}", found, found == f"ok {keys} {keys}"),
        Finding("told that it was done when it was not", "0", f"{lies}", lies == 0),
    ]


def killed_at(place: Place, tool: str, step: str) -> list[str]:
    """Kill a payment at one step, boot again, ask again; return what is wrong."""
    order = f"{tool}: {step} ({place.url})"  # the bank's own journal is one for all
    with payer(place, "die", tool=tool, step=step, orders=[order]) as doomed:
        told = [answer for answer in doomed.say() if answer["error"] is None]
        doomed.process.join()
    place.bank.wait_quiet()
    charged = place.bank.times(order)
    with payer(place, "boot", tool=tool, orders=[order]) as booted:
        (found,) = booted.say()
    status, happened = STEPS[tool][step]
    is_bank = tool == "charge"
    (before,), (after,) = found["before"], found["after"]
    stored = {result for _, status, result in found["rows"] if status == "ok"}
    checks = {
        "it did not die by SIGKILL": doomed.process.exitcode == -9,
        "it had happened otherwise": (charged if is_bank else found["arrangements"][0]) == happened,
        "the row after the boot": [one for _, one, _ in found["rows"]] == [status] * (status != "none"),
        "told, and not in the record": all(answer["told"] in stored for answer in told),
        "told at another step": len(told) == (step == "model told"),
        "the answer before reconciling": before["error"] == ("outcome_unknown" if status == "unknown" else None),
        "the answer after reconciling": after["error"] is None,
        "another answer than was told": all(answer["told"] == after["told"] for answer in told),
        "executed other than once": (place.bank.times(order) if is_bank else found["arrangements"][1]) == 1,
        "rows left open, or a broken record": (found["left_open"], found["problems"]) == (0, 0),
    }
    return [name for name, holds in checks.items() if not holds]


def steps(places: Iterator[Place], tool: str, where: str) -> list[Finding]:
    """Kill a payment at every step, each on a fresh record."""
    findings = []
    for step, (status, happened) in STEPS[tool].items():
        wrong = killed_at(next(places), tool, step)
        goal = f"{status}, happened {happened}, then once"
        findings.append(Finding(f"{tool} on {where}: {step}", goal, "; ".join(wrong) or "so it is", not wrong))
    return findings


def hammered(place: Place, kills: int, seed: int) -> list[Finding]:
    """Kill a process that pays all the time, at moments nobody chose; boot, settle, ask for everything again."""
    choose, told, orders, unknown, wrong = random.Random(seed), dict[str, str](), list[str](), 0, 0
    for kill in range(kills):
        batch = [f"kill {kill} order {number}" for number in range(300)]
        with payer(place, "stream", orders=batch) as doomed:
            answers = doomed.say(choose.randint(1, 120))
            time.sleep(choose.uniform(0, 0.01))  # between the answers, too
            doomed.process.kill()
            answers += doomed.say()
        told.update({answer["order"]: answer["told"] for answer in answers if answer["error"] is None})
        place.bank.wait_quiet()
        orders += batch
        with payer(place, "boot", orders=batch) as booted:
            (found,) = booted.say()
        unknown += sum(status == "unknown" for _, status, _ in found["rows"])
        known = {key: result for key, status, result in found["rows"] if status == "ok"}
        wrong += sum(known.get(f"charge|{answer['order']}") != answer["told"] for answer in answers)
        wrong += found["left_open"] + found["problems"] + sum(status == "started" for _, status, _ in found["rows"])
        wrong += sum(answer["error"] is not None for answer in found["after"])
    charged = place.bank.journal()
    odd = sum(charged[order] != 1 for order in orders)
    return [
        Finding(
            f"{kills} kills at any moment: told and not in the record, or left open",
            "0",
            f"{wrong}; {len(told)} were told, {unknown} were unknown",
            wrong == 0 and len(told) >= kills,
        ),
        Finding(f"of their {len(orders)} orders charged other than once", "0", f"{odd}", odd == 0),
    ]


def prove(folder: Path, *, keys: int, kills: int, seed: int) -> Iterator[Finding]:
    """Run every proof."""
    with open_bank() as (bank, port), postgres_places(bank, port) as servers:
        files = sqlite_places(folder, bank, port)
        if servers is None:
            yield Finding("2 processes on one record", "PostgreSQL", "NOT PROVED: no server on this machine", False)
        else:
            yield from race(next(servers), keys, seed)
            yield from steps(servers, "charge", "PostgreSQL")
        yield from steps(files, "charge", "SQLite")
        yield from steps(files, "process_payment", "SQLite")
        yield from hammered(next(files), kills, seed)


def show(finding: Finding) -> str:
    """Return the finding's line."""
    word = "ok  " if finding.holds else "FAIL"
    return f"{word} {finding.what:68} goal {finding.goal:32} result {finding.result}"


def main() -> int:
    """Run every proof and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="fewer keys and kills; every step all the same")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    keys, kills = (100, 2) if options.quick else (1000, 10)
    began, findings = time.perf_counter(), []
    with tempfile.TemporaryDirectory() as folder:
        for finding in prove(Path(folder), keys=keys, kills=kills, seed=options.seed):
            findings.append(finding)
            print(show(finding), flush=True)
    failed = sum(not finding.holds for finding in findings)
    print(f"seed {options.seed}, {time.perf_counter() - began:.0f} s")
    print(f"{len(findings) - failed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
