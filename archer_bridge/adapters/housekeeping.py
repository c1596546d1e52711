"""What a process owes the shared record while it lives: settle what dead ones left, and say that it is alive."""

import asyncio
import time
from datetime import timedelta
from pathlib import Path

import structlog

from archer_bridge.adapters import recordings
from archer_bridge.adapters.sql import SqlStore
from archer_bridge.adapters.sql.retention import Purged
from archer_bridge.adapters.sql.types import utc_now
from archer_bridge.adapters.vitals import Vitals
from archer_bridge.config_models import RecordingSettings, RetentionSettings
from archer_bridge.errors import StoreError

log = structlog.get_logger(__name__)

RENEW_EVERY_S = 5.0
"""A third of the lease, so that two missed renewals cost no call."""
RETRY_S = 0.5

PURGE_EVERY_S = 3600.0
"""Retention counts days: an hour more is nothing, and one old call an hour is never much work."""


async def settle_orphans(store: SqlStore, vitals: Vitals) -> None:
    """End calls and mark tool rows whose process died; harmless at any time."""
    found = await store.recover()
    vitals.orphans += len(found.orphans)
    if found.calls or found.tools:
        log.warning("orphans_settled", calls=len(found.calls), orphans=len(found.orphans), tool_rows=len(found.tools))


async def keep_house(store: SqlStore, vitals: Vitals) -> None:
    """Renew this process's leases and settle others' orphans until cancelled; whatever fails is tried again.

    The leases come first: what only the metrics want must not keep others from seeing that this process lives.
    """
    while True:
        pause_s = RENEW_EVERY_S
        try:
            await store.renew_leases()
            await settle_orphans(store, vitals)
            async with asyncio.timeout(RENEW_EVERY_S):
                vitals.unknown_tools = await store.count_unknown_tools()
        except (StoreError, TimeoutError) as error:
            log.error("record_failed", what="leases", error=str(error))
            pause_s = RETRY_S
        except Exception:  # a bug of ours must not cost live calls their leases
            log.exception("record_failed", what="leases")
            pause_s = RETRY_S
        await asyncio.sleep(pause_s)


async def purge_record(store: SqlStore, kept: RetentionSettings) -> Purged:
    """Delete what the settings say is too old, on the wall clock; a call counts from its end.

    Raises:
        StoreError: the database did not take it.
    """
    now = utc_now()
    words, calls = (now - timedelta(days=days) if days else None for days in (kept.words_days, kept.calls_days))
    return await store.purge(words_before=words, calls_before=calls)


async def purge_recordings(kept: RecordingSettings) -> list[Path]:
    """Delete recordings that are too old, off the event loop.

    Raises:
        OSError: as `recordings.purge` does.
    """
    return await asyncio.to_thread(recordings.purge, kept.folder, kept.retention_days, time.time())


async def keep_retention(store: SqlStore, record: RetentionSettings, sound: RecordingSettings) -> None:
    """Delete what is too old, at once and then every hour, until cancelled; what fails is tried again."""
    while True:
        try:
            gone = await purge_record(store, record)
            files = await purge_recordings(sound)
            if gone.words or gone.calls or files:
                log.info("retention_purged", words=len(gone.words), calls=len(gone.calls), recordings=len(files))
        except (StoreError, OSError) as error:
            log.error("retention_failed", error=str(error))
        await asyncio.sleep(PURGE_EVERY_S)
