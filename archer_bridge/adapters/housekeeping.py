"""What a process owes the shared record while it lives: settle what dead ones left, and say that it is alive."""

import asyncio

import structlog

from archer_bridge.adapters.sql import SqlStore
from archer_bridge.errors import StoreError

log = structlog.get_logger(__name__)

RENEW_EVERY_S = 5.0
"""A third of the lease, so that two missed renewals cost no call."""


async def settle_orphans(store: SqlStore) -> None:
    """End calls and mark tool rows whose process died; harmless at any time."""
    found = await store.recover()
    if found.calls or found.tools:
        log.warning("orphans_settled", calls=len(found.calls), tool_rows=len(found.tools))


async def keep_house(store: SqlStore) -> None:
    """Renew this process's leases and settle others' orphans until cancelled; a failing store is tried again."""
    while True:
        await asyncio.sleep(RENEW_EVERY_S)
        try:
            await store.renew_leases()
            await settle_orphans(store)
        except StoreError as error:
            log.error("record_failed", what="leases", error=str(error))
