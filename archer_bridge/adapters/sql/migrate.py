"""Bringing a database to the schema this version works with, by Alembic.

There is no way down: going back to an older version means restoring the backup taken before (`archer db backup`).
"""

import asyncio
from pathlib import Path

from sqlalchemy import Connection, MetaData, String, Table, inspect, select, text
from sqlalchemy.schema import Column

from archer_bridge.adapters.sql.address import Address, parse_address
from archer_bridge.adapters.sql.connections import postgres_engine, sqlite_writer_engine
from archer_bridge.adapters.sql.faults import store_error
from archer_bridge.adapters.sql.lock import FileLock
from archer_bridge.adapters.sql.statements import writing
from archer_bridge.errors import StoreError

HEAD = "0003"
"""The newest revision; a test compares it with the scripts, which are slow to load."""

MIGRATIONS = Path(__file__).parent / "migrations"
UPGRADE_LOCK = 0x4152_4348
"""PostgreSQL advisory lock ("ARCH") that lets one process at a time migrate."""

_version = Table("alembic_version", MetaData(), Column("version_num", String(32)))


def revision(connection: Connection) -> str | None:
    """Return the revision the database is at; None for an empty database."""
    if not inspect(connection).has_table("alembic_version"):
        return None
    return connection.execute(select(_version.c.version_num)).scalar_one_or_none()


def check_revision(connection: Connection, address: Address) -> None:
    """Accept a database at the newest revision.

    Raises:
        StoreError: saying what to run.
    """
    found = revision(connection)
    if found == HEAD:
        return
    if found is not None and found > HEAD:
        raise StoreError(
            f"{address}: the schema is version {found}, newer than {HEAD}, the newest this archer-bridge knows: "
            "upgrade archer-bridge"
        )
    raise StoreError(f"{address}: the schema is version {found or 'none'}, expected {HEAD}; run: archer db upgrade")


def upgrade_connection(connection: Connection) -> None:
    """Run the scripts that are missing, as one transaction."""
    with writing(connection):
        if connection.dialect.name == "postgresql":
            connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": UPGRADE_LOCK})
        found = revision(connection)
        if found is not None and found > HEAD:
            raise StoreError(f"the schema is version {found}, newer than {HEAD}: upgrade archer-bridge")
        if found != HEAD:
            _run_scripts(connection)


def _run_scripts(connection: Connection) -> None:
    # Loaded here: a fifth of a second and 8 MiB that a database at the newest revision need not pay.
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    config.attributes["connection"] = connection
    command.upgrade(config, "head")


async def upgrade_address(address: Address) -> None:
    """Bring the database to the newest revision; whoever calls holds the lock of a SQLite file."""
    try:
        if address.file is not None:
            await asyncio.to_thread(_upgrade_file, address)
        else:
            remote = postgres_engine(address, size=1, read_only=False)
            try:
                async with remote.connect() as connection:
                    await connection.run_sync(upgrade_connection)
            finally:
                await remote.dispose()
    except Exception as error:
        raise store_error(error, f"{address}: the schema cannot be upgraded") from error


def _upgrade_file(address: Address) -> None:
    file = address.require_file()
    file.touch(mode=0o600, exist_ok=True)  # it will hold people's data
    engine = sqlite_writer_engine(address)
    try:
        with engine.connect() as connection:
            upgrade_connection(connection)
    finally:
        engine.dispose()


async def upgrade(url: str) -> None:
    """Bring the database at `url` to the newest revision.

    Raises:
        StoreError: another process has the SQLite file, or the database refused.
    """
    address = parse_address(url)
    if address.file is None:
        await upgrade_address(address)
        return
    with FileLock(address.file).held():
        await upgrade_address(address)
