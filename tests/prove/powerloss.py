"""Power cuts: `python -m tests.prove.powerloss [--cuts 300] [--writes 1500] [--seed N]`.

A child records arrangements through the product's own store, with a preloaded library that writes down every change
and every flush of its files, in order with its acknowledgements. At random instants of that history the power goes:
flushed changes are there, of all others any sectors may be. Each image must open, be sound, and have every
arrangement that was acknowledged by then. The same history without SQLite's flushes shows that the proof can fail.
"""

import argparse
import asyncio
import os
import random
import sqlite3
import subprocess
import sys
from collections.abc import Sequence
from contextlib import closing
from datetime import date
from pathlib import Path

from archer_bridge.adapters.sql import open_store
from archer_bridge.adapters.sql.seed import DEMO_CUSTOMERS
from archer_bridge.models import Arrangement, NewCall, Payment
from tests.support.rush.disk import FLUSH, WRITE, Change, Disk, build, no_compiler, read_journal
from tests.support.rush.judge import Finding, none_of
from tests.support.rush.main import run_proof

WRITERS = 16
RECORD, ACKS = "archer.db", "acks"
CHILD = "DISK_WRITES"


async def record_arrangements(folder: Path, count: int) -> None:
    """(The child.) Record so many, and acknowledge each in a file as soon as the store has."""
    numbers = iter(range(count))
    acks = os.open(folder / ACKS, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    async with await open_store(f"sqlite:///{folder / RECORD}", owner_id="power") as store:
        await store.add_customers(DEMO_CUSTOMERS)

        async def write() -> None:
            for number in numbers:
                sid = f"CA{number:032x}"
                await store.open_call(NewCall(sid, "AC" + "0" * 32, DEMO_CUSTOMERS[0].phone, "+15550199999"))
                dues = (Payment(date(2026, 12, 1), 15_000),)
                who = DEMO_CUSTOMERS[0].customer_id
                made = Arrangement(f"key-{number}", sid, who, "full_payment", "sms_link", 15_000, dues, f"A-{number}")
                await store.record_arrangement(made)
                os.write(acks, f"key-{number}\n".encode())

        await asyncio.gather(*(write() for _ in range(WRITERS)))


async def prove(options: argparse.Namespace, folder: Path) -> Sequence[Finding]:
    """Make a history, then cut the power in it."""
    changes = make_history(folder, options.writes)
    flushes = sum(change.kind == FLUSH for change in changes)
    acked = sum(change.name == ACKS for change in changes)
    print(f"{len(changes)} changes, {flushes} flushes, {acked} arrangements acknowledged")
    lost, unsound = cut_power(changes, options.cuts, options.seed, folder)
    unflushed = [change for change in changes if not (change.kind == FLUSH and change.name.endswith("-wal"))]
    bad_lost, bad_unsound = cut_power(unflushed, 30, options.seed, folder)
    return [
        Finding("acknowledged arrangements in the history", str(options.writes), str(acked), acked == options.writes),
        none_of(f"of {options.cuts} power cuts, with an acknowledged arrangement lost", lost),
        none_of("with a record that does not open or is unsound", unsound),
        Finding("of 30 without flushes of the log, with something lost", "> 0", str(len(bad_lost + bad_unsound)),
                bool(bad_lost + bad_unsound)),
    ]  # fmt: skip


def make_history(folder: Path, writes: int) -> list[Change]:
    """Run the child; return what it did to its files."""
    home = folder / "disk"
    home.mkdir()
    environment = {
        **os.environ, "LD_PRELOAD": str(build("journal.c", folder)), "DISK_JOURNAL": str(home), CHILD: str(writes)
    }  # fmt: skip
    subprocess.run([sys.executable, "-m", "tests.prove.powerloss"], env=environment, check=True, capture_output=True)
    return read_journal(folder / "journal")


def cut_power(changes: Sequence[Change], cuts: int, seed: int, folder: Path) -> tuple[list[str], list[str]]:
    """Return what was lost, and what was unsound, as sentences."""
    choose = random.Random(seed)
    first = next(n for n, change in enumerate(changes) if change.name == ACKS)
    instants = sorted(choose.sample(range(first, len(changes)), cuts))
    disk, acked, lost, unsound = Disk(), set[str](), [], []
    done = 0
    for instant in instants:
        for change in changes[done : instant + 1]:
            if change.name == ACKS and change.kind == WRITE:
                acked.add(change.data.decode().strip())
            else:
                disk.take(change)
        done = instant + 1
        image = folder / "image"
        image.mkdir(exist_ok=True)
        for old in image.iterdir():
            old.unlink()
        for name, data in disk.after_power_cut(choose):
            if not name.endswith((".lock", "-shm")):
                (image / name).write_bytes(data)
        problem, there = _open(image / RECORD)
        if problem:
            unsound.append(f"at {instant}: {problem}")
        elif missing := acked - there:
            lost.append(f"at {instant}: {len(missing)} of {len(acked)}")
    return lost, unsound


def _open(file: Path) -> tuple[str, set[str]]:
    try:
        with closing(sqlite3.connect(file)) as record:
            (verdict,) = record.execute("PRAGMA integrity_check").fetchone()
            keys = {key for (key,) in record.execute("SELECT idempotency_key FROM arrangements")}
    except sqlite3.DatabaseError as error:
        return str(error), set()
    return ("" if verdict == "ok" else str(verdict)), keys


def missing(_: argparse.Namespace) -> str:
    """Say what this machine lacks."""
    return no_compiler() if sys.platform == "linux" else "the preloaded library is for Linux"


if __name__ == "__main__":
    if CHILD in os.environ:
        asyncio.run(record_arrangements(Path(os.environ["DISK_JOURNAL"]), int(os.environ[CHILD])))
        sys.exit(0)
    sys.exit(run_proof(__doc__, prove, missing, cuts=300, writes=1500))
