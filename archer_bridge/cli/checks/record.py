"""The database: there, writable, of this version, and somebody in it."""

import os
from pathlib import Path

from sqlalchemy import func, select

from archer_bridge.adapters.sql import open_store
from archer_bridge.adapters.sql.address import Address, parse_address
from archer_bridge.adapters.sql.connections import Reader
from archer_bridge.adapters.sql.lock import FileLock
from archer_bridge.adapters.sql.migrate import HEAD, revision
from archer_bridge.adapters.sql.opening import has_wal_reset_bug
from archer_bridge.adapters.sql.schema import customers as customers_table
from archer_bridge.cli.checks.verdict import Verdict, fail, ok, skip, warn
from archer_bridge.config import Settings
from archer_bridge.errors import StoreError, StoreUnavailable

MAKE_IT = "it is made when the bridge starts; for the demo customers: archer db seed"


async def database(settings: Settings) -> Verdict:
    """Whether the record can be read and written; nothing is made or changed by looking."""
    try:
        address = parse_address(settings.database_url)
        if address.file is not None and not address.file.is_file():
            return _missing(address.file)
        found = await _revision(address)
        if found != HEAD:
            return _other_schema(address, found)
        return await _written(settings.database_url, address)
    except StoreError as error:
        return fail(str(error), "check database_url (DATABASE_URL), and who may write there")
    except ModuleNotFoundError as error:
        return fail(f"the driver {error.name} is not installed", "pip install 'archer-bridge[postgres]'")


async def customers(settings: Settings) -> Verdict:
    """Whether there is anyone whose call would be taken."""
    try:
        address = parse_address(settings.database_url)
        if address.file is not None and not address.file.is_file():
            return skip("there is no database yet")
        if await _revision(address) != HEAD:
            return skip("the database has another schema")
        reader = Reader(address)
        try:
            count = await reader.read(
                lambda connection: connection.execute(select(func.count()).select_from(customers_table)).scalar_one()
            )
        finally:
            await reader.close()
    except (StoreError, ModuleNotFoundError) as error:
        return skip(f"the database cannot be read: {error}")
    if not count:
        return warn(
            "none: every caller hears that the number could not be matched",
            "add yours; for the demo customers: archer db seed",
        )
    return ok(str(count))


async def _revision(address: Address) -> str | None:
    reader = Reader(address, size=1)
    try:
        return await reader.read(revision)
    finally:
        await reader.close()


async def _written(url: str, address: Address) -> Verdict:
    if address.file is not None:
        try:
            with FileLock(address.file).held():
                pass
        except StoreUnavailable:
            raise
        except StoreError as error:
            return warn(
                f"{address}: schema {HEAD}, read only: {str(error).partition(':')[0]}",
                "nothing, if that process is your bridge; writing was not tried",
            )
    async with await open_store(url, auto_upgrade=False) as store:
        version = store.database_version
    return ok(f"{address}: read and written, schema {HEAD}, {version}{_note(address)}")


def _note(address: Address) -> str:
    if not has_wal_reset_bug(address):
        return ""
    return " (it has the WAL-reset bug mended in 3.51.3, which several writers meet; the bridge's lock allows one)"


def _missing(file: Path) -> Verdict:
    folder = next(parent for parent in file.absolute().parents if parent.exists())
    if not folder.is_dir() or not os.access(folder, os.W_OK | os.X_OK):
        return fail(f"{file} is not there, and {folder} cannot be written", f"chown or chmod {folder}")
    return ok(f"{file} is not there yet: {MAKE_IT}")


def _other_schema(address: Address, found: str | None) -> Verdict:
    told = f"{address}: the schema is version {found or 'none'}, this archer-bridge works with {HEAD}"
    if found is not None and found > HEAD:
        return fail(told, "upgrade archer-bridge")
    if address.file is None:
        return fail(told, "archer db upgrade")
    return warn(told, "the next start upgrades it; copy it before: archer db backup FILE")
