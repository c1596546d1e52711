"""Small statements that both databases need and spell differently."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from functools import cache
from typing import Any

from sqlalchemy import Connection, Executable, Table, bindparam, func, select
from sqlalchemy.dialects import postgresql, sqlite

from archer_bridge.adapters.sql.schema import calls

_LOCK = select(calls.c.call_sid).where(calls.c.call_sid == bindparam("sid")).with_for_update()


@contextmanager
def writing(connection: Connection) -> Iterator[None]:
    """Make a transaction that writes; it is committed on leaving, undone when an error leaves.

    On SQLite it begins IMMEDIATE: one that begins deferred and then writes can fail at once with SQLITE_BUSY.
    """
    with connection.begin():
        if connection.dialect.name == "sqlite":
            connection.exec_driver_sql("BEGIN IMMEDIATE")
        yield


def see_one_state(connection: Connection) -> None:
    """Let everything that a reader does from here on see one state of the database; to be called first."""
    if connection.dialect.name == "sqlite":
        connection.exec_driver_sql("BEGIN")
    else:
        connection.execution_options(isolation_level="REPEATABLE READ")


def insert_once(connection: Connection, table: Table, values: Mapping[str, Any]) -> bool:
    """Insert the row unless a unique key is taken; say whether it was inserted."""
    return connection.execute(_insert_once(connection.dialect.name, table), dict(values)).rowcount == 1


def upsert(connection: Connection, table: Table, values: Mapping[str, Any]) -> None:
    """Insert the row, or overwrite the one with the same primary key; `values` has every column."""
    connection.execute(_upsert(connection.dialect.name, table), dict(values))


# Building a statement takes longer than running it, so each is built once.


@cache
def _insert_once(dialect: str, table: Table) -> Executable:
    return insert(dialect, table).on_conflict_do_nothing()


@cache
def _upsert(dialect: str, table: Table) -> Executable:
    statement = insert(dialect, table)
    changed = {column.name: statement.excluded[column.name] for column in table.c if not column.primary_key}
    return statement.on_conflict_do_update(index_elements=list(table.primary_key), set_=changed)


def insert(dialect: str, table: Table) -> sqlite.Insert | postgresql.Insert:
    """Return the insert of this database, which can say what a conflict does."""
    return sqlite.insert(table) if dialect == "sqlite" else postgresql.insert(table)


def lock_call(connection: Connection, call_sid: str) -> None:
    """Make other processes wait with this call until the transaction ends.

    SQLite needs none of it: its transactions begin IMMEDIATE, so there is one writer anyway.
    """
    if connection.dialect.name != "sqlite":
        connection.execute(_LOCK, {"sid": call_sid})


def lease_clock(connection: Connection, own: datetime) -> datetime:
    """Return the clock that leases are counted on: the server's own on PostgreSQL, else `own`.

    Processes on several machines must agree on it; one wrong wall clock would reap the calls of all others.
    """
    if connection.dialect.name == "sqlite":
        return own
    now: datetime = connection.execute(select(func.clock_timestamp())).scalar_one()
    return now
