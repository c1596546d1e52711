"""What an open store is made of."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from archer_bridge.adapters.sql.connections import Committer, Reading
from archer_bridge.adapters.sql.lock import FileLock
from archer_bridge.adapters.sql.writer import Writer


@dataclass(frozen=True, slots=True)
class StoreParts:
    """What `open_store` puts together; `writer` and `committer` are None for a store that only reads."""

    owner_id: str
    reader: Reading
    writer: Writer | None
    committer: Committer | None
    lock: FileLock | None
    clock: Callable[[], datetime]
    lease: timedelta
    stream_wait: timedelta
    version: str
