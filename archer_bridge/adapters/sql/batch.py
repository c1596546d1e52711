"""Running many small writes as one transaction."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection

from archer_bridge.adapters.sql.faults import is_unavailable, store_error
from archer_bridge.adapters.sql.statements import writing
from archer_bridge.errors import StoreUnavailable

Work = Callable[[Connection], Any]
"""One write: it gets the open transaction, may run twice, and touches nothing but the connection."""


@dataclass(frozen=True, slots=True)
class Done:
    """The write is in the transaction; `value` is what it returned."""

    value: Any


@dataclass(frozen=True, slots=True)
class Failed:
    """The write alone was undone; the others are in the transaction."""

    error: Exception


def run_batch(connection: Connection, works: Sequence[Work]) -> list[Done | Failed]:
    """Commit all the works together; a work that fails is undone alone.

    The first try has no savepoints, which makes it about 2.5 times as fast; when a work fails, the
    transaction is undone and run again with a savepoint around each work.

    Raises:
        StoreUnavailable: nothing was committed, as far as this side can know.
    """
    try:
        with writing(connection):
            return [Done(work(connection)) for work in works]
    except Exception as error:
        if is_unavailable(error):
            raise store_error(error, "the record cannot be written") from error
    try:
        with writing(connection):
            return [_run_alone(connection, work) for work in works]
    except Exception as error:
        raise StoreUnavailable(str(store_error(error, "the record cannot be written"))) from error


def _run_alone(connection: Connection, work: Work) -> Done | Failed:
    try:
        with connection.begin_nested():
            return Done(work(connection))
    except Exception as error:
        if is_unavailable(error):
            raise
        return Failed(store_error(error, "the record refused a row") if _is_sql(error) else error)


def _is_sql(error: Exception) -> bool:
    return type(error).__module__.startswith("sqlalchemy.")
