"""The record on SQLite or PostgreSQL: one schema, one writer with group commit, Alembic migrations."""

from archer_bridge.adapters.sql.migrate import upgrade
from archer_bridge.adapters.sql.migrate import upgrade as ensure_schema
from archer_bridge.adapters.sql.opening import open_store
from archer_bridge.adapters.sql.recovery import Recovered
from archer_bridge.adapters.sql.store import SqlStore

__all__ = ["Recovered", "SqlStore", "ensure_schema", "open_store", "upgrade"]
