"""An advisory lock that keeps a second process away from one SQLite file.

Two writers on one file would share SQLite's write lock badly and, before 3.51.3, could hit the WAL-reset bug
(https://sqlite.org/wal.html). The kernel drops the lock with the process, so a crash leaves nothing to clean.
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from archer_bridge.errors import StoreError, StoreUnavailable


class FileLock:
    """An exclusive `flock` on `FILE.lock`, held from `acquire` to `release`."""

    def __init__(self, database: Path) -> None:
        self._database = database
        self.path = database.with_name(database.name + ".lock")
        self._descriptor: int | None = None

    @contextmanager
    def held(self) -> Iterator[None]:
        """Hold the lock for the length of the block."""
        self.acquire()
        try:
            yield
        finally:
            self.release()

    def acquire(self) -> None:
        """Take the lock at once or refuse; makes the database's folder when it is missing.

        Raises:
            StoreError: another process holds it; the message has its process id.
            StoreUnavailable: the lock file cannot be made.
        """
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise StoreUnavailable(f"{self.path}: the lock file cannot be opened: {error.strerror}") from error
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            holder = os.read(descriptor, 32).decode("ascii", "replace").strip() or "unknown"
            os.close(descriptor)
            raise StoreError(
                f"{self._database} is in use by process {holder} (lock {self.path}): one process may write an "
                "SQLite file; stop that process, or use PostgreSQL to run several bridges on one record"
            ) from error
        self._descriptor = descriptor
        os.ftruncate(descriptor, 0)
        os.write(descriptor, f"{os.getpid()}\n".encode("ascii"))

    def release(self) -> None:
        """Give the lock back; the file stays, since removing it would race with the next holder."""
        if self._descriptor is not None:
            os.ftruncate(self._descriptor, 0)
            os.close(self._descriptor)
            self._descriptor = None
