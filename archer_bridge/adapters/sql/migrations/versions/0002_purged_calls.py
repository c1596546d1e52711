"""Calls whose timeline was deleted at the end of its retention, and triggers that allow that and nothing else."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision: str | None = "0001"
branch_labels: None = None
depends_on: None = None

TRIGGERS = {
    "sqlite": (
        "DROP TRIGGER call_events_no_delete",
        "CREATE TRIGGER call_events_no_delete BEFORE DELETE ON call_events "
        "WHEN NOT EXISTS (SELECT 1 FROM purged_calls WHERE call_sid = OLD.call_sid) "
        "BEGIN SELECT RAISE(ABORT, 'call_events is append-only'); END",
        "CREATE TRIGGER purged_calls_no_update BEFORE UPDATE ON purged_calls "
        "BEGIN SELECT RAISE(ABORT, 'purged_calls is append-only'); END",
        "CREATE TRIGGER purged_calls_no_delete BEFORE DELETE ON purged_calls "
        "BEGIN SELECT RAISE(ABORT, 'purged_calls is append-only'); END",
    ),
    "postgresql": (
        "DROP TRIGGER call_events_append_only ON call_events",
        "CREATE TRIGGER call_events_append_only BEFORE UPDATE OR TRUNCATE ON call_events "
        "FOR EACH STATEMENT EXECUTE FUNCTION call_events_append_only()",
        "CREATE FUNCTION call_events_delete_purged() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN IF EXISTS (SELECT 1 FROM purged_calls WHERE call_sid = OLD.call_sid) THEN RETURN OLD; END IF; "
        "RAISE EXCEPTION 'call_events is append-only'; END $$",
        "CREATE TRIGGER call_events_delete_purged BEFORE DELETE ON call_events "
        "FOR EACH ROW EXECUTE FUNCTION call_events_delete_purged()",
        "CREATE FUNCTION purged_calls_append_only() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN RAISE EXCEPTION 'purged_calls is append-only'; END $$",
        "CREATE TRIGGER purged_calls_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON purged_calls "
        "FOR EACH STATEMENT EXECUTE FUNCTION purged_calls_append_only()",
    ),
}


def upgrade() -> None:
    """Add the table, and put the triggers of both tables right."""
    op.create_table(
        "purged_calls",
        sa.Column("call_sid", sa.String(length=34), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("events", sa.Integer(), nullable=False),
        sa.Column("last_hash", sa.String(length=64), nullable=False),
        sa.ForeignKeyConstraint(["call_sid"], ["calls.call_sid"], name=op.f("fk_purged_calls_call_sid")),
        sa.PrimaryKeyConstraint("call_sid", name=op.f("pk_purged_calls")),
    )
    for statement in TRIGGERS[op.get_bind().dialect.name]:
        op.execute(statement)
