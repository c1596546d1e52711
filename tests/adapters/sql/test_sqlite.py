"""What only SQLite can do, or get wrong: pragmas, locks, a full disk, versions."""

import json
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import Connection, text

from archer_bridge.adapters.sql import connections, open_store
from archer_bridge.adapters.sql.address import parse_address
from archer_bridge.adapters.sql.batch import Done
from archer_bridge.adapters.sql.connections import SqliteCommitter
from archer_bridge.adapters.sql.opening import has_wal_reset_bug
from archer_bridge.errors import StoreError, StoreUnavailable
from archer_bridge.models import CallState
from tests.adapters.sql.conftest import Database
from tests.adapters.sql.samples import done, new_call, turn
from tests.support.virtual import virtual

PRAGMAS = {
    "journal_mode": "wal",
    "synchronous": 2,
    "busy_timeout": 5000,
    "foreign_keys": 1,
    "journal_size_limit": 67108864,
    "trusted_schema": 0,
}


async def test_the_writer_has_every_pragma(sqlite_database: Database) -> None:
    async with await open_store(sqlite_database.url):
        pass
    committer = SqliteCommitter(parse_address(sqlite_database.url))

    def read(connection: Connection) -> dict[str, object]:
        return {name: connection.execute(text(f"PRAGMA {name}")).scalar_one() for name in PRAGMAS}

    (result,) = await committer.commit([read])
    await committer.close()

    assert isinstance(result, Done)
    assert result.value == PRAGMAS


async def test_only_this_user_can_read_the_file(sqlite_database: Database, tmp_path: Path) -> None:
    async with await open_store(sqlite_database.url) as store:
        await store.open_call(new_call())
        modes = {file.name: file.stat().st_mode & 0o777 for file in tmp_path.iterdir()}

    assert {0o600} == set(modes.values())


async def test_nothing_is_left_in_the_log_after_a_clean_end(sqlite_database: Database, tmp_path: Path) -> None:
    async with await open_store(sqlite_database.url) as store:
        await store.open_call(new_call())

    assert {"record.db", "record.db.lock"} == {file.name for file in tmp_path.iterdir()}


