"""How many durable rows a second the store takes, and how long one waits.

    python tests/bench/bench_store.py [--seconds 3] [--database URL]

Without --database the record is a SQLite file in the working directory's file system (a memory file system
would measure no disk). Every figure counts acknowledged writes only: each is durable when it counts.
"""

import argparse
import asyncio
import logging
import platform
import shutil
import sqlite3
import sys
import tempfile
from collections.abc import Awaitable, Callable
from importlib.metadata import version
from importlib.util import find_spec
from itertools import count
from pathlib import Path

import structlog

from archer_bridge.adapters.sql import SqlStore, open_store, upgrade
from archer_bridge.models import NewCall, ToolBegin

Write = Callable[[int], Awaitable[object]]
WRITERS = (1, 32)


def writes(store: SqlStore, call_sid: str) -> dict[str, Write]:
    """Return one write of each kind, as the bridge makes them."""

    async def webhook_receipt(number: int) -> None:
        await store.receive_webhook(f"{call_sid}|{number}", call_sid, "status")

    async def open_call(number: int) -> None:
        await store.open_call(NewCall(f"CA{number:032x}", "AC" + "0" * 32, "+15550100001", "+15550199999"))

    async def begin_tool(number: int) -> None:
        await store.begin_tool(ToolBegin(f"bench:{number}", call_sid, "process_payment", "{}", "a" * 64, f"b{number}"))

    return {
        "webhook receipt (1 row)": webhook_receipt,
        "open call (row + event)": open_call,
        "begin tool (row + event)": begin_tool,
    }


async def measure(write: Write, numbers: "count[int]", *, writers: int, seconds: float) -> tuple[float, list[float]]:
    """Return acknowledged writes a second and the sorted waits in milliseconds."""
    loop = asyncio.get_running_loop()
    waits: list[float] = []
    started = loop.time()
    end = started + seconds

    async def keep_writing() -> None:
        while (before := loop.time()) < end:
            await write(next(numbers))
            waits.append((loop.time() - before) * 1000)

    async with asyncio.TaskGroup() as group:
        for _ in range(writers):
            group.create_task(keep_writing())
    return len(waits) / (loop.time() - started), sorted(waits)


def machine() -> str:
    """Return what the figures depend on."""
    names = ("sqlalchemy", "aiosqlite", "asyncpg")
    packages = ", ".join(f"{name} {version(name)}" for name in names if find_spec(name) is not None)
    cpu = next(
        (line.split(":", 1)[1].strip() for line in _lines("/proc/cpuinfo") if line.startswith("model name")),
        platform.processor(),
    )
    load = next(iter(_lines("/proc/loadavg")), "unknown").split(" ")[0]
    return (
        f"Python {platform.python_version()}, SQLite {sqlite3.sqlite_version}, {packages}\n"
        f"{platform.system()} {platform.release()}, {cpu}, load {load}"
    )


def _lines(path: str) -> list[str]:
    file = Path(path)
    return file.read_text().splitlines() if file.is_file() else []


async def run(url: str, seconds: float) -> None:
    """Measure and print every kind of write."""
    await upgrade(url)
    async with await open_store(url, owner_id="bench") as store:
        call_sid = "CA" + "f" * 32
        await store.open_call(NewCall(call_sid, "AC" + "0" * 32, "+15550100001", "+15550199999"))
        sys.stdout.write(f"{store.database_version}\n{machine()}\n\n")
        sys.stdout.write(
            f"{'durable write':<26}{'writers':>8}{'a second':>10}{'p50 ms':>8}{'p99 ms':>8}{'max ms':>8}\n"
        )
        numbers = count()
        for name, write in writes(store, call_sid).items():
            for writers in WRITERS:
                rate, waits = await measure(write, numbers, writers=writers, seconds=seconds)
                p50, p99 = waits[len(waits) // 2], waits[int(len(waits) * 0.99)]
                line = f"{name:<26}{writers:>8}{rate:>10,.0f}{p50:>8.1f}{p99:>8.1f}{waits[-1]:>8.1f}\n"
                sys.stdout.write(line)


def main() -> None:
    """Read the options and measure."""
    parser = argparse.ArgumentParser(description="Durable writes a second of the record.")
    parser.add_argument("--seconds", type=float, default=3.0, help="of each measurement")
    parser.add_argument("--database", help="URL of an empty database to measure instead of a SQLite file")
    options = parser.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    folder = Path(tempfile.mkdtemp(prefix="archer-bench-", dir=Path.cwd()))
    try:
        asyncio.run(run(options.database or f"sqlite:///{folder}/record.db", options.seconds))
    finally:
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
