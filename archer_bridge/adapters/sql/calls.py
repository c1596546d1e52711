"""Writes and reads of calls and their turns, as functions of an open transaction.

Every change of a call's state is one conditional update together with the event that tells it, so the
timeline replays to the row.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from datetime import datetime, timedelta
from functools import cache
from typing import Any

from sqlalchemy import Connection, Executable, Row, bindparam, case, func, select, true, update

from archer_bridge.adapters.sql import events
from archer_bridge.adapters.sql.schema import calls, stream_tokens, tool_calls, turns
from archer_bridge.adapters.sql.statements import insert_once, lease_clock, lock_call, see_one_state, upsert
from archer_bridge.adapters.sql.types import clean_text, dump_json, kept_text, load_json
from archer_bridge.calls.state import sources
from archer_bridge.models import CallEnd, CallRow, CallState, NewCall, Outcome, Turn
from archer_bridge.ports import ANY_STREAM
from archer_bridge.redaction import redact_heard

CALL_CREATED, STREAM_CLAIMED, CALL_MOVED, CALL_ENDED = "call_created", "stream_claimed", "call_moved", "call_ended"
CALL_REOPENED = "call_reopened"
"""The kinds of event that change the row; `replay.py` reads them."""


@dataclass(frozen=True, slots=True)
class Claim:
    """A stream that asks for its call."""

    call_sid: str
    stream_sid: str
    jti: str
    owner_id: str
    lease: timedelta


def to_row(row: Row[Any]) -> CallRow:
    """Return the value of a row of `calls`."""
    return CallRow(
        call_sid=row.call_sid,
        account_sid=row.account_sid,
        direction=row.direction,
        from_number=row.from_number,
        to_number=row.to_number,
        customer_id=row.customer_id,
        state=CallState(row.state),
        outcome=None if row.outcome is None else Outcome(row.outcome),
        reason=row.reason,
        owner_id=row.owner_id,
        stream_sid=row.stream_sid,
        created_at=row.created_at,
        answered_at=row.answered_at,
        ended_at=row.ended_at,
        duration_ms=row.duration_ms,
        numbers=load_json(row.numbers_json),
    )


_GET = select(calls).where(calls.c.call_sid == bindparam("sid"))


def get(connection: Connection, call_sid: str) -> CallRow | None:
    """Return the call, or None."""
    row = connection.execute(_GET, {"sid": call_sid}).first()
    return None if row is None else to_row(row)


def open_call(connection: Connection, new: NewCall, *, now: datetime, wait: timedelta) -> CallRow:
    """Insert the call, or find the one that an earlier copy of the webhook made.

    Until a stream claims it nobody owns the call; `wait` is how long that may take.
    """
    row = CallRow(
        **_fields(new),
        state=CallState.CREATED,
        outcome=None,
        reason=None,
        owner_id=None,
        stream_sid=None,
        created_at=now,
        answered_at=None,
        ended_at=None,
        duration_ms=None,
    )
    values = _fields(row) | {
        "state": row.state.value,
        "lease_until": lease_clock(connection, now) + wait,
        "version": 1,
        "numbers_json": "{}",
    }
    del values["numbers"], values["is_resumed"]
    if insert_once(connection, calls, values):
        data = {"direction": new.direction, "customer_id": new.customer_id}
        events.begin(connection, events.new_note(new.call_sid, CALL_CREATED, data, now))
        return row
    found = get(connection, new.call_sid)
    assert found is not None, "an insert that met a conflict means that the row is there"
    return found


def _fields(value: NewCall | CallRow | Turn) -> dict[str, Any]:
    return {field.name: getattr(value, field.name) for field in fields(value)}


# Building a statement takes longer than running it, so those of every call are built once.

_CLAIM = (
    update(calls)
    .where(calls.c.call_sid == bindparam("of_sid"), calls.c.state == CallState.CREATED.value)
    .values(
        state=CallState.CONNECTING.value,
        stream_sid=bindparam("new_stream"),
        owner_id=bindparam("new_owner"),
        lease_until=bindparam("until"),
        answered_at=func.coalesce(calls.c.answered_at, bindparam("now", type_=calls.c.answered_at.type)),
        version=calls.c.version + 1,
    )
    .returning(*calls.c)
)


@cache
def _move_to(state: CallState) -> Executable:
    return (
        update(calls)
        .where(calls.c.call_sid == bindparam("of_sid"), calls.c.state.in_(sources(state)))
        .values(state=state.value, version=calls.c.version + 1)
    )


@cache
def _end_of(*, any_stream: bool) -> Executable:
    """Return the update that ends a call; a wall clock that was set back never ends it before it began."""
    now = bindparam("now", type_=calls.c.ended_at.type)
    has_stream = true() if any_stream else calls.c.stream_sid.is_not_distinct_from(bindparam("of_stream"))
    return (
        update(calls)
        .where(calls.c.call_sid == bindparam("of_sid"), calls.c.state.in_(sources(CallState.ENDED)), has_stream)
        .values(
            state=CallState.ENDED.value,
            outcome=bindparam("new_outcome"),
            reason=bindparam("new_reason"),
            ended_at=case((calls.c.created_at > now, calls.c.created_at), else_=now),
            duration_ms=bindparam("new_duration"),
            numbers_json=bindparam("new_numbers"),
            version=calls.c.version + 1,
        )
    )


def claim(connection: Connection, asked: Claim, *, now: datetime) -> CallRow | None:
    """Spend the token and take the call, or change nothing and return None."""
    lock_call(connection, asked.call_sid)
    row = get(connection, asked.call_sid)
    if row is None or row.state is not CallState.CREATED:
        return None
    token = {"jti": asked.jti, "call_sid": asked.call_sid, "used_at": now}
    if not insert_once(connection, stream_tokens, token):
        return None
    values = {
        "of_sid": asked.call_sid,
        "new_stream": asked.stream_sid,
        "new_owner": asked.owner_id,
        "until": lease_clock(connection, now) + asked.lease,
        "now": now,
    }
    claimed = connection.execute(_CLAIM, values).one()
    data = {"stream_sid": asked.stream_sid, "owner_id": asked.owner_id}
    events.append(connection, events.new_note(asked.call_sid, STREAM_CLAIMED, data, now))
    return replace(to_row(claimed), is_resumed=row.answered_at is not None)


def move(connection: Connection, call_sid: str, state: CallState, *, now: datetime) -> bool:
    """Make one move of the table in `calls/state.py`; False when the row was not in a state for it."""
    changed = connection.execute(_move_to(state), {"of_sid": call_sid})
    if changed.rowcount != 1:
        return False
    events.append(connection, events.new_note(call_sid, CALL_MOVED, {"state": state.value}, now))
    return True


def reopen(connection: Connection, call_sid: str, *, at_most: int, now: datetime, wait: timedelta) -> CallRow | None:
    """Let the call wait for another stream; None when it ended, is unknown, or was reopened often enough.

    Asked once more, while it waits already, the answer is the same: webhooks and works of the writer are repeated.
    """
    lock_call(connection, call_sid)
    row = get(connection, call_sid)
    if row is not None and row.state is CallState.CREATED and row.answered_at is not None:
        return row
    if events.count(connection, call_sid, CALL_REOPENED) >= at_most:
        return None
    changed = connection.execute(
        update(calls)
        .where(calls.c.call_sid == call_sid, calls.c.state.in_(sources(CallState.CREATED)))
        .values(
            state=CallState.CREATED.value,
            stream_sid=None,
            owner_id=None,
            lease_until=lease_clock(connection, now) + wait,
            version=calls.c.version + 1,
        )
    )
    if changed.rowcount != 1:
        return None
    events.append(connection, events.new_note(call_sid, CALL_REOPENED, {}, now))
    return get(connection, call_sid)


def end(
    connection: Connection, call_sid: str, ending: CallEnd, *, now: datetime, stream_sid: str | None = ANY_STREAM
) -> bool:
    """Give the call its outcome, once; False when it has one already, is not known, or has another stream."""
    numbers_json, reason = dump_json(ending.numbers), kept_text(ending.reason)
    values = {
        "of_sid": call_sid,
        "new_outcome": ending.outcome.value,
        "new_reason": reason,
        "now": now,
        "new_duration": ending.duration_ms,
        "new_numbers": numbers_json,
    }
    any_stream = stream_sid == ANY_STREAM
    values |= {} if any_stream else {"of_stream": stream_sid}
    changed = connection.execute(_end_of(any_stream=any_stream), values)
    if changed.rowcount != 1:
        return False
    data = {
        "outcome": ending.outcome.value,
        "reason": reason,
        "duration_ms": ending.duration_ms,
        "numbers": load_json(numbers_json),
    }
    events.append(connection, events.new_note(call_sid, CALL_ENDED, data, now))
    return True


def renew(connection: Connection, call_sids: Collection[str], *, now: datetime, lease: timedelta) -> int:
    """Push the leases of these calls forward, unless they ended; return how many there were."""
    until = lease_clock(connection, now) + lease
    is_open = calls.c.state != CallState.ENDED.value
    changed = connection.execute(
        update(calls).where(calls.c.call_sid.in_(call_sids), is_open).values(lease_until=until)
    )
    return changed.rowcount


def newest(connection: Connection, limit: int) -> Sequence[CallRow]:
    """Return the newest calls first."""
    order = (calls.c.created_at.desc(), calls.c.call_sid)
    return [to_row(row) for row in connection.execute(select(calls).order_by(*order).limit(limit))]


def talk_seconds(connection: Connection, since: datetime) -> float:
    """Return the seconds of ended calls that began at or after `since`."""
    total = select(func.coalesce(func.sum(calls.c.duration_ms), 0)).where(calls.c.created_at >= since)
    return float(connection.execute(total).scalar_one()) / 1000


def put_turn(connection: Connection, call_sid: str, turn: Turn) -> None:
    """Store the turn; a turn with the same number and role is replaced by what is known now."""
    text, heard = redact_heard(clean_text(turn.text), clean_text(turn.heard_text))
    values = _fields(turn) | {"text": text, "heard_text": heard}
    upsert(connection, turns, {"call_sid": call_sid} | values)


def transcript(connection: Connection, call_sid: str) -> Sequence[Turn]:
    """Return the turns in the order they were spoken."""
    names = [column for column in turns.c if column.name != "call_sid"]
    order = (turns.c.started_ms, turns.c.number, turns.c.role)
    rows = connection.execute(select(*names).where(turns.c.call_sid == call_sid).order_by(*order))
    return [Turn(**row) for row in rows.mappings()]


def counts(connection: Connection, call_sids: Collection[str]) -> Mapping[str, tuple[int, int]]:
    """Return the number of turns and of tool calls of each call."""
    see_one_state(connection)
    found = {call_sid: [0, 0] for call_sid in call_sids}
    for position, table in enumerate((turns, tool_calls)):
        rows = connection.execute(
            select(table.c.call_sid, func.count()).where(table.c.call_sid.in_(call_sids)).group_by(table.c.call_sid)
        )
        for call_sid, number in rows:
            found[call_sid][position] = number
    return {call_sid: (talk, tools) for call_sid, (talk, tools) in found.items()}
