"""The database of a rush, with the demo customers in it, and the faults it can be given from outside."""

import asyncio
import random
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.util import find_spec
from pathlib import Path

from sqlalchemy import text
from sqlalchemy.ext.asyncio import create_async_engine

from archer_bridge.adapters.sql import open_store, upgrade
from archer_bridge.adapters.sql.address import parse_address
from archer_bridge.adapters.sql.seed import DEMO_CUSTOMERS
from tests.adapters.sql.postgres_server import find_binaries, running_postgres
from tests.support.rush.bridge import BridgeProcess
from tests.support.rush.faults import POSTGRES_STORE, STORE

FAULT_S = 0.4


def no_postgres() -> str:
    """Return why there is no PostgreSQL here; empty when there is one."""
    if find_spec("asyncpg") is None:
        return "asyncpg is not installed"
    return "" if find_binaries() is not None else "no PostgreSQL server is installed"


@asynccontextmanager
async def storage(kind: str, folder: Path) -> AsyncIterator[str]:
    """Make an empty record with the demo customers; yield its URL."""
    if kind == "sqlite":
        url = f"sqlite:///{folder}/archer.db"
        await fill(url)
        yield url
        return
    binaries = find_binaries()
    assert binaries is not None, no_postgres()
    with running_postgres(binaries) as server:
        await fill(server.maintenance_url)
        yield server.maintenance_url


async def fill(url: str) -> None:
    """Make the schema, and add the demo customers."""
    await upgrade(url)
    async with await open_store(url, owner_id="filler") as store:
        await store.add_customers(DEMO_CUSTOMERS)


async def break_now(url: str, bridge: BridgeProcess, choose: random.Random) -> str:
    """Let one fault of the store strike, and pass; return its name."""
    file = parse_address(url).file
    fault = choose.choice(list(STORE if file is not None else POSTGRES_STORE))
    if file is not None and fault == "locked":
        await asyncio.to_thread(_hold_lock, file)
    elif file is not None:
        bridge.limit_files(0)
        await asyncio.sleep(FAULT_S)
        bridge.limit_files(-1)
    else:
        await _break_postgres(url, fault)
    return fault


def _hold_lock(file: Path) -> None:
    held = sqlite3.connect(file, isolation_level=None)
    try:
        held.execute("PRAGMA busy_timeout=1000")
        held.execute("BEGIN IMMEDIATE")
        # A thread of its own, which holds the lock for this long by design.
        import time

        time.sleep(FAULT_S)
        held.execute("ROLLBACK")
    finally:
        held.close()


async def _break_postgres(url: str, fault: str) -> None:
    engine = create_async_engine(parse_address(url).url)
    try:
        async with engine.begin() as connection:
            if fault == "locked":
                await connection.execute(text("LOCK TABLE calls IN EXCLUSIVE MODE"))
                await asyncio.sleep(FAULT_S)
            else:
                await connection.execute(
                    text(
                        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name='archer-bridge'"
                    )
                )
    finally:
        await engine.dispose()
