"""Column types and text rules that make SQLite and PostgreSQL hold the same values."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import DateTime, Dialect
from sqlalchemy.types import TypeDecorator

from archer_bridge.redaction import redact, redact_json


class UtcDateTime(TypeDecorator[datetime]):
    """A timezone-aware UTC instant with microseconds.

    `timestamptz` on PostgreSQL; on SQLite, which has no such type, the text `YYYY-MM-DD HH:MM:SS.ffffff`
    in UTC, which sorts as time does.
    """

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Refuse an instant without a zone: it would mean something else on every machine."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError(f"{value!r} has no time zone; expected an aware datetime")
        utc = value.astimezone(UTC)
        return utc.replace(tzinfo=None) if dialect.name == "sqlite" else utc

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Return the instant in UTC, aware."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


def utc_now() -> datetime:
    """Return the wall clock's now, aware, in UTC."""
    return datetime.now(UTC)


def clean_text(text: str) -> str:
    """Replace what a database cannot hold: NUL (PostgreSQL) and lone surrogates (both) become U+FFFD."""
    return "".join("�" if char == "\x00" or "\ud800" <= char <= "\udfff" else char for char in text)


def kept_text(text: str) -> str:
    """Return text as the record keeps it: storable, without secrets."""
    return redact(clean_text(text))


def kept_json(text: str) -> str:
    """Return JSON text as the record keeps it: storable, without secrets, still JSON."""
    return redact_json(clean_text(text))


def dump_json(data: Mapping[str, Any]) -> str:
    """Return canonical JSON: sorted, compact, ASCII.

    ASCII keeps any text storable. A value that JSON does not know is stored as its `str`: a timeline with
    an odd value in it is better than a call that fails over its own log.
    """
    return json.dumps(data, sort_keys=True, separators=(",", ":"), default=str)


def load_json(text: str | None) -> dict[str, Any]:
    """Return the object that `dump_json` wrote; empty for None."""
    if text is None:
        return {}
    value = json.loads(text)
    if not isinstance(value, dict):
        raise ValueError(f"stored JSON is a {type(value).__name__}, expected an object")
    return value
