"""Opening the database: one connection that writes, a few that only read.

Why SQLite is the plain driver on threads of its own: through aiosqlite every statement crosses threads several
times, and each crossing waits for the interpreter. A batch of 32 rows took five times as long as in one crossing
(`tests/bench/bench_store.py` measures the store as it is); and with a hundred calls at once four aiosqlite readers
answered so slowly that webhooks waited for seconds. Who only looks, on the command line, reads through aiosqlite.
SQLAlchemy's asynchronous half, which brings its ORM along (8 MiB), is loaded where it is used.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Protocol, TypeVar

import structlog
from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.pool import ConnectionPoolEntry, QueuePool, StaticPool

from archer_bridge.adapters.sql.address import Address
from archer_bridge.adapters.sql.batch import Done, Failed, Work, run_batch
from archer_bridge.adapters.sql.faults import store_error
from archer_bridge.errors import StoreError, StoreUnavailable

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncEngine

T = TypeVar("T")
log = structlog.get_logger(__name__)

BUSY_TIMEOUT_MS = 5000
CONNECT_TIMEOUT_S = 5.0
COMMAND_TIMEOUT_S = 10.0
WRITER_PRAGMAS = (
    "journal_mode=WAL",
    # NORMAL loses acknowledged commits when the power goes: https://sqlite.org/pragma.html#pragma_synchronous
    "synchronous=FULL",
    f"busy_timeout={BUSY_TIMEOUT_MS}",
    "foreign_keys=ON",
    "journal_size_limit=67108864",
    "trusted_schema=OFF",
)
READER_PRAGMAS = (f"busy_timeout={BUSY_TIMEOUT_MS}", "query_only=ON", "trusted_schema=OFF")


class Committer(Protocol):
    """The one connection that writes."""

    async def commit(self, works: Sequence[Work]) -> list[Done | Failed]:
        """Run `works` as one transaction, durable on return; raises StoreUnavailable."""

    async def close(self) -> None:
        """Release the connection."""


def _prepare(engine: Engine, pragmas: Sequence[str]) -> None:
    """Make each new SQLite connection use the pragmas.

    A listener for connections costs nothing later; one for what is done on them, such as `begin`, makes every
    statement look for listeners, and take two thirds more time.
    """

    @event.listens_for(engine, "connect")
    def on_connect(connection: DBAPIConnection, _: ConnectionPoolEntry) -> None:
        cursor = connection.cursor()
        for pragma in pragmas:
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()


def sqlite_writer_engine(address: Address) -> Engine:
    """Return an engine with one connection for a SQLite file, usable from one thread at a time.

    `isolation_level=None` hands transactions to us, see `writing`: the driver would otherwise begin them deferred,
    and a deferred transaction that turns into a writer can fail at once with SQLITE_BUSY.
    """
    engine = create_engine(
        address.writer_url(),
        poolclass=StaticPool,
        connect_args={"isolation_level": None, "check_same_thread": False},
    )
    _prepare(engine, WRITER_PRAGMAS)
    return engine


def postgres_engine(address: Address, *, size: int, read_only: bool) -> AsyncEngine:
    """Return a pool of `size` connections whose every wait is bounded.

    One that only reads has no transactions, unless `see_one_state` begins one: a statement is one round trip to the
    server then, not three, and the ping before it is one, not three.
    """
    from sqlalchemy.ext.asyncio import create_async_engine

    settings = {"application_name": "archer-bridge", "lock_timeout": str(BUSY_TIMEOUT_MS)}
    if read_only:
        settings["default_transaction_read_only"] = "on"
    return create_async_engine(
        address.writer_url(),
        pool_size=size,
        max_overflow=0,
        pool_timeout=CONNECT_TIMEOUT_S,
        pool_pre_ping=read_only,
        isolation_level="AUTOCOMMIT" if read_only else "READ COMMITTED",
        connect_args={
            "timeout": CONNECT_TIMEOUT_S,
            "command_timeout": COMMAND_TIMEOUT_S,
            "server_settings": settings,
        },
    )


class SqliteCommitter:
    """The SQLite writer: one connection on one thread, one thread crossing a batch."""

    def __init__(self, address: Address) -> None:
        self._engine = sqlite_writer_engine(address)
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="archer-store")

    async def commit(self, works: Sequence[Work]) -> list[Done | Failed]:
        """Commit on the writer's thread."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._commit, works)

    def _commit(self, works: Sequence[Work]) -> list[Done | Failed]:
        try:
            with self._engine.connect() as connection:
                return run_batch(connection, works)
        except Exception as error:
            self._engine.dispose()
            raise StoreUnavailable(str(store_error(error, "the record cannot be written"))) from error

    async def close(self) -> None:
        """Let SQLite look after its statistics, fold the log into the file, and stop the thread."""
        try:
            await asyncio.get_running_loop().run_in_executor(self._thread, self._close)
        except Exception as error:
            # Every acknowledged row is durable already; only the tidying was lost.
            log.warning("store_closed_untidily", detail=str(store_error(error, "closing the record")))
        finally:
            self._thread.shutdown(wait=True)

    def _close(self) -> None:
        try:
            with self._engine.begin() as connection:
                connection.exec_driver_sql("PRAGMA optimize")
        finally:
            self._engine.dispose()


