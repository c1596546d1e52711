"""Which database errors mean "not now", and the sentence for each.

An unavailable database fails a whole batch and is tried again; any other error is one row's own fault.
Codes: https://sqlite.org/rescode.html and https://www.postgresql.org/docs/current/errcodes-appendix.html
"""

import sqlite3

from sqlalchemy.exc import DBAPIError, InterfaceError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from archer_bridge.errors import StoreError, StoreUnavailable

SQLITE_UNAVAILABLE = frozenset(
    {
        sqlite3.SQLITE_BUSY,
        sqlite3.SQLITE_LOCKED,
        sqlite3.SQLITE_NOMEM,
        sqlite3.SQLITE_READONLY,
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_CORRUPT,
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_PROTOCOL,
        sqlite3.SQLITE_NOTADB,
    }
)
POSTGRES_UNAVAILABLE_CLASSES = frozenset({"08", "40", "53", "57", "58", "XX"})
"""Connection, transaction rollback (deadlock), resources (disk full), operator, system, internal."""
POSTGRES_UNAVAILABLE = frozenset({"25006", "55P03"})
"""Read-only transaction (a standby), lock not available in time."""


def is_unavailable(error: BaseException) -> bool:
    """Say whether the database, rather than one statement, is at fault."""
    if isinstance(error, StoreUnavailable | OSError | PoolTimeout | TimeoutError | InterfaceError):
        return True
    if not isinstance(error, DBAPIError):
        return False
    if error.connection_invalidated:
        return True
    original = error.orig
    code = getattr(original, "sqlite_errorcode", None)
    if isinstance(code, int):
        return code & 0xFF in SQLITE_UNAVAILABLE
    state = getattr(original, "sqlstate", None)
    if isinstance(state, str):
        return state[:2] in POSTGRES_UNAVAILABLE_CLASSES or state in POSTGRES_UNAVAILABLE
    return False


def store_error(error: BaseException, where: str) -> StoreError:
    """Return the bridge's error for a database error: `where` says what could not be done.

    The parameters of a statement hold names and numbers of people, so only the driver's own words are kept.
    """
    if isinstance(error, StoreError):
        return error
    words = error.orig if isinstance(error, DBAPIError) and error.orig is not None else error
    kind = StoreUnavailable if is_unavailable(error) else StoreError
    detail = " ".join(str(words).split()) or type(words).__name__
    return kind(f"{where}: {detail}")
