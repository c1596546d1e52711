"""Checks of the database."""

import sqlite3
import sys
from pathlib import Path

import pytest

from archer_bridge.adapters.sql import open_store, opening
from archer_bridge.adapters.sql.lock import FileLock
from archer_bridge.adapters.sql.migrate import HEAD
from archer_bridge.adapters.sql.seed import DEMO_CUSTOMERS
from archer_bridge.cli.checks import record
from archer_bridge.cli.checks.verdict import Status, Verdict
from archer_bridge.config import Settings, load_settings

BACK_UP = "the next start upgrades it; copy it before: archer db backup FILE"


def settings(file: Path) -> Settings:
    return load_settings(environ={"DATABASE_URL": f"sqlite:///{file}"}, env_file="")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "archer.db"


async def filled(file: Path, *, customers: bool = True) -> None:
    async with await open_store(f"sqlite:///{file}") as store:
        if customers:
            await store.add_customers(DEMO_CUSTOMERS)


async def test_a_database_that_is_not_there_yet_is_not_made(file):
    found, people = await record.database(settings(file)), await record.customers(settings(file))

    assert found.status is Status.OK
    assert found.found.startswith(f"{file} is not there yet: ")
    assert Verdict(Status.SKIP, "there is no database yet") == people
    assert list(file.parent.iterdir()) == []


async def test_a_folder_that_cannot_be_is_told(tmp_path):
    (tmp_path / "var").write_text("a file, not a folder")

    found = await record.database(settings(tmp_path / "var" / "archer.db"))

    expected = f"{tmp_path}/var/archer.db is not there, and {tmp_path}/var cannot be written"
    assert (Status.FAIL, expected) == (found.status, found.found)


async def test_a_good_database_is_read_and_written(file, monkeypatch):
    await filled(file)
    monkeypatch.setattr(record, "has_wal_reset_bug", lambda address: opening.has_wal_reset_bug(address, (3, 40, 1)))

    found, people = await record.database(settings(file)), await record.customers(settings(file))

    assert found.status is Status.OK
    assert found.found.startswith(f"{file}: read and written, schema {HEAD}, SQLite 3.")
    assert found.found.endswith(
        "the WAL-reset bug mended in 3.51.3, which several writers meet; the bridge's lock allows one)"
    )
    assert Verdict(Status.OK, "3") == people


async def test_a_newer_sqlite_needs_no_note(file, monkeypatch):
    await filled(file)
    monkeypatch.setattr(record, "has_wal_reset_bug", lambda address: opening.has_wal_reset_bug(address, (3, 53, 0)))

    assert "WAL" not in (await record.database(settings(file))).found


async def test_nobody_in_it_is_told(file):
    await filled(file, customers=False)

    found = await record.customers(settings(file))

    assert (found.status, found.found) == (Status.WARN, "none: every caller hears that the number could not be matched")


async def test_a_live_bridge_is_no_failure(file):
    await filled(file)
    with FileLock(file).held():
        found = await record.database(settings(file))

    assert found.status is Status.WARN
    assert found.found.startswith(f"{file}: schema {HEAD}, read only: {file} is in use by process ")


@pytest.mark.parametrize(
    ("version", "status", "fix"),
    [
        pytest.param("9999", Status.FAIL, "upgrade archer-bridge", id="newer"),
        pytest.param(
            "0000", Status.WARN, "the next start upgrades it; copy it before: archer db backup FILE", id="old"
        ),
    ],
)
async def test_another_schema_is_told(file, version, status, fix):

    await filled(file)
    connection = sqlite3.connect(file)
    connection.execute("UPDATE alembic_version SET version_num = ?", (version,))
    connection.commit()
    connection.close()

    found, people = await record.database(settings(file)), await record.customers(settings(file))

    told = f"{file}: the schema is version {version}, this archer-bridge works with {HEAD}"
    assert Verdict(status, told, fix) == found
    assert Verdict(Status.SKIP, "the database has another schema") == people


async def test_a_driver_that_is_not_installed_is_told(monkeypatch):
    monkeypatch.setitem(sys.modules, "asyncpg", None)
    remote = load_settings(environ={"DATABASE_URL": "postgresql://archer:a-password@127.0.0.1:1/x"}, env_file="")

    found, people = await record.database(remote), await record.customers(remote)

    assert (found.status, found.fix) == (Status.FAIL, "pip install 'archer-bridge[postgres]'")
    assert people.status is Status.SKIP


async def test_a_server_that_is_not_there_is_told():
    pytest.importorskip("asyncpg")
    remote = load_settings(environ={"DATABASE_URL": "postgresql://archer:a-password@127.0.0.1:1/x"}, env_file="")

    found = await record.database(remote)

    assert found.status is Status.FAIL
    assert "a-password" not in repr(found)


async def test_a_file_that_is_no_database_is_told(file):
    file.write_bytes(b"not a database, but long enough to be taken for one" * 100)

    found, people = await record.database(settings(file)), await record.customers(settings(file))

    assert (found.status, people.status) == (Status.FAIL, Status.SKIP)
    assert "file is not a database" in found.found
