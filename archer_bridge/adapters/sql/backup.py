"""Backup and restore of a SQLite record.

A backup is one consistent file (`VACUUM INTO`), safe to take while the bridge runs. PostgreSQL has its own
tools for this; the errors name the command.
"""

import os
import shutil
import sqlite3
from contextlib import closing
from datetime import datetime
from pathlib import Path
from urllib.parse import quote

from archer_bridge.adapters.sql.address import Address, parse_address
from archer_bridge.adapters.sql.lock import FileLock
from archer_bridge.adapters.sql.migrate import HEAD
from archer_bridge.errors import StoreError, StoreUnavailable

SIDE_FILES = ("-wal", "-shm")
BUSY_TIMEOUT_S = 5.0


def backup(url: str, target: Path) -> int:
    """Write a copy of the record to `target`, which must not exist; return its size in bytes.

    The file appears under its name only when it is complete, checked and on the disk.

    Raises:
        StoreError: with what is wrong and what to do.
    """
    source = _sqlite_file(parse_address(url), f"pg_dump --format=custom --file={target}")
    if not source.is_file():
        raise StoreError(f"{source}: there is no such database")
    if target.exists():
        raise StoreError(f"{target} exists; a backup never overwrites: choose another name")
    partial = target.with_name(target.name + ".partial")
    partial.unlink(missing_ok=True)
    try:
        os.close(os.open(partial, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
        with closing(_connect(source)) as connection:
            connection.execute("VACUUM INTO ?", (str(partial),))
        _inspect(partial)
        _sync(partial)
        os.replace(partial, target)
        _sync(target.parent)
    except (sqlite3.Error, OSError) as error:
        partial.unlink(missing_ok=True)
        raise StoreUnavailable(f"{target}: the backup failed: {error}") from error
    return target.stat().st_size


def restore(url: str, source: Path, *, now: datetime) -> Path | None:
    """Put a backup in the record's place; return where the record that was there is kept.

    Raises:
        StoreError: the backup is damaged or not one, or the bridge is running.
    """
    file = _sqlite_file(parse_address(url), f"pg_restore --clean --if-exists {source}")
    if not source.is_file():
        raise StoreError(f"{source}: there is no such file")
    try:
        revision = _inspect(source)
        if revision > HEAD:
            raise StoreError(f"{source}: its schema is version {revision}, newer than {HEAD}: upgrade archer-bridge")
        with FileLock(file).held():
            return _replace(file, source, now)
    except (sqlite3.Error, OSError) as error:
        raise StoreUnavailable(f"{source}: the restore failed: {error}") from error


def _replace(file: Path, source: Path, now: datetime) -> Path | None:
    incoming = file.with_name(file.name + ".incoming")
    incoming.unlink(missing_ok=True)
    os.close(os.open(incoming, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    shutil.copyfile(source, incoming)
    _sync(incoming)
    kept = file.with_name(f"{file.name}.before-{now:%Y%m%dT%H%M%S}Z")
    had_one = file.exists()
    # The log files belong to the old database: left behind, SQLite would play them into the new one.
    for suffix in SIDE_FILES:
        side = file.with_name(file.name + suffix)
        if side.exists():
            os.replace(side, kept.with_name(kept.name + suffix))
    if had_one:
        os.replace(file, kept)
    os.replace(incoming, file)
    _sync(file.parent)
    return kept if had_one else None


def _inspect(file: Path) -> str:
    """Return the schema revision of a sound record.

    Raises:
        StoreError: it is damaged, or not a record.
    """
    try:
        with closing(_connect(file)) as connection:
            answers = [row[0] for row in connection.execute("PRAGMA integrity_check")]
            if answers != ["ok"]:
                raise StoreError(f"{file}: the file is damaged: {answers[0]}")
            revision: str = connection.execute("SELECT version_num FROM alembic_version").fetchone()[0]
    except sqlite3.DatabaseError as error:
        raise StoreError(f"{file}: not a record of archer-bridge: {error}") from error
    return revision


def _connect(file: Path) -> sqlite3.Connection:
    return sqlite3.connect(f"file:{quote(str(file.absolute()))}?mode=ro", uri=True, timeout=BUSY_TIMEOUT_S)


def _sqlite_file(address: Address, instead: str) -> Path:
    if address.file is None:
        raise StoreError(f"{address} is PostgreSQL, which brings its own tool; run: {instead} --dbname='{address}'")
    return address.file


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
