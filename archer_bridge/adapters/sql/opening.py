"""Opening the store: lock, schema, connections, writer."""

import os
import socket
import sqlite3
from collections.abc import Callable
from datetime import datetime, timedelta

import structlog
from sqlalchemy import Connection, select, text

from archer_bridge.adapters.sql.address import Address, parse_address
from archer_bridge.adapters.sql.connections import Committer, Reading, open_committer, open_reader
from archer_bridge.adapters.sql.lock import FileLock
from archer_bridge.adapters.sql.migrate import check_revision, upgrade_address
from archer_bridge.adapters.sql.parts import StoreParts
from archer_bridge.adapters.sql.store import SqlStore
from archer_bridge.adapters.sql.types import utc_now
from archer_bridge.adapters.sql.writer import Writer
from archer_bridge.errors import StoreError

log = structlog.get_logger(__name__)

QUEUE_CAPACITY = 2000
LEASE = timedelta(seconds=15)
STREAM_WAIT = timedelta(seconds=180)
"""Longer than a stream token lives (120 s by default), so that only hopeless calls end as `no_stream`."""
POSTGRES_PATIENCE_S = 3.0
"""A PostgreSQL that restarts is back in about this time; a SQLite file that is full is not."""


async def open_store(
    url: str,
    *,
    owner_id: str | None = None,
    read_only: bool = False,
    auto_upgrade: bool | None = None,
    clock: Callable[[], datetime] = utc_now,
    lease: timedelta = LEASE,
    stream_wait: timedelta = STREAM_WAIT,
    capacity: int = QUEUE_CAPACITY,
    patience_s: float | None = None,
) -> SqlStore:
    """Open the record at `url`: `sqlite:///FILE` or `postgresql://HOST/NAME`.

    Args:
        url: with or without an asynchronous driver in its scheme.
        owner_id: unique among live processes; the same name after a restart lets `recover` settle its old calls
            at once, not when their leases end. None makes a name nobody else has.
        read_only: no lock is taken, no schema changed, every write raises StoreError.
        auto_upgrade: bring the schema to the newest version first; None: for SQLite, not for PostgreSQL.
        clock: the wall clock, for records.
        lease: how long a claimed call belongs to its process without `renew_leases`.
        stream_wait: how long a new call may wait for its stream before `recover` ends it.
        capacity: writes that may wait in the queue.
        patience_s: how long a waiting write outlasts an unavailable database; None: 3 s on PostgreSQL, else 0.

    Raises:
        StoreError: another process has the file, or the schema is not the one expected; the message says
            what to do. StoreUnavailable: the database does not answer.
    """
    address = parse_address(url)
    if read_only:
        _require_file(address)
    lock = None if read_only else await _prepare(address, auto_upgrade)
    reader, committer, version = await _connect(address, lock, read_only=read_only)
    patience = patience_s if patience_s is not None else (0.0 if address.file else POSTGRES_PATIENCE_S)
    writer = None if committer is None else Writer(committer, capacity=capacity, patience_s=patience)
    owner = owner_id or f"{socket.gethostname()}:{os.getpid()}:{os.urandom(4).hex()}"
    if writer is not None:
        log.info("store_opened", database=version, owner_id=owner, wal_reset_bug=has_wal_reset_bug(address))
    return SqlStore(StoreParts(owner, reader, writer, committer, lock, clock, lease, stream_wait, version))


def has_wal_reset_bug(address: Address, version: tuple[int, ...] = sqlite3.sqlite_version_info) -> bool:
    """Say whether this SQLite can corrupt a WAL file that several connections write and checkpoint.

    Versions 3.7.0 to 3.51.2, except the back-ports 3.44.6 and 3.50.7 (https://sqlite.org/wal.html). One
    writing connection in one process, as here, does not meet it.
    """
    if address.file is None or version >= (3, 51, 3):
        return False
    return not ((3, 44, 6) <= version < (3, 45) or (3, 50, 7) <= version < (3, 51))


def _require_file(address: Address) -> None:
    if address.file is not None and not address.file.is_file():
        raise StoreError(f"{address.file}: there is no such database; take a call first, or run: archer db upgrade")


async def _prepare(address: Address, auto_upgrade: bool | None) -> FileLock | None:
    is_sqlite = address.file is not None
    should_upgrade = is_sqlite if auto_upgrade is None else auto_upgrade
    if address.file is None:
        if should_upgrade:
            await upgrade_address(address)
        return None
    if not should_upgrade:
        _require_file(address)
    lock = FileLock(address.file)
    lock.acquire()
    try:
        if should_upgrade:
            await upgrade_address(address)
    except BaseException:
        lock.release()
        raise
    return lock


async def _connect(
    address: Address, lock: FileLock | None, *, read_only: bool
) -> tuple[Reading, Committer | None, str]:
    """Return the connections and what the database calls itself; a failure gives everything back."""
    reader = open_reader(address, read_only=read_only)
    try:
        version = await reader.read(lambda connection: _check(connection, address))
        committer = None if read_only else await _probed(address)
    except BaseException:
        await reader.close()
        if lock is not None:
            lock.release()
        raise
    return reader, committer, version


async def _probed(address: Address) -> Committer:
    """Return a writer that has proved it can begin and commit, so that a bad address shows at boot."""
    committer = open_committer(address)
    try:
        await committer.commit([lambda connection: connection.execute(text("SELECT 1"))])
    except BaseException:
        await committer.close()
        raise
    return committer


def _check(connection: Connection, address: Address) -> str:
    check_revision(connection, address)
    if address.file is not None:
        return f"SQLite {sqlite3.sqlite_version}"
    version: str = connection.execute(select(text("version()"))).scalar_one()
    return " ".join(version.split()[:2])
