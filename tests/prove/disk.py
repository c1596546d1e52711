"""A record in trouble under live calls: `python -m tests.prove.disk [--calls 12] [--seconds 6] [--seed N]`.

Disk full, database locked, every flush 200 ms late, PostgreSQL stopped and started again. While it lasts: live calls
go on and their audio waits for no database, payments are refused and said to be, not ready with the reason. When it is
over: ready again, everything that was claimed is there, every call has its outcome.
"""

import argparse
import asyncio
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import replace
from pathlib import Path

from archer_bridge.adapters.sql.address import parse_address
from tests.adapters.sql.postgres_server import find_binaries, running_postgres
from tests.support.rush.disk import build, no_compiler
from tests.support.rush.judge import Finding, Record, judge, none_of
from tests.support.rush.main import nothing_missing, run_proof
from tests.support.rush.plan import Plan
from tests.support.rush.scene import Scene, scene
from tests.support.rush.storage import fill, no_postgres
from tests.support.rush.wire import fetch

Trouble = Callable[[Scene], AbstractAsyncContextManager[None]]
LATE_MS = 60.0
"""Longest silence, beyond the 40 ms of one piece, that 99 in 100 pieces of audio may follow."""
BACK_S = 8.0


@asynccontextmanager
async def no_space(here: Scene) -> AsyncIterator[None]:
    """No file of the process may grow."""
    here.bridge.limit_files(0)
    yield
    here.bridge.limit_files(-1)


@asynccontextmanager
async def full_disk(here: Scene) -> AsyncIterator[None]:
    """The file system of the record has no room left."""
    file = parse_address(here.url).file
    assert file is not None
    filler = file.with_name("filler")
    subprocess.run(["dd", "if=/dev/zero", f"of={filler}", "bs=4096"], capture_output=True, check=False)
    yield
    filler.unlink()


@asynccontextmanager
async def locked(here: Scene) -> AsyncIterator[None]:
    """Somebody else holds the database's lock."""
    file = parse_address(here.url).file
    assert file is not None
    held = sqlite3.connect(file, isolation_level=None)
    held.execute("BEGIN IMMEDIATE")
    yield
    held.execute("ROLLBACK")
    held.close()


@asynccontextmanager
async def slow(here: Scene) -> AsyncIterator[None]:
    """Each flush takes 200 ms."""
    file = parse_address(here.url).file
    assert file is not None
    sign = file.with_name("slow")
    sign.touch()
    yield
    sign.unlink()


async def prove(options: argparse.Namespace, folder: Path) -> Sequence[Finding]:
    """Run one scene after the other."""
    found: list[Finding] = []
    for name, trouble, is_away in (("no space", no_space, True), ("locked", locked, True)):
        async with scene(_folder(folder, name), seed=options.seed) as here:
            found += await _suffer(here, name, trouble, options, is_away=is_away)
    found += await _slow_disk(options, folder)
    found += await _full_disk(options, folder)
    return [*found, *await _postgres(options, folder)]


def _folder(folder: Path, name: str) -> Path:
    made = folder / name.replace(" ", "-")
    made.mkdir()
    return made


async def _slow_disk(options: argparse.Namespace, folder: Path) -> list[Finding]:
    if why := no_compiler():
        return _skipped("slow disk", why)
    home = _folder(folder, "slow disk")
    preload = {"LD_PRELOAD": str(build("journal.c", folder)), "DISK_SLOW": str(home / "slow")}
    async with scene(home, preload, seed=options.seed) as here:
        return await _suffer(here, "slow disk", slow, options, is_away=False)


async def _full_disk(options: argparse.Namespace, folder: Path) -> list[Finding]:
    home = _folder(folder, "full disk")
    command = ["mount", "-t", "tmpfs", "-o", "size=8m", "archer-proof", str(home)]
    mounted = subprocess.run(command, capture_output=True, text=True, check=False)
    if mounted.returncode != 0:
        return _skipped("full disk", mounted.stderr.strip())
    try:
        async with scene(home, {"ARCHER_LOG__LEVEL": "error"}, seed=options.seed) as here:
            here.bridge.log = folder / "full-disk.log"
            return await _suffer(here, "full disk", full_disk, options, is_away=True)
    finally:
        subprocess.run(["umount", str(home)], check=False)
        shutil.rmtree(home, ignore_errors=True)


