"""Which errors mean that the database, not the row, is at fault."""

import sqlite3

import pytest
from sqlalchemy.exc import DBAPIError, IntegrityError, OperationalError

from archer_bridge.adapters.sql.faults import is_unavailable, store_error
from archer_bridge.errors import StoreBusy, StoreError, StoreUnavailable


def _sqlite(code: int, words: str = "words") -> OperationalError:
    original = sqlite3.OperationalError(words)
    original.sqlite_errorcode = code
    return OperationalError("UPDATE calls SET from_number = ?", ("+15550100001",), original)


class _Postgres(Exception):
    def __init__(self, sqlstate: str) -> None:
        super().__init__("words")
        self.sqlstate = sqlstate


def _postgres(sqlstate: str) -> DBAPIError:
    return DBAPIError("SELECT 1", (), _Postgres(sqlstate))


@pytest.mark.parametrize(
    ("error", "unavailable"),
    [
        pytest.param(_sqlite(sqlite3.SQLITE_BUSY), True, id="sqlite-busy"),
        pytest.param(_sqlite(sqlite3.SQLITE_FULL), True, id="sqlite-full"),
        pytest.param(_sqlite(sqlite3.SQLITE_IOERR_WRITE), True, id="sqlite-extended-code"),
        pytest.param(_sqlite(sqlite3.SQLITE_READONLY), True, id="sqlite-read-only"),
        pytest.param(_sqlite(sqlite3.SQLITE_CORRUPT), True, id="sqlite-corrupt"),
        pytest.param(_sqlite(sqlite3.SQLITE_ERROR), False, id="sqlite-wrong-sql"),
        pytest.param(_sqlite(sqlite3.SQLITE_CONSTRAINT_CHECK), False, id="sqlite-check"),
        pytest.param(_postgres("53100"), True, id="postgres-disk-full"),
        pytest.param(_postgres("57P01"), True, id="postgres-shutdown"),
        pytest.param(_postgres("40P01"), True, id="postgres-deadlock"),
        pytest.param(_postgres("25006"), True, id="postgres-standby"),
        pytest.param(_postgres("23514"), False, id="postgres-check"),
        pytest.param(_postgres("42P01"), False, id="postgres-no-table"),
        pytest.param(DBAPIError("", (), _Postgres("42P01"), connection_invalidated=True), True, id="lost-connection"),
        pytest.param(ConnectionRefusedError("no"), True, id="refused"),
        pytest.param(TimeoutError(), True, id="timeout"),
        pytest.param(StoreUnavailable("away"), True, id="said-so"),
        pytest.param(IntegrityError("", (), sqlite3.IntegrityError("UNIQUE")), False, id="without-a-code"),
        pytest.param(KeyError("bug"), False, id="bug"),
    ],
)
def test_whose_fault_it_is(error: Exception, unavailable: bool) -> None:
    assert unavailable == is_unavailable(error)
    assert unavailable == isinstance(store_error(error, "writing"), StoreUnavailable)


def test_the_sentence_has_the_drivers_words_and_nobodys_data() -> None:
    error = store_error(_sqlite(sqlite3.SQLITE_FULL, "database or disk\n is full"), "the record cannot be written")

    assert str(error) == "the record cannot be written: database or disk is full"
    assert "+1555" not in str(error)


def test_an_error_without_words_is_named() -> None:
    assert str(store_error(TimeoutError(), "reading")) == "reading: TimeoutError"


@pytest.mark.parametrize("error", [StoreBusy("full"), StoreError("refused")])
def test_our_own_errors_pass(error: StoreError) -> None:
    assert error is store_error(error, "writing")
