"""A process of its own that keeps writing to a record, for tests that kill it or race it.

python -m tests.adapters.sql.child write URL OWNER     prints each SID once it is acknowledged, for ever
python -m tests.adapters.sql.child hold URL OWNER      opens the store, says so, waits for its input to end
"""

import asyncio
import logging
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import structlog

from archer_bridge.adapters.sql import open_store
from archer_bridge.errors import StoreError
from tests.adapters.sql.samples import new_call, tool, turn

ROOT = Path(__file__).parents[3]


@dataclass(frozen=True, slots=True)
class Child:
    """A running process of this module and the ends of its pipes."""

    process: subprocess.Popen[str]
    told: IO[str]


@contextmanager
def child(*arguments: str) -> Iterator[Child]:
    """Run this module in a new process; it is killed at the end of the block if it still lives."""
    process = subprocess.Popen(
        [sys.executable, "-m", __name__, *arguments],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with process:
        assert process.stdout is not None, "it was asked for"
        try:
            yield Child(process, process.stdout)
        finally:
            process.kill()


def say(line: str) -> None:
    """Tell the parent."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


async def write(url: str, owner: str) -> None:
    """Write calls on eight tasks; print a SID only after everything about it is acknowledged."""

    async def one_after_another() -> None:
        while True:
            sid = (await store.open_call(new_call())).call_sid
            await store.claim_stream(sid, "MZ1", f"token-{sid}", owner)
            store.add_turn(sid, turn())
            await store.begin_tool(tool(f"{sid}:1", sid, business_key=sid))
            await store.flush()
            say(sid)

    async with await open_store(url, owner_id=owner) as store, asyncio.TaskGroup() as group:
        for _ in range(8):
            group.create_task(one_after_another())


async def hold(url: str, owner: str) -> None:
    """Open the store and keep it."""
    try:
        async with await open_store(url, owner_id=owner):
            say("open")
            await asyncio.to_thread(sys.stdin.read)
    except StoreError as error:
        say(f"refused: {error}")


if __name__ == "__main__":
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    asyncio.run({"write": write, "hold": hold}[sys.argv[1]](*sys.argv[2:]))
