"""The tables, portable between SQLite and PostgreSQL.

The migrations under `migrations/` build them; a test compares the two. The database itself refuses a row
that breaks the record's invariants: an outcome without an end, an end before the beginning, a second
living try of one side effect, a changed line of the timeline.
"""

from collections.abc import Iterable
from enum import StrEnum

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Date,
    Float,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
    text,
)

from archer_bridge.adapters.sql.types import UtcDateTime
from archer_bridge.models import CallState, Outcome, ToolStatus

NAMING = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s",
    "pk": "pk_%(table_name)s",
}

metadata = MetaData(naming_convention=NAMING)


def _one_of(column: str, values: Iterable[StrEnum]) -> str:
    return f"{column} IN ({', '.join(repr(value.value) for value in values)})"


LIVE_TRIES = (ToolStatus.STARTED, ToolStatus.OK, ToolStatus.UNKNOWN)
"""A business key has at most one row in one of these: what happened, or may have."""

customers = Table(
    "customers",
    metadata,
    Column("customer_id", Text, primary_key=True),
    Column("phone", Text, nullable=False, unique=True),
    Column("name", Text, nullable=False),
    Column("account_last_4", String(4), nullable=False),
    Column("postal_code", Text, nullable=False),
    Column("balance_cents", BigInteger, nullable=False),
    Column("days_overdue", Integer, nullable=False),
    CheckConstraint("length(account_last_4) = 4", name="account_last_4"),
    CheckConstraint("balance_cents >= 0", name="balance_cents"),
    CheckConstraint("days_overdue >= 0", name="days_overdue"),
)

OPEN_CALL = text("state <> 'ended'")
UNSETTLED = text("status IN ('started', 'unknown')")
"""The few rows that housekeeping looks for every few seconds, among all there ever were. SQLite takes a partial index
only when its condition stands in the query, word for word and not bound: https://sqlite.org/partialindex.html#queries"""

