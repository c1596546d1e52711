"""The ledger of tool calls: a durable row before each side effect, one living try of each.

A technical key says "the engine asked again in the same words"; a business key says "this is the same side
effect under a new id". The second is enforced by a unique index over the rows that happened or may have.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any

from sqlalchemy import Connection, Executable, Row, bindparam, func, or_, select, update

from archer_bridge.adapters.sql import events
from archer_bridge.adapters.sql.schema import LIVE_TRIES, UNSETTLED, tool_calls
from archer_bridge.adapters.sql.statements import insert_once
from archer_bridge.adapters.sql.types import kept_json
from archer_bridge.models import Began, ToolBegin, ToolBegun, ToolRow, ToolStatus

CHANGEABLE = (ToolStatus.STARTED.value, ToolStatus.UNKNOWN.value)
_LIVE = tuple(status.value for status in LIVE_TRIES)


@dataclass(frozen=True, slots=True)
class Finish:
    """How a tool call ended."""

    key: str
    status: ToolStatus
    result_json: str
    duration_ms: float | None


def to_row(row: Row[Any]) -> ToolRow:
    """Return the value of a row of `tool_calls`."""
    return ToolRow(
        key=row.key,
        call_sid=row.call_sid,
        tool=row.tool,
        arguments_json=row.arguments_json,
        business_key=row.business_key,
        status=ToolStatus(row.status),
        result_json=row.result_json,
        attempt=row.attempt,
        started_at=row.started_at,
        done_at=row.done_at,
        duration_ms=row.duration_ms,
    )


def begin(connection: Connection, asked: ToolBegin, *, owner_id: str, now: datetime) -> tuple[ToolBegun, str]:
    """Make the row durable, or find the row in its way; also return whose that row is.

    A row that is `started` is reported as running: only its owner knows whether it still is.
    """
    attempt = 1 + _earlier_tries(connection, asked.business_key)
    values = _values(asked, owner_id=owner_id, now=now)
    if insert_once(connection, tool_calls, values | {"status": ToolStatus.STARTED.value, "attempt": attempt}):
        _note(connection, asked.call_sid, "tool_started", {"key": asked.key, "tool": asked.tool}, now)
        return ToolBegun(Began.NEW, _new_row(values, attempt)), owner_id
    row = connection.execute(_in_the_way(asked)).first()
    assert row is not None, "an insert that met a conflict means that the row is there"
    meaning = {ToolStatus.STARTED: Began.RUNNING, ToolStatus.UNKNOWN: Began.BLOCKED}
    return ToolBegun(meaning.get(ToolStatus(row.status), Began.REPLAY), to_row(row)), row.owner_id


def _in_the_way(asked: ToolBegin) -> Any:
    same_effect = (tool_calls.c.business_key == asked.business_key) & tool_calls.c.status.in_(_LIVE)
    own_key_first = (tool_calls.c.key != asked.key).asc()
    return select(tool_calls).where(or_(tool_calls.c.key == asked.key, same_effect)).order_by(own_key_first).limit(1)


_TRIES = select(func.count()).where(
    tool_calls.c.business_key == bindparam("business_key"), tool_calls.c.status != ToolStatus.DENIED.value
)


def _earlier_tries(connection: Connection, business_key: str | None) -> int:
    if business_key is None:
        return 0
    return connection.execute(_TRIES, {"business_key": business_key}).scalar_one()


def _new_row(values: dict[str, Any], attempt: int) -> ToolRow:
    given = {name: values[name] for name in ("key", "call_sid", "tool", "arguments_json", "business_key", "started_at")}
    return ToolRow(
        **given, status=ToolStatus.STARTED, result_json=None, attempt=attempt, done_at=None, duration_ms=None
    )


_FINISH = (
    update(tool_calls)
    .where(tool_calls.c.key == bindparam("of_key"), tool_calls.c.status.in_(CHANGEABLE))
    .values(
        status=bindparam("new_status"),
        result_json=bindparam("new_result"),
        done_at=bindparam("now"),
        duration_ms=bindparam("took_ms"),
    )
    .returning(tool_calls.c.call_sid, tool_calls.c.tool)
)


def finish(connection: Connection, ended: Finish, *, now: datetime) -> bool:
    """Store the result of a row that is `started` or `unknown`; False when it is neither."""
    values = {
        "of_key": ended.key,
        "new_status": ended.status.value,
        "new_result": kept_json(ended.result_json),
        "now": now,
        "took_ms": ended.duration_ms,
    }
    row = connection.execute(_FINISH, values).first()
    if row is None:
        return False
    data = {"key": ended.key, "tool": row.tool, "status": ended.status.value, "duration_ms": ended.duration_ms}
    _note(connection, row.call_sid, "tool_done", data, now)
    return True


def settle(connection: Connection, ended: Finish, *, now: datetime) -> bool:
    """Decide a row that is `unknown`, and only such a row."""
    found = connection.execute(
        select(tool_calls.c.key).where(tool_calls.c.key == ended.key, tool_calls.c.status == ToolStatus.UNKNOWN.value)
    ).first()
    return found is not None and finish(connection, ended, now=now)


def deny(connection: Connection, asked: ToolBegin, result_json: str, *, owner_id: str, now: datetime) -> None:
    """Record a refused call; a denied row blocks nothing, and a key that exists stays as it is."""
    values = _values(asked, owner_id=owner_id, now=now) | {
        "status": ToolStatus.DENIED.value,
        "result_json": kept_json(result_json),
        "attempt": 1,
        "done_at": now,
    }
    if insert_once(connection, tool_calls, values):
        _note(connection, asked.call_sid, "tool_denied", {"key": asked.key, "tool": asked.tool}, now)


def rows(connection: Connection, call_sid: str | None, status: ToolStatus | None) -> Sequence[ToolRow]:
    """Return tool rows in order of their start."""
    asked = {"call_sid": call_sid, "status": None if status is None else status.value}
    wanted = {name: value for name, value in asked.items() if value is not None}
    return [to_row(row) for row in connection.execute(_rows_with(*wanted), wanted)]


@cache
def _rows_with(*names: str) -> Executable:
    conditions = [tool_calls.c[name] == bindparam(name) for name in names]
    return select(tool_calls).where(*conditions).order_by(tool_calls.c.started_at, tool_calls.c.key)


def count_unknown(connection: Connection) -> int:
    """Return how many tool rows nobody knows the end of."""
    is_unknown = tool_calls.c.status == ToolStatus.UNKNOWN.value
    return connection.execute(select(func.count()).select_from(tool_calls).where(UNSETTLED, is_unknown)).scalar_one()


def _values(asked: ToolBegin, *, owner_id: str, now: datetime) -> dict[str, Any]:
    return {
        "key": asked.key,
        "call_sid": asked.call_sid,
        "tool": asked.tool,
        "arguments_json": kept_json(asked.arguments_json),
        "arguments_sha256": asked.arguments_sha256,
        "business_key": asked.business_key,
        "owner_id": owner_id,
        "started_at": now,
    }


def _note(connection: Connection, call_sid: str, kind: str, data: dict[str, Any], now: datetime) -> None:
    events.append(connection, events.new_note(call_sid, kind, data, now))
