"""Triggers that make the timeline append-only: the database refuses to change or delete a line of it.

Lines of a call in `purged_calls` may be deleted: what was deleted is written down there, where nothing can be changed.
"""

from collections.abc import Sequence

SQLITE: Sequence[str] = (
    "CREATE TRIGGER call_events_no_update BEFORE UPDATE ON call_events "
    "BEGIN SELECT RAISE(ABORT, 'call_events is append-only'); END",
    "CREATE TRIGGER call_events_no_delete BEFORE DELETE ON call_events "
    "WHEN NOT EXISTS (SELECT 1 FROM purged_calls WHERE call_sid = OLD.call_sid) "
    "BEGIN SELECT RAISE(ABORT, 'call_events is append-only'); END",
    "CREATE TRIGGER purged_calls_no_update BEFORE UPDATE ON purged_calls "
    "BEGIN SELECT RAISE(ABORT, 'purged_calls is append-only'); END",
    "CREATE TRIGGER purged_calls_no_delete BEFORE DELETE ON purged_calls "
    "BEGIN SELECT RAISE(ABORT, 'purged_calls is append-only'); END",
)

POSTGRESQL: Sequence[str] = (
    "CREATE FUNCTION call_events_append_only() RETURNS trigger LANGUAGE plpgsql AS "
    "$$ BEGIN RAISE EXCEPTION 'call_events is append-only'; END $$",
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
)


def statements(dialect: str) -> Sequence[str]:
    """Return the CREATE statements for `sqlite` or `postgresql`."""
    return {"sqlite": SQLITE, "postgresql": POSTGRESQL}[dialect]
