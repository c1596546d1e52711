"""The first schema."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision: str | None = None
branch_labels: None = None
depends_on: None = None

APPEND_ONLY = {
    "sqlite": (
        "CREATE TRIGGER call_events_no_update BEFORE UPDATE ON call_events "
        "BEGIN SELECT RAISE(ABORT, 'call_events is append-only'); END",
        "CREATE TRIGGER call_events_no_delete BEFORE DELETE ON call_events "
        "BEGIN SELECT RAISE(ABORT, 'call_events is append-only'); END",
    ),
    "postgresql": (
        "CREATE FUNCTION call_events_append_only() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN RAISE EXCEPTION 'call_events is append-only'; END $$",
        "CREATE TRIGGER call_events_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON call_events "
        "FOR EACH STATEMENT EXECUTE FUNCTION call_events_append_only()",
    ),
}


OUTCOMES = (
    "'completed', 'caller_hangup', 'transferred', 'verification_failed', 'unknown_caller', 'busy', "
    "'no_stream', 'vendor_unavailable', 'vendor_lost', 'protocol_error', 'tool_policy', 'max_duration', "
    "'drained', 'orphaned', 'internal_error'"
)


def upgrade() -> None:
    """Make every table, in the order their keys refer to each other."""
    _customers()
    _calls()
    _turns()
    _tool_calls()
    _arrangements()
    _payments()
    _webhook_receipts()
    _stream_tokens()
    _call_events()
    _heartbeats()
    for statement in APPEND_ONLY[op.get_bind().dialect.name]:
        op.execute(statement)


def _customers() -> None:
    op.create_table(
        "customers",
        sa.Column("customer_id", sa.Text(), nullable=False),
        sa.Column("phone", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("account_last_4", sa.String(length=4), nullable=False),
        sa.Column("postal_code", sa.Text(), nullable=False),
        sa.Column("balance_cents", sa.BigInteger(), nullable=False),
        sa.Column("days_overdue", sa.Integer(), nullable=False),
        sa.CheckConstraint("balance_cents >= 0", name=op.f("ck_customers_balance_cents")),
        sa.CheckConstraint("days_overdue >= 0", name=op.f("ck_customers_days_overdue")),
        sa.CheckConstraint("length(account_last_4) = 4", name=op.f("ck_customers_account_last_4")),
        sa.PrimaryKeyConstraint("customer_id", name=op.f("pk_customers")),
        sa.UniqueConstraint("phone", name=op.f("uq_customers_phone")),
    )


def _calls() -> None:
    op.create_table(
        "calls",
        sa.Column("call_sid", sa.String(length=34), nullable=False),
        sa.Column("account_sid", sa.Text(), nullable=False),
        sa.Column("direction", sa.Text(), nullable=False),
        sa.Column("from_number", sa.Text(), nullable=False),
        sa.Column("to_number", sa.Text(), nullable=False),
        sa.Column("customer_id", sa.Text(), nullable=True),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("outcome", sa.String(length=32), nullable=True),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("owner_id", sa.Text(), nullable=True),
        sa.Column("lease_until", sa.DateTime(timezone=True), nullable=False),
        sa.Column("stream_sid", sa.Text(), nullable=True),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("answered_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("duration_ms", sa.BigInteger(), nullable=True),
        sa.Column("numbers_json", sa.Text(), nullable=False),
        sa.CheckConstraint(
            "(state = 'ended') = (outcome IS NOT NULL) AND (outcome IS NULL) = (ended_at IS NULL)",
            name=op.f("ck_calls_ended"),
        ),
        sa.CheckConstraint(
            f"outcome IN ({OUTCOMES})",
            name=op.f("ck_calls_outcome"),
        ),
        sa.CheckConstraint("state = 'created' OR state = 'ended' OR owner_id IS NOT NULL", name=op.f("ck_calls_owner")),
        sa.CheckConstraint(
            "state IN ('created', 'connecting', 'active', 'ending', 'ended')", name=op.f("ck_calls_state")
        ),
        sa.CheckConstraint("duration_ms >= 0", name=op.f("ck_calls_duration_ms")),
        sa.CheckConstraint("ended_at >= created_at", name=op.f("ck_calls_ended_at")),
        sa.CheckConstraint("length(call_sid) = 34", name=op.f("ck_calls_call_sid")),
        sa.ForeignKeyConstraint(["customer_id"], ["customers.customer_id"], name=op.f("fk_calls_customer_id")),
        sa.PrimaryKeyConstraint("call_sid", name=op.f("pk_calls")),
    )
    op.create_index("ix_calls_created_at", "calls", ["created_at"], unique=False)
    op.create_index(
        "ix_calls_open",
        "calls",
        ["lease_until"],
        unique=False,
        sqlite_where=sa.text("state <> 'ended'"),
        postgresql_where=sa.text("state <> 'ended'"),
    )


def _turns() -> None:
    op.create_table(
        "turns",
        sa.Column("call_sid", sa.String(length=34), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("role", sa.String(length=16), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("heard_text", sa.Text(), nullable=False),
        sa.Column("interrupted", sa.Boolean(), nullable=False),
        sa.Column("engine_interrupted", sa.Boolean(), nullable=False),
        sa.Column("started_ms", sa.Float(precision=53), nullable=False),
        sa.Column("ended_ms", sa.Float(precision=53), nullable=False),
        sa.Column("heard_ms", sa.Float(precision=53), nullable=False),
        sa.Column("spoken_ms", sa.Float(precision=53), nullable=False),
        sa.Column("response_ms", sa.Float(precision=53), nullable=True),
        sa.Column("engine_ms", sa.Float(precision=53), nullable=True),
        sa.Column("bridge_ms", sa.Float(precision=53), nullable=True),
        sa.ForeignKeyConstraint(["call_sid"], ["calls.call_sid"], name=op.f("fk_turns_call_sid")),
        sa.PrimaryKeyConstraint("call_sid", "number", "role", name=op.f("pk_turns")),
    )


def _tool_calls() -> None:
    op.create_table(
        "tool_calls",
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("call_sid", sa.String(length=34), nullable=False),
        sa.Column("tool", sa.Text(), nullable=False),
        sa.Column("arguments_json", sa.Text(), nullable=False),
        sa.Column("arguments_sha256", sa.String(length=64), nullable=False),
        sa.Column("business_key", sa.Text(), nullable=True),
        sa.Column("status", sa.String(length=16), nullable=False),
        sa.Column("result_json", sa.Text(), nullable=True),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("owner_id", sa.Text(), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("done_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("duration_ms", sa.Float(precision=53), nullable=True),
        sa.CheckConstraint(
            "status IN ('started', 'ok', 'error', 'denied', 'unknown')", name=op.f("ck_tool_calls_status")
        ),
        sa.CheckConstraint(
            "status IN ('started', 'unknown') OR done_at IS NOT NULL", name=op.f("ck_tool_calls_done_at")
        ),
        sa.ForeignKeyConstraint(["call_sid"], ["calls.call_sid"], name=op.f("fk_tool_calls_call_sid")),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_tool_calls")),
    )
    op.create_index(op.f("ix_tool_calls_call_sid"), "tool_calls", ["call_sid"], unique=False)
    op.create_index(
        "one_live_try",
        "tool_calls",
        ["business_key"],
        unique=True,
        sqlite_where=sa.text("status IN ('started', 'ok', 'unknown')"),
        postgresql_where=sa.text("status IN ('started', 'ok', 'unknown')"),
    )


def _arrangements() -> None:
    op.create_table(
        "arrangements",
        sa.Column("idempotency_key", sa.Text(), nullable=False),
        sa.Column("call_sid", sa.String(length=34), nullable=False),
        sa.Column("customer_id", sa.Text(), nullable=False),
        sa.Column("option", sa.Text(), nullable=False),
        sa.Column("payment_type", sa.Text(), nullable=False),
        sa.Column("total_cents", sa.BigInteger(), nullable=False),
        sa.Column("confirmation", sa.Text(), nullable=False),
        sa.Column("recorded_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("total_cents > 0", name=op.f("ck_arrangements_total_cents")),
        sa.ForeignKeyConstraint(["call_sid"], ["calls.call_sid"], name=op.f("fk_arrangements_call_sid")),
        sa.ForeignKeyConstraint(["customer_id"], ["customers.customer_id"], name=op.f("fk_arrangements_customer_id")),
        sa.PrimaryKeyConstraint("idempotency_key", name=op.f("pk_arrangements")),
    )
    op.create_index(op.f("ix_arrangements_call_sid"), "arrangements", ["call_sid"], unique=False)
    op.create_index(op.f("ix_arrangements_confirmation"), "arrangements", ["confirmation"], unique=False)
    op.create_index(op.f("ix_arrangements_customer_id"), "arrangements", ["customer_id"], unique=False)


def _payments() -> None:
    op.create_table(
        "payments",
        sa.Column("idempotency_key", sa.Text(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("due", sa.Date(), nullable=False),
        sa.Column("amount_cents", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("amount_cents > 0", name=op.f("ck_payments_amount_cents")),
        sa.ForeignKeyConstraint(
            ["idempotency_key"], ["arrangements.idempotency_key"], name=op.f("fk_payments_idempotency_key")
        ),
        sa.PrimaryKeyConstraint("idempotency_key", "number", name=op.f("pk_payments")),
    )


def _webhook_receipts() -> None:
    op.create_table(
        "webhook_receipts",
        sa.Column("dedup_key", sa.Text(), nullable=False),
        sa.Column("call_sid", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("first_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("received", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("dedup_key", name=op.f("pk_webhook_receipts")),
    )


def _stream_tokens() -> None:
    op.create_table(
        "stream_tokens",
        sa.Column("jti", sa.Text(), nullable=False),
        sa.Column("call_sid", sa.String(length=34), nullable=False),
        sa.Column("used_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["call_sid"], ["calls.call_sid"], name=op.f("fk_stream_tokens_call_sid")),
        sa.PrimaryKeyConstraint("jti", name=op.f("pk_stream_tokens")),
    )


def _call_events() -> None:
    op.create_table(
        "call_events",
        sa.Column("event_id", sa.String(length=32), nullable=False),
        sa.Column("call_sid", sa.String(length=34), nullable=False),
        sa.Column("seq", sa.Integer(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("data_json", sa.Text(), nullable=False),
        sa.Column("prev_hash", sa.String(length=64), nullable=False),
        sa.Column("hash", sa.String(length=64), nullable=False),
        sa.ForeignKeyConstraint(["call_sid"], ["calls.call_sid"], name=op.f("fk_call_events_call_sid")),
        sa.PrimaryKeyConstraint("event_id", name=op.f("pk_call_events")),
        sa.UniqueConstraint("call_sid", "seq", name=op.f("uq_call_events_call_sid_seq")),
    )


def _heartbeats() -> None:
    op.create_table(
        "heartbeats",
        sa.Column("owner_id", sa.Text(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("owner_id", name=op.f("pk_heartbeats")),
    )