async def test_a_database_locked_by_another_program_is_unavailable_until_it_lets_go(
    sqlite_database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    patient = [pragma for pragma in connections.WRITER_PRAGMAS if not pragma.startswith("busy_timeout")]
    monkeypatch.setattr(connections, "WRITER_PRAGMAS", (*patient, "busy_timeout=20"))
    async with await open_store(sqlite_database.url) as store:
        call = await store.open_call(new_call())
        with closing(sqlite3.connect(tmp_path / "record.db", isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            with pytest.raises(StoreUnavailable, match="the record cannot be written: database is locked"):
                await store.end_call(call.call_sid, done())
            store.add_turn(call.call_sid, turn())
            assert await store.get_call(call.call_sid) == call
            other.execute("ROLLBACK")
        await store.flush()

        assert [turn()] == await store.turns(call.call_sid)
        assert await store.end_call(call.call_sid, done())


FULL_DISK = """
import asyncio, json, resource, sys
from archer_bridge.adapters.sql import open_store
from archer_bridge.errors import StoreUnavailable
from tests.adapters.sql.samples import new_call, turn

async def work(url):
    async with await open_store(url) as store:
        call = await store.open_call(new_call())
        _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, hard))  # no file may grow beyond this: EFBIG
        refused, acknowledged = "", []
        while not refused:
            try:
                acknowledged.append((await store.open_call(new_call())).call_sid)
            except StoreUnavailable as error:
                refused = str(error)
        store.add_turn(call.call_sid, turn())
        readable = await store.get_call(call.call_sid) == call
        resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
        await store.flush()
        stored = {row.call_sid for row in await store.list_calls(limit=100_000)}
        return {
            "refused": refused,
            "readable": readable,
            "acknowledged": len(acknowledged),
            "lost": len(set(acknowledged) - stored),
            "turns": len(await store.turns(call.call_sid)),
            "problems": (await store.check()).problems,
        }

sys.stdout.write("\\n" + json.dumps(asyncio.run(work(sys.argv[1]))))
"""


def test_a_full_disk_refuses_loses_nothing_and_heals(sqlite_database: Database) -> None:
    root = Path(__file__).parents[3]
    done = subprocess.run(
        [sys.executable, "-c", FULL_DISK, sqlite_database.url], cwd=root, capture_output=True, text=True, check=True
    )
    told = json.loads(done.stdout.splitlines()[-1])

    assert "the record cannot be written: " in told["refused"]
    assert told["acknowledged"] > 0
    assert (told["readable"], told["lost"], told["turns"], told["problems"]) == (True, 0, 1, [])


@virtual
async def test_the_store_runs_on_virtual_time(sqlite_database: Database) -> None:
    async with await open_store(sqlite_database.url) as store:
        call = await store.open_call(new_call())
        await store.claim_stream(call.call_sid, "MZ1", "token", store.owner_id)
        assert await store.move_call(call.call_sid, CallState.ACTIVE)
        store.add_turn(call.call_sid, turn())
        await store.flush()
        assert await store.end_call(call.call_sid, done())

        assert [turn()] == await store.turns(call.call_sid)


@pytest.mark.parametrize(
    ("version", "affected"),
    [
        ((3, 40, 1), True),
        ((3, 44, 5), True),
        ((3, 44, 6), False),
        ((3, 45, 0), True),
        ((3, 50, 6), True),
        ((3, 50, 7), False),
        ((3, 51, 2), True),
        ((3, 51, 3), False),
        ((3, 54, 1), False),
    ],
)
def test_the_wal_reset_bug_is_known_by_version(version: tuple[int, int, int], affected: bool) -> None:
    assert affected == has_wal_reset_bug(parse_address("sqlite:///x.db"), version)
    assert not has_wal_reset_bug(parse_address("postgresql://host/name"), version)


async def test_the_version_is_told(sqlite_database: Database) -> None:
    async with await open_store(sqlite_database.url) as store:
        assert f"SQLite {sqlite3.sqlite_version}" == store.database_version


async def test_a_reader_says_that_there_is_no_database(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"none\.db: there is no such database; take a call first"):
        await open_store(f"sqlite:///{tmp_path}/none.db", read_only=True)
    assert list(tmp_path.iterdir()) == []


async def test_a_file_that_is_no_database_is_unavailable_and_the_lock_is_free_again(tmp_path: Path) -> None:
    file = tmp_path / "record.db"
    file.write_bytes(b"not a database, but long enough to look at" * 100)

    for _ in range(2):
        with pytest.raises(StoreUnavailable, match="file is not a database"):
            await open_store(f"sqlite:///{file}")


async def test_a_folder_that_cannot_be_made_is_unavailable(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")

    with pytest.raises(StoreUnavailable, match="the lock file cannot be opened: "):
        await open_store(f"sqlite:///{tmp_path}/file/record.db")


async def test_a_file_that_turned_bad_is_closed_all_the_same(
    sqlite_database: Database, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store = await open_store(sqlite_database.url)
    (tmp_path / "record.db").write_bytes(b"overwritten" * 20_000)
    with pytest.raises(StoreUnavailable):
        await store.ping()

    await store.close()

    assert "store_closed_untidily" in capsys.readouterr().out
    assert (tmp_path / "record.db.lock").read_text() == ""


async def test_closing_twice_and_reading_after_it(sqlite_database: Database) -> None:
    store = await open_store(sqlite_database.url)
    await store.close()
    await store.close()

    with pytest.raises(StoreError, match="the store is closed"):
        await store.list_calls()
    with pytest.raises(StoreError, match="the store is closed"):
        await store.open_call(new_call())