class PostgresCommitter:
    """The PostgreSQL writer: one asyncpg connection, made anew after a loss."""

    def __init__(self, address: Address) -> None:
        self._engine = postgres_engine(address, size=1, read_only=False)

    async def commit(self, works: Sequence[Work]) -> list[Done | Failed]:
        """Commit over the one connection."""
        try:
            async with self._engine.connect() as connection:
                return await connection.run_sync(run_batch, works)
        except Exception as error:
            raise StoreUnavailable(str(store_error(error, "the record cannot be written"))) from error

    async def close(self) -> None:
        """Close the connection."""
        await self._engine.dispose()


def open_committer(address: Address) -> Committer:
    """Return the writer's connection for this database; it connects with the first batch."""
    return SqliteCommitter(address) if address.file is not None else PostgresCommitter(address)


class Reading(Protocol):
    """Connections that cannot write, for everything that only looks."""

    async def read(self, work: Callable[[Connection], T]) -> T:
        """Run `work`; each of its statements sees one state of the database, all see the same after `see_one_state`.

        Raises:
            StoreError: StoreUnavailable when the database does not answer.
        """

    async def close(self) -> None:
        """Close every connection."""


class ThreadReader:
    """Readers of a SQLite file that is served: a few threads, one crossing a read."""

    def __init__(self, address: Address, *, size: int = 3) -> None:
        self._engine = create_engine(
            address.reader_url("pysqlite"),
            poolclass=QueuePool,
            pool_size=size,
            max_overflow=0,
            connect_args={"isolation_level": None, "check_same_thread": False},
        )
        _prepare(self._engine, READER_PRAGMAS)
        self._threads = ThreadPoolExecutor(size, thread_name_prefix="archer-read")
        self._is_closed = False

    async def read(self, work: Callable[[Connection], T]) -> T:
        """Run `work` on one of the threads."""
        if self._is_closed:
            raise StoreError("the store is closed")
        return await asyncio.get_running_loop().run_in_executor(self._threads, self._read, work)

    def _read(self, work: Callable[[Connection], T]) -> T:
        try:
            with self._engine.connect() as connection:
                return work(connection)
        except Exception as error:
            raise store_error(error, "the record cannot be read") from error

    async def close(self) -> None:
        """End the threads and close the connections."""
        self._is_closed = True
        await asyncio.to_thread(self._threads.shutdown)
        self._engine.dispose()


class Reader:
    """A pool of connections of an asynchronous driver: PostgreSQL, or a SQLite file that nobody is served from."""

    def __init__(self, address: Address, *, size: int = 4) -> None:
        if address.file is None:
            self._engine = postgres_engine(address, size=size, read_only=True)
        else:
            from sqlalchemy.ext.asyncio import create_async_engine

            self._engine = create_async_engine(
                address.reader_url(),
                pool_size=size,
                max_overflow=0,
                pool_timeout=CONNECT_TIMEOUT_S,
                connect_args={"isolation_level": None},
            )
            _prepare(self._engine.sync_engine, READER_PRAGMAS)
        self._is_closed = False

    async def read(self, work: Callable[[Connection], T]) -> T:
        """Run `work` over one of the connections."""
        if self._is_closed:
            raise StoreError("the store is closed")
        try:
            async with self._engine.connect() as connection:
                return await connection.run_sync(work)
        except Exception as error:
            raise store_error(error, "the record cannot be read") from error

    async def close(self) -> None:
        """Close every connection."""
        self._is_closed = True
        await self._engine.dispose()


def open_reader(address: Address, *, read_only: bool) -> Reading:
    """Return connections for reading; `read_only`: nobody writes here, and nothing is in a hurry."""
    return Reader(address) if read_only or address.file is None else ThreadReader(address)
