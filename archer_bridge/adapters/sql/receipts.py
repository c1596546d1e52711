"""Webhooks that came, so that a repetition of one is known."""

from datetime import datetime

from sqlalchemy import Connection, update

from archer_bridge.adapters.sql.schema import webhook_receipts
from archer_bridge.adapters.sql.statements import insert_once


def receive_webhook(connection: Connection, dedup_key: str, call_sid: str, kind: str, *, now: datetime) -> bool:
    """Record a webhook; True for the first copy of it, False for a repetition, which is counted."""
    if insert_once(
        connection,
        webhook_receipts,
        {"dedup_key": dedup_key, "call_sid": call_sid, "kind": kind, "first_at": now, "received": 1},
    ):
        return True
    connection.execute(
        update(webhook_receipts)
        .where(webhook_receipts.c.dedup_key == dedup_key)
        .values(received=webhook_receipts.c.received + 1)
    )
    return False