async def _postgres(options: argparse.Namespace, folder: Path) -> list[Finding]:
    binaries = find_binaries()
    if binaries is None or (why := no_postgres()):
        return _skipped("PostgreSQL stopped", why if binaries else no_postgres())
    with running_postgres(binaries) as server:
        await fill(server.maintenance_url)

        @asynccontextmanager
        async def stopped(_: Scene) -> AsyncIterator[None]:
            await asyncio.to_thread(server.crash)
            yield
            await asyncio.to_thread(server.start)

        home = _folder(folder, "postgres")
        async with scene(home, seed=options.seed, url=server.maintenance_url) as here:
            return await _suffer(here, "PostgreSQL stopped", stopped, options, is_away=True)


def _skipped(name: str, why: str) -> list[Finding]:
    print(f"SKIPPED, NOT PROVED: {name}: {why}")
    return []


async def _suffer(
    here: Scene, name: str, trouble: Trouble, options: argparse.Namespace, *, is_away: bool
) -> list[Finding]:
    loop = asyncio.get_running_loop()
    seconds = options.seconds
    talkers = [here.plan(talk_s=seconds + 4.0) for _ in range(options.calls)]
    payers = [here.plan(talk_s=2.0) for _ in range(4)]  # they ask for the payment in the midst of it
    for plan in (*talkers, *payers):
        here.place(plan)
    await here.talking([*talkers, *payers])
    async with trouble(here):
        began = loop.time()
        await asyncio.sleep(seconds - 1.0)
        newcomer = here.plan(talk_s=0.1)
        await here.place(newcomer)
        status, body = await fetch(here.address, "/readyz")
        await asyncio.sleep(max(0.0, began + seconds - loop.time()))
        ended = loop.time()
    back = await _ready_again(here)
    await here.all_over()
    await _all_ended(here)
    found = [
        _audio(talkers, began, ended),
        none_of("calls that did not outlive it", [p.call_sid for p in talkers if not p.said_done and not p.refused]),
        Finding("ready again after, seconds", f"<= {BACK_S:g}", f"{back:.1f}", back <= BACK_S),
        *await judge(Record(here.url), here.plans, away=None),
        none_of("complaints of a bug in the log", here.bridge.complaints() if here.bridge.log.exists() else []),
    ]
    if is_away:
        told = [*(code for plan in payers for code in plan.refused)]
        claimed = [plan.call_sid for plan in payers if plan.said_done and not plan.refused]
        unready = status == 503 and "database" in body
        found += [
            Finding("not ready, and why", "database", body[:60] if status == 503 else str(status), unready),
            Finding(
                "payments asked for meanwhile", "refused", f"{len(told)} refused, {len(claimed)} later", bool(told)
            ),
            Finding("a new caller hears", "words", (newcomer.heard or ["nothing"])[0][:40], bool(newcomer.heard)),
        ]
    return [replace(finding, what=f"{name}: {finding.what}") for finding in found]


def _audio(plans: Sequence[Plan], began: float, ended: float) -> Finding:
    gaps = sorted(
        (later - earlier) * 1000
        for plan in plans
        for earlier, later in zip(plan.audio_at, plan.audio_at[1:], strict=False)
        if began <= earlier and later <= ended
    )
    late = gaps[int(len(gaps) * 0.99)] - 40 if gaps else float("inf")
    return Finding("99 % of audio late by at most", f"{LATE_MS:g} ms", f"{late:.0f} ms", late <= LATE_MS)


async def _ready_again(here: Scene) -> float:
    loop = asyncio.get_running_loop()
    began = loop.time()
    while (await fetch(here.address, "/readyz"))[0] != 200 and loop.time() - began < 2 * BACK_S:
        await asyncio.sleep(0.1)
    return loop.time() - began


async def _all_ended(here: Scene) -> None:
    record = Record(here.url)
    for _ in range(100):
        if not await record.ask("SELECT 1 FROM calls WHERE state <> 'ended'") and not await record.ask(
            "SELECT 1 FROM tool_calls WHERE status = 'started'"
        ):
            return
        await asyncio.sleep(0.1)


if __name__ == "__main__":
    sys.exit(run_proof(__doc__, prove, nothing_missing, calls=12, seconds=6.0))
