"""The append-only timeline of a call: writing it, reading it, proving it untouched.

Each line carries the SHA-256 of itself and of the line before it, so a changed, removed or inserted line
shows. The triggers refuse such a change in the first place; the chain also catches who goes around them.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from typing import Any
from uuid import uuid4

from sqlalchemy import Connection, Executable, Row, bindparam, exists, func, select

from archer_bridge.adapters.sql.schema import call_events
from archer_bridge.adapters.sql.statements import insert, insert_once, lock_call
from archer_bridge.adapters.sql.types import dump_json, load_json
from archer_bridge.models import CallEvent
from archer_bridge.redaction import redact_value

FIRST_HASH = "0" * 64
_LAST = (
    select(call_events.c.seq, call_events.c.hash)
    .where(call_events.c.call_sid == bindparam("sid"))
    .order_by(call_events.c.seq.desc())
    .limit(1)
)


@dataclass(frozen=True, slots=True)
class Note:
    """An event on its way: its id makes writing it twice harmless."""

    event_id: str
    call_sid: str
    at: datetime
    kind: str
    data_json: str


@dataclass(frozen=True, slots=True)
class End:
    """The last line of a timeline."""

    seq: int
    hash: str


NO_END = End(0, FIRST_HASH)
MOST_ENDS = 2000
"""Timelines whose ends are remembered: far more than a process has live calls."""


def new_note(call_sid: str, kind: str, data: Mapping[str, Any], at: datetime) -> Note:
    """Take the facts as they are now, without secrets; `data` may change afterwards."""
    return Note(uuid4().hex, call_sid, at, kind, dump_json(redact_value(data)))


def append(connection: Connection, note: Note) -> None:
    """Add one line to the call's timeline.

    Where the timeline ended is remembered, which spares the question. It may be untrue by now (a transaction was
    undone, another process wrote, the call was purged): then the line before is not there, or the line's own place is
    taken, the insert does nothing, and the question is asked after all.
    """
    lock_call(connection, note.call_sid)
    end = _ends(connection).get(note.call_sid)
    if end is not None and _write(connection, note, end, insert_after(connection.dialect.name)):
        return
    last = connection.execute(_LAST, {"sid": note.call_sid}).first()
    _write(connection, note, NO_END if last is None else End(last.seq, last.hash))


def begin(connection: Connection, note: Note) -> None:
    """Write the first line of a timeline that has none."""
    _write(connection, note, NO_END)


def _write(connection: Connection, note: Note, end: End, statement: Executable | None = None) -> bool:
    seq = end.seq + 1
    line = {
        "event_id": note.event_id,
        "call_sid": note.call_sid,
        "seq": seq,
        "at": note.at,
        "kind": note.kind,
        "data_json": note.data_json,
        "prev_hash": end.hash,
        "hash": line_hash(note, seq, end.hash),
    }
    if statement is None:
        is_written = insert_once(connection, call_events, line)
    else:
        is_written = connection.execute(statement, line | {"prev_seq": end.seq}).rowcount == 1
    ends = _ends(connection)
    if is_written:
        if len(ends) >= MOST_ENDS:
            ends.clear()
        ends[note.call_sid] = End(seq, str(line["hash"]))
    return is_written


def _ends(connection: Connection) -> dict[str, End]:
    """Return where the timelines ended that this connection wrote last."""
    ends: dict[str, End] = connection.info.setdefault("ends of timelines", {})
    return ends


@cache
def insert_after(dialect: str) -> Executable:
    """Return the insert of a line that does nothing unless the line before it is there, and its own place free."""
    before = call_events.alias("before")
    is_there = exists().where(
        before.c.call_sid == bindparam("call_sid"),
        before.c.seq == bindparam("prev_seq"),
        before.c.hash == bindparam("prev_hash"),
    )
    line = select(*(bindparam(column.name, type_=column.type) for column in call_events.c)).where(is_there)
    return insert(dialect, call_events).from_select(list(call_events.c), line).on_conflict_do_nothing()


def line_hash(note: Note, seq: int, previous: str) -> str:
    """Return the hex SHA-256 of a line and everything before it."""
    at = note.at.astimezone(UTC).isoformat(timespec="microseconds")
    fields = [note.call_sid, seq, at, note.kind, note.data_json, previous]
    return hashlib.sha256(json.dumps(fields, separators=(",", ":")).encode("ascii")).hexdigest()


def timeline(connection: Connection, call_sid: str) -> Sequence[CallEvent]:
    """Return the call's events in order."""
    rows = connection.execute(select(call_events).where(call_events.c.call_sid == call_sid).order_by(call_events.c.seq))
    return [CallEvent(row.call_sid, row.seq, row.at, row.kind, load_json(row.data_json)) for row in rows]


def count(connection: Connection, call_sid: str, kind: str) -> int:
    """Return how many of the call's events are of a kind."""
    of_kind = (call_events.c.call_sid == call_sid, call_events.c.kind == kind)
    return connection.execute(select(func.count()).select_from(call_events).where(*of_kind)).scalar_one()


def broken_lines(rows: Iterable[Row[Any]]) -> list[str]:
    """Return one sentence for each line of one call, given in order, that does not fit its chain."""
    problems = []
    previous, expected_seq = FIRST_HASH, 1
    for row in rows:
        note = Note(row.event_id, row.call_sid, row.at, row.kind, row.data_json)
        if row.seq != expected_seq:
            problems.append(f"{row.call_sid}: event {row.seq} follows {expected_seq - 1}: a line is missing")
        if row.prev_hash != previous:
            problems.append(f"{row.call_sid}: event {row.seq} does not follow the line before it")
        if row.hash != line_hash(note, row.seq, row.prev_hash):
            problems.append(f"{row.call_sid}: event {row.seq} ({row.kind}) was changed after it was written")
        previous, expected_seq = row.hash, row.seq + 1
    return problems