calls = Table(
    "calls",
    metadata,
    Column("call_sid", String(34), primary_key=True),
    Column("account_sid", Text, nullable=False),
    Column("direction", Text, nullable=False),
    Column("from_number", Text, nullable=False),
    Column("to_number", Text, nullable=False),
    Column("customer_id", ForeignKey("customers.customer_id"), nullable=True),
    Column("state", String(16), nullable=False),
    Column("outcome", String(32), nullable=True),
    Column("reason", Text, nullable=True),
    Column("owner_id", Text, nullable=True),
    Column("lease_until", UtcDateTime, nullable=False),
    Column("stream_sid", Text, nullable=True),
    Column("version", Integer, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("answered_at", UtcDateTime, nullable=True),
    Column("ended_at", UtcDateTime, nullable=True),
    Column("duration_ms", BigInteger, nullable=True),
    Column("numbers_json", Text, nullable=False),
    CheckConstraint("length(call_sid) = 34", name="call_sid"),
    CheckConstraint(_one_of("state", CallState), name="state"),
    CheckConstraint(_one_of("outcome", Outcome), name="outcome"),
    CheckConstraint(
        "(state = 'ended') = (outcome IS NOT NULL) AND (outcome IS NULL) = (ended_at IS NULL)", name="ended"
    ),
    CheckConstraint("ended_at >= created_at", name="ended_at"),
    CheckConstraint("duration_ms >= 0", name="duration_ms"),
    CheckConstraint("state = 'created' OR state = 'ended' OR owner_id IS NOT NULL", name="owner"),
)
Index("ix_calls_created_at", calls.c.created_at)
Index(
    "ix_calls_open",
    calls.c.lease_until,
    sqlite_where=OPEN_CALL,
    postgresql_where=OPEN_CALL,
)

turns = Table(
    "turns",
    metadata,
    Column("call_sid", ForeignKey("calls.call_sid"), primary_key=True),
    Column("number", Integer, primary_key=True),
    Column("role", String(16), primary_key=True),
    Column("text", Text, nullable=False),
    Column("heard_text", Text, nullable=False),
    Column("interrupted", Boolean, nullable=False),
    Column("engine_interrupted", Boolean, nullable=False),
    Column("started_ms", Float(53), nullable=False),
    Column("ended_ms", Float(53), nullable=False),
    Column("heard_ms", Float(53), nullable=False),
    Column("spoken_ms", Float(53), nullable=False),
    Column("response_ms", Float(53), nullable=True),
    Column("engine_ms", Float(53), nullable=True),
    Column("bridge_ms", Float(53), nullable=True),
)

tool_calls = Table(
    "tool_calls",
    metadata,
    Column("key", Text, primary_key=True),
    Column("call_sid", ForeignKey("calls.call_sid"), nullable=False, index=True),
    Column("tool", Text, nullable=False),
    Column("arguments_json", Text, nullable=False),
    Column("arguments_sha256", String(64), nullable=False),
    Column("business_key", Text, nullable=True, index=True),
    Column("status", String(16), nullable=False),
    Column("result_json", Text, nullable=True),
    Column("attempt", Integer, nullable=False),
    Column("owner_id", Text, nullable=False),
    Column("started_at", UtcDateTime, nullable=False),
    Column("done_at", UtcDateTime, nullable=True),
    Column("duration_ms", Float(53), nullable=True),
    CheckConstraint(_one_of("status", ToolStatus), name="status"),
    CheckConstraint("status IN ('started', 'unknown') OR done_at IS NOT NULL", name="done_at"),
)
_LIVE_SQL = text(_one_of("status", LIVE_TRIES))
Index("ix_tool_calls_unsettled", tool_calls.c.status, sqlite_where=UNSETTLED, postgresql_where=UNSETTLED)
Index(
    "one_live_try",
    tool_calls.c.business_key,
    unique=True,
    sqlite_where=_LIVE_SQL,
    postgresql_where=_LIVE_SQL,
)

arrangements = Table(
    "arrangements",
    metadata,
    Column("idempotency_key", Text, primary_key=True),
    Column("call_sid", ForeignKey("calls.call_sid"), nullable=False, index=True),
    Column("customer_id", ForeignKey("customers.customer_id"), nullable=False, index=True),
    Column("option", Text, nullable=False),
    Column("payment_type", Text, nullable=False),
    Column("total_cents", BigInteger, nullable=False),
    Column("confirmation", Text, nullable=False, index=True),
    Column("recorded_at", UtcDateTime, nullable=False),
    CheckConstraint("total_cents > 0", name="total_cents"),
)

payments = Table(
    "payments",
    metadata,
    Column("idempotency_key", ForeignKey("arrangements.idempotency_key"), primary_key=True),
    Column("number", Integer, primary_key=True),
    Column("due", Date, nullable=False),
    Column("amount_cents", BigInteger, nullable=False),
    CheckConstraint("amount_cents > 0", name="amount_cents"),
)

webhook_receipts = Table(
    "webhook_receipts",
    metadata,
    Column("dedup_key", Text, primary_key=True),
    Column("call_sid", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("first_at", UtcDateTime, nullable=False),
    Column("received", Integer, nullable=False),
)

stream_tokens = Table(
    "stream_tokens",
    metadata,
    Column("jti", Text, primary_key=True),
    Column("call_sid", ForeignKey("calls.call_sid"), nullable=False),
    Column("used_at", UtcDateTime, nullable=False),
)

call_events = Table(
    "call_events",
    metadata,
    Column("event_id", String(32), primary_key=True),
    Column("call_sid", ForeignKey("calls.call_sid"), nullable=False),
    Column("seq", Integer, nullable=False),
    Column("at", UtcDateTime, nullable=False),
    Column("kind", Text, nullable=False),
    Column("data_json", Text, nullable=False),
    Column("prev_hash", String(64), nullable=False),
    Column("hash", String(64), nullable=False),
    UniqueConstraint("call_sid", "seq"),
)

purged_calls = Table(
    "purged_calls",
    metadata,
    Column("call_sid", ForeignKey("calls.call_sid"), primary_key=True),
    Column("at", UtcDateTime, nullable=False),
    Column("events", Integer, nullable=False),
    Column("last_hash", String(64), nullable=False),
)

heartbeats = Table(
    "heartbeats",
    metadata,
    Column("owner_id", Text, primary_key=True),
    Column("at", UtcDateTime, nullable=False),
)
