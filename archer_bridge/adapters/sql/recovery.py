"""Settling what a dead process left behind.

A call is an orphan when nobody lives who could end it: it is this owner's but this process never claimed
it, its lease ran out, or the file lock proves that no other process lives. A call that only waits for its
stream belongs to nobody; when the wait is over it ends as `no_stream`. A tool row that was `started` by a
dead process becomes `unknown`: its side effect may have happened.
"""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, Connection, false, func, or_, select, update

from archer_bridge.adapters.sql import calls as call_rows
from archer_bridge.adapters.sql import events
from archer_bridge.adapters.sql.schema import OPEN_CALL, UNSETTLED, calls, heartbeats, tool_calls
from archer_bridge.adapters.sql.statements import lease_clock, upsert
from archer_bridge.models import CallEnd, CallState, Outcome, ToolStatus

TOOL_GRACE = timedelta(seconds=30)
"""A tool may outlive its call, whose lease then ends: so long after that, its process counts as dead."""


@dataclass(frozen=True, slots=True)
class Survivor:
    """Who asks, and what it is busy with itself."""

    owner_id: str
    own_calls: Collection[str]
    own_tools: Collection[str]
    is_alone: bool
    """No other process can be writing to this database."""


@dataclass(frozen=True, slots=True)
class Recovered:
    """What was settled: SIDs of calls, keys of tool rows."""

    calls: tuple[str, ...]
    tools: tuple[str, ...]
    orphans: tuple[str, ...] = ()
    """Those of the calls that were on the line when their process died."""


def recover(connection: Connection, survivor: Survivor, *, now: datetime) -> Recovered:
    """End orphaned calls and mark orphaned tool rows; harmless at any time and any number of times."""
    clock = lease_clock(connection, now)
    ended = _end_calls(connection, survivor, clock, now)
    orphans = tuple(call_sid for call_sid, outcome in ended.items() if outcome is Outcome.ORPHANED)
    return Recovered(tuple(ended), _mark_tools(connection, survivor, clock, now), orphans)


def _end_calls(connection: Connection, survivor: Survivor, clock: datetime, now: datetime) -> dict[str, Outcome]:
    dead = or_(calls.c.lease_until < clock, _is_dead(calls.c.owner_id, survivor))
    orphans = connection.execute(
        select(calls.c.call_sid, calls.c.state, calls.c.owner_id, calls.c.answered_at).where(
            OPEN_CALL, dead, calls.c.call_sid.not_in(survivor.own_calls)
        )
    ).all()
    ended = {}
    # Sorted here: asked to, SQLite walks the table in order instead of the index of the few.
    for row in sorted(orphans, key=lambda orphan: orphan.call_sid):
        if row.state == CallState.CREATED and row.answered_at is not None:
            ending = CallEnd(Outcome.CALLER_HANGUP, "the stream broke off, and no other one came")
        elif row.state == CallState.CREATED:
            ending = CallEnd(Outcome.NO_STREAM, "no media stream came for the call")
        else:
            ending = CallEnd(Outcome.ORPHANED, f"its process {row.owner_id!r} was gone in state {row.state}")
        if call_rows.end(connection, row.call_sid, ending, now=now):
            ended[row.call_sid] = ending.outcome
    return ended


def _mark_tools(connection: Connection, survivor: Survivor, clock: datetime, now: datetime) -> tuple[str, ...]:
    lease_over = (
        select(calls.c.call_sid)
        .where(calls.c.call_sid == tool_calls.c.call_sid, calls.c.lease_until < clock - TOOL_GRACE)
        .exists()
    )
    dead = or_(_is_dead(tool_calls.c.owner_id, survivor), lease_over)
    rows = connection.execute(
        select(tool_calls.c.key, tool_calls.c.call_sid, tool_calls.c.tool, tool_calls.c.owner_id).where(
            UNSETTLED,
            tool_calls.c.status == ToolStatus.STARTED.value,
            dead,
            tool_calls.c.key.not_in(survivor.own_tools),
        )
    ).all()
    marked = []
    for row in sorted(rows, key=lambda one: one.key):
        changed = connection.execute(
            update(tool_calls)
            .where(tool_calls.c.key == row.key, tool_calls.c.status == ToolStatus.STARTED.value)
            .values(status=ToolStatus.UNKNOWN.value)
        )
        if changed.rowcount == 1:
            data = {"key": row.key, "tool": row.tool, "owner_id": row.owner_id}
            events.append(connection, events.new_note(row.call_sid, "tool_unknown", data, now))
            marked.append(row.key)
    return tuple(marked)


def _is_dead(owner: ColumnElement[str | None], survivor: Survivor) -> ColumnElement[bool]:
    """This owner's rows that this process is not busy with; and everybody's, when this process is alone."""
    return owner.is_not(None) if survivor.is_alone else func.coalesce(owner == survivor.owner_id, false())


def beat(connection: Connection, owner_id: str, *, now: datetime) -> None:
    """Write something small, which proves that the database takes writes."""
    upsert(connection, heartbeats, {"owner_id": owner_id, "at": now})
