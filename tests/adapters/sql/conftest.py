"""Databases for the store's tests: every contract runs on SQLite and on PostgreSQL."""

import asyncio
import itertools
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import make_url, text
from sqlalchemy.ext.asyncio import create_async_engine

from archer_bridge.adapters.sql import SqlStore, open_store, upgrade
from archer_bridge.adapters.sql.address import parse_address
from archer_bridge.adapters.sql.seed import DEMO_CUSTOMERS
from tests.adapters.sql.postgres_server import PostgresServer, find_binaries, running_postgres

NO_SERVER = (
    "PostgreSQL IS NOT TESTED: no server under /usr/lib/postgresql or on PATH, and ARCHER_TEST_POSTGRES_URL is not "
    "set; install one (apt-get install postgresql) or name one"
)
TEMPLATE = "archer_template"
_numbers = itertools.count(1)


@dataclass(frozen=True, slots=True)
class Database:
    """An empty record with the newest schema."""

    dialect: str
    url: str


OpenStore = Callable[..., Awaitable[SqlStore]]


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """A server with a template database that has the schema."""
    external = os.environ.get("ARCHER_TEST_POSTGRES_URL")
    binaries = find_binaries()
    if external:
        server = PostgresServer(make_url(external).set(drivername="postgresql"))
        _make_template(server)
        yield server
    elif binaries is not None:
        with running_postgres(binaries) as server:
            _make_template(server)
            yield server
    else:
        pytest.skip(NO_SERVER)


def _make_template(server: PostgresServer) -> None:
    async def work() -> None:
        await execute(server, f"DROP DATABASE IF EXISTS {TEMPLATE}", f"CREATE DATABASE {TEMPLATE}")
        await upgrade(server.url(TEMPLATE))

    asyncio.run(work())


async def execute(server: PostgresServer, *statements: str) -> None:
    """Run statements in the server's maintenance database."""
    engine = create_async_engine(parse_address(server.maintenance_url).url, isolation_level="AUTOCOMMIT")
    async with engine.connect() as connection:
        for statement in statements:
            await connection.execute(text(statement))
    await engine.dispose()


@pytest.fixture
async def postgres_database(postgres: PostgresServer) -> AsyncIterator[Database]:
    """A fresh PostgreSQL database."""
    name = f"archer_test_{os.getpid()}_{next(_numbers)}"
    await execute(postgres, f"CREATE DATABASE {name} TEMPLATE {TEMPLATE}")
    yield Database("postgresql", postgres.url(name))
    await execute(postgres, f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def sqlite_database(tmp_path: Path) -> Database:
    """A SQLite file that does not exist yet."""
    return Database("sqlite", f"sqlite:///{tmp_path}/record.db")


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest) -> Database:
    """One of every kind of database."""
    kinds = {"sqlite": "sqlite_database", "postgresql": "postgres_database"}
    found: Database = request.getfixturevalue(kinds[request.param])
    return found


@pytest.fixture
async def open_one(database: Database) -> AsyncIterator[OpenStore]:
    """Open stores on the database of the test; those still open at its end are closed."""
    opened: list[SqlStore] = []

    async def open_it(**options: Any) -> SqlStore:
        store = await open_store(database.url, **({"owner_id": "bridge-1"} | options))
        opened.append(store)
        return store

    yield open_it
    for store in opened:
        await store.close()


@pytest.fixture
async def store(open_one: OpenStore) -> SqlStore:
    """An open store with the demo customers in it."""
    store = await open_one()
    await store.add_customers(DEMO_CUSTOMERS)
    return store
