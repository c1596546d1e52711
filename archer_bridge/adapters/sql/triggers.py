"""Triggers that make the timeline append-only: the database refuses to change or delete a line of it."""

from collections.abc import Sequence

SQLITE: Sequence[str] = (
    "CREATE TRIGGER call_events_no_update BEFORE UPDATE ON call_events "
    "BEGIN SELECT RAISE(ABORT, 'call_events is append-only'); END",
    "CREATE TRIGGER call_events_no_delete BEFORE DELETE ON call_events "
    "BEGIN SELECT RAISE(ABORT, 'call_events is append-only'); END",
)

POSTGRESQL: Sequence[str] = (
    "CREATE FUNCTION call_events_append_only() RETURNS trigger LANGUAGE plpgsql AS "
    "$$ BEGIN RAISE EXCEPTION 'call_events is append-only'; END $$",
    "CREATE TRIGGER call_events_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON call_events "
    "FOR EACH STATEMENT EXECUTE FUNCTION call_events_append_only()",
)


def statements(dialect: str) -> Sequence[str]:
    """Return the CREATE statements for `sqlite` or `postgresql`."""
    return {"sqlite": SQLITE, "postgresql": POSTGRESQL}[dialect]
