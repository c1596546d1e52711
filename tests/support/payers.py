"""Bridge processes that pay, and fresh records for them."""

import asyncio
import itertools
import multiprocessing
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import create_async_engine

from archer_bridge.adapters.sql import upgrade
from archer_bridge.adapters.sql.address import parse_address
from tests.adapters.sql.postgres_server import find_binaries, running_postgres
from tests.support.bank import Bank
from tests.support.payer import run

PROCESSES = multiprocessing.get_context("forkserver")
PROCESSES.set_forkserver_preload(["tests.support.payer"])  # imports once; every payer is a process of its own
SECONDS = 120.0
"""Longest that one process may take."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a proof runs: the record's address, the bank and its port."""

    url: str
    bank: Bank
    port: int


@dataclass(frozen=True, slots=True)
class Payer:
    """A bridge process and the pipe to it."""

    process: ForkServerProcess
    pipe: Connection

    def say(self, limit: int = 1 << 30) -> list[Any]:
        """Return the next things it says, at most `limit`, until its end; what its death cut short is not counted."""
        heard: list[Any] = []
        while len(heard) < limit:
            if not self.pipe.poll(SECONDS):
                raise TimeoutError(f"nothing for {SECONDS:g} s after {len(heard)} messages")
            try:
                heard.append(self.pipe.recv())
            except (EOFError, ConnectionResetError):
                break
        return heard


@contextmanager
def payer(place: Place, mode: str, **given: Any) -> Iterator[Payer]:
    """Run a bridge process; it is killed at the end of the block if it still lives."""
    ours, theirs = PROCESSES.Pipe()
    given = {"url": place.url, "port": place.port, "owner": "b", "step": "", "tool": "charge", **given}
    process = PROCESSES.Process(target=run, args=(mode, given, theirs))
    process.start()
    theirs.close()
    try:
        yield Payer(process, ours)
    finally:
        process.kill()
        process.join()
        ours.close()


@contextmanager
def postgres_places(bank: Bank, port: int) -> Iterator[Iterator[Place] | None]:
    """Yield fresh PostgreSQL records, or None where there is no server to be had."""
    binaries = find_binaries()
    if binaries is None:
        yield None
        return
    with running_postgres(binaries) as server:
        asyncio.run(_execute(server.maintenance_url, "CREATE DATABASE template"))
        asyncio.run(upgrade(server.url("template")))

        def places() -> Iterator[Place]:
            for number in itertools.count(1):
                name = f"proof_{number}"
                asyncio.run(_execute(server.maintenance_url, f"CREATE DATABASE {name} TEMPLATE template"))
                yield Place(server.url(name), bank, port)

        yield places()


async def _execute(url: str, statement: str) -> None:
    engine = create_async_engine(parse_address(url).url, isolation_level="AUTOCOMMIT")
    async with engine.connect() as connection:
        await connection.execute(text(statement))
    await engine.dispose()


def sqlite_places(folder: Path, bank: Bank, port: int) -> Iterator[Place]:
    """Yield fresh SQLite records."""
    template = folder / "template.db"
    asyncio.run(upgrade(f"sqlite:///{template}"))
    for number in itertools.count(1):
        file = folder / f"record{number}.db"
        shutil.copy(template, file)
        yield Place(f"sqlite:///{file}", bank, port)
