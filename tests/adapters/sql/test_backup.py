"""Backup while the bridge runs, restore when it does not."""

import sqlite3
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest

from archer_bridge.adapters.sql import open_store, upgrade
from archer_bridge.adapters.sql.backup import backup, restore
from archer_bridge.adapters.sql.migrate import HEAD
from archer_bridge.errors import StoreError, StoreUnavailable
from tests.adapters.sql.conftest import Database
from tests.adapters.sql.samples import new_call

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)


async def _sids(url: str) -> list[str]:
    async with await open_store(url, read_only=True) as store:
        assert (await store.check()).problems == ()
        return [row.call_sid for row in await store.list_calls()]


async def test_a_backup_of_a_running_record_is_restored_whole(sqlite_database: Database, tmp_path: Path) -> None:
    url, copy = sqlite_database.url, tmp_path / "copy.db"
    async with await open_store(url) as store:
        saved = (await store.open_call(new_call())).call_sid
        size = backup(url, copy)
        later = (await store.open_call(new_call())).call_sid
        with pytest.raises(StoreError, match="is in use by process"):
            restore(url, copy, now=NOON)

    kept = restore(url, copy, now=NOON)

    assert size == copy.stat().st_size
    assert copy.stat().st_mode & 0o777 == 0o600
    assert await _sids(url) == [saved]
    assert kept == tmp_path / "record.db.before-20261122T120000Z"
    assert set(await _sids(f"sqlite:///{kept}")) == {saved, later}


async def test_the_log_of_the_old_record_is_never_played_into_the_restored_one(
    sqlite_database: Database, tmp_path: Path
) -> None:
    url, copy = sqlite_database.url, tmp_path / "copy.db"
    await upgrade(url)
    backup(url, copy)
    async with await open_store(url) as store:
        lost = (await store.open_call(new_call())).call_sid
        names = ("record.db", "record.db-wal", "record.db-shm")
        crashed = {name: (tmp_path / name).read_bytes() for name in names}
    for name, content in crashed.items():
        (tmp_path / name).write_bytes(content)

    kept = restore(url, copy, now=NOON)

    assert await _sids(url) == []
    assert await _sids(f"sqlite:///{kept}") == [lost]


async def test_a_record_is_restored_where_none_was(tmp_path: Path) -> None:
    await upgrade(f"sqlite:///{tmp_path}/record.db")
    backup(f"sqlite:///{tmp_path}/record.db", tmp_path / "copy.db")
    fresh = f"sqlite:///{tmp_path}/new/record.db"

    assert restore(fresh, tmp_path / "copy.db", now=NOON) is None
    assert await _sids(fresh) == []


async def test_a_backup_never_overwrites(sqlite_database: Database, tmp_path: Path) -> None:
    await upgrade(sqlite_database.url)
    (tmp_path / "copy.db").write_text("precious")

    with pytest.raises(StoreError, match="a backup never overwrites"):
        backup(sqlite_database.url, tmp_path / "copy.db")

    assert (tmp_path / "copy.db").read_text() == "precious"


async def test_a_backup_that_cannot_be_written_leaves_nothing(sqlite_database: Database, tmp_path: Path) -> None:
    await upgrade(sqlite_database.url)

    with pytest.raises(StoreUnavailable, match="the backup failed: "):
        backup(sqlite_database.url, tmp_path / "missing" / "copy.db")


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        pytest.param("text", "not a record of archer-bridge: file is not a database", id="not-sqlite"),
        pytest.param("other", "not a record of archer-bridge: no such table: alembic_version", id="another-database"),
        pytest.param("newer", f"its schema is version 0999, newer than {HEAD}", id="newer"),
        pytest.param("torn", "copy.db: ", id="torn"),
        pytest.param("none", "there is no such file", id="missing"),
    ],
)
async def test_a_bad_backup_is_refused_and_the_record_stays(
    sqlite_database: Database, tmp_path: Path, damage: str, words: str
) -> None:
    copy = tmp_path / "copy.db"
    async with await open_store(sqlite_database.url) as store:
        sid = (await store.open_call(new_call())).call_sid
    backup(sqlite_database.url, copy)
    _damage(copy, damage)

    with pytest.raises(StoreError) as refused:
        restore(sqlite_database.url, copy, now=NOON)

    assert words in str(refused.value)
    assert await _sids(sqlite_database.url) == [sid]


def _damage(copy: Path, how: str) -> None:
    if how == "text":
        copy.write_text("no database" * 1000)
    elif how == "torn":
        copy.write_bytes(copy.read_bytes()[: 10 * 4096])
    else:
        copy.unlink()
    if how == "other":
        with closing(sqlite3.connect(copy)) as connection, connection:
            connection.execute("CREATE TABLE t (x)")
    if how == "newer":
        with closing(sqlite3.connect(copy)) as connection, connection:
            connection.execute("CREATE TABLE alembic_version (version_num)")
            connection.execute("INSERT INTO alembic_version VALUES ('0999')")


def test_postgresql_is_pointed_to_its_own_tools(tmp_path: Path) -> None:
    url = "postgresql://archer:hunter2@db.example/calls"

    with pytest.raises(
        StoreError, match=r"run: pg_dump --format=custom --file=\S+ --dbname='postgresql://archer:"
    ) as one:
        backup(url, tmp_path / "copy")
    with pytest.raises(StoreError, match=r"run: pg_restore --clean --if-exists \S+ --dbname='postgresql://") as two:
        restore(url, tmp_path / "copy", now=NOON)

    assert "hunter2" not in f"{one.value}{two.value}"
