"""The migrations make the schema that the code works with."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, create_engine, text

from archer_bridge.adapters.sql import open_store, triggers, upgrade
from archer_bridge.adapters.sql.address import parse_address
from archer_bridge.adapters.sql.connections import Reader, postgres_engine
from archer_bridge.adapters.sql.migrate import HEAD, MIGRATIONS
from archer_bridge.adapters.sql.schema import metadata
from archer_bridge.errors import StoreError
from tests.adapters.sql.conftest import Database


def _definitions(file: Path) -> set[str]:
    with closing(sqlite3.connect(file)) as connection:
        query = "SELECT sql FROM sqlite_master WHERE sql IS NOT NULL AND tbl_name <> 'alembic_version'"
        return {_normal(row[0]) for row in connection.execute(query)}


def _normal(sql: str) -> str:
    """Return a definition whose lines are in any order: a table's constraints have none."""
    return ";".join(sorted(line.strip().rstrip(",").strip() for line in sql.splitlines() if line.strip()))


async def test_the_scripts_and_the_tables_in_code_agree(tmp_path: Path) -> None:
    migrated, coded = tmp_path / "migrated.db", tmp_path / "coded.db"
    await upgrade(f"sqlite:///{migrated}")
    engine = create_engine(f"sqlite:///{coded}")
    with engine.begin() as connection:
        metadata.create_all(connection)
        for statement in triggers.statements("sqlite"):
            connection.execute(text(statement))
    engine.dispose()

    assert _definitions(coded) == _definitions(migrated)


async def test_alembic_sees_no_difference(database: Database) -> None:
    await upgrade(database.url)
    reader = Reader(parse_address(database.url))

    def compare(connection: Connection) -> list[object]:
        return list(compare_metadata(MigrationContext.configure(connection), metadata))

    try:
        assert await reader.read(compare) == []
    finally:
        await reader.close()


async def test_every_check_and_trigger_is_in_postgresql_too(postgres_database: Database) -> None:
    reader = Reader(parse_address(postgres_database.url))

    def read(connection: Connection) -> tuple[set[str], set[str]]:
        checks = connection.execute(text("SELECT conname FROM pg_constraint WHERE contype = 'c'")).scalars()
        made = connection.execute(text("SELECT tgname FROM pg_trigger WHERE NOT tgisinternal")).scalars()
        return {name for name in checks if name.startswith("ck_")}, set(made)

    try:
        checks, made = await reader.read(read)
    finally:
        await reader.close()

    expected = {
        f"ck_{table.name}_{str(constraint.name).removeprefix(f'ck_{table.name}_')}"
        for table in metadata.tables.values()
        for constraint in table.constraints
        if constraint.__visit_name__.endswith("check_constraint")
    }
    assert expected == checks
    assert made == {"call_events_append_only", "call_events_delete_purged", "purged_calls_append_only"}


def test_head_is_the_newest_script() -> None:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))

    assert ScriptDirectory.from_config(config).get_current_head() == HEAD


async def test_upgrading_again_changes_nothing(database: Database) -> None:
    await upgrade(database.url)
    await upgrade(database.url)

    async with await open_store(database.url, auto_upgrade=False) as store:
        assert await store.list_calls() == []


def _set_revision(file: Path, revision: str | None) -> None:
    with closing(sqlite3.connect(file)) as connection, connection:
        connection.execute("DELETE FROM alembic_version")
        if revision is not None:
            connection.execute("INSERT INTO alembic_version VALUES (?)", (revision,))


@pytest.mark.parametrize(
    ("revision", "advice"),
    [
        pytest.param("0000", "version 0000, expected 0003; run: archer db upgrade", id="behind"),
        pytest.param(None, "version none, expected 0003; run: archer db upgrade", id="empty"),
        pytest.param("0999", "newer than 0003, the newest this archer-bridge knows", id="newer"),
    ],
)
@pytest.mark.parametrize("options", [{"read_only": True}, {"auto_upgrade": False}], ids=["reader", "writer"])
async def test_another_schema_is_refused_with_advice(
    tmp_path: Path, revision: str | None, advice: str, options: dict[str, bool]
) -> None:
    url, file = f"sqlite:///{tmp_path}/record.db", tmp_path / "record.db"
    await upgrade(url)
    _set_revision(file, revision)

    with pytest.raises(StoreError, match=advice):
        await open_store(url, **options)  # type: ignore[arg-type]  # the table holds only booleans


async def test_a_newer_schema_is_not_upgraded(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/record.db"
    await upgrade(url)
    _set_revision(tmp_path / "record.db", "0999")

    with pytest.raises(StoreError, match="upgrade archer-bridge"):
        await open_store(url)


async def test_postgresql_is_not_upgraded_unasked(postgres_database: Database) -> None:
    url = parse_address(postgres_database.url)
    engine = postgres_engine(url, size=1, read_only=False)
    async with engine.begin() as connection:
        await connection.execute(text("UPDATE alembic_version SET version_num = '0000'"))
    await engine.dispose()

    with pytest.raises(StoreError, match="run: archer db upgrade") as refused:
        await open_store(postgres_database.url)
    assert "archer@" in str(refused.value)
