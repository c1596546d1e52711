"""Deleting what has been kept long enough.

Two ages: after the first a call loses its words (transcript, tool arguments and results); after the second all of it
but a skeleton without personal data (SID, account, customer id, outcome, instants) and what was arranged. The timeline
is append-only: the database lets go of a call's lines only when `purged_calls` says how many there were and how their
chain ended, and the call's new timeline begins with the event that tells it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Select, delete, func, or_, select, update

from archer_bridge.adapters.sql import events
from archer_bridge.adapters.sql.schema import (
    call_events,
    calls,
    purged_calls,
    stream_tokens,
    tool_calls,
    turns,
    webhook_receipts,
)
from archer_bridge.adapters.sql.types import load_json
from archer_bridge.models import CallState, ToolStatus

WORDS_PURGED, CALL_PURGED = "words_purged", "call_purged"
"""The kinds of event that tell a deletion."""
NO_ARGUMENTS = "{}"


@dataclass(frozen=True, slots=True)
class Ages:
    """What ended before these instants is deleted; None: nothing is."""

    words_before: datetime | None
    calls_before: datetime | None


@dataclass(frozen=True, slots=True)
class Purged:
    """The calls that lost their words, and those that lost everything, by SID."""

    words: tuple[str, ...] = ()
    calls: tuple[str, ...] = ()

    def __add__(self, other: "Purged") -> "Purged":
        return Purged(self.words + other.words, self.calls + other.calls)


def purge(connection: Connection, ages: Ages, *, at_most: int, now: datetime) -> Purged:
    """Delete what is too old of so many calls, the oldest first; nothing left to do gives nothing."""
    whole = _sids(connection, _old_calls(ages.calls_before), at_most) if ages.calls_before else ()
    for call_sid in whole:
        _purge_call(connection, call_sid, now)
    words = _sids(connection, _old_words(ages.words_before), at_most) if ages.words_before else ()
    for call_sid in words:
        turn_count, tool_count = _purge_words(connection, call_sid)
        data = {"turns": turn_count, "tool_rows": tool_count}
        events.append(connection, events.new_note(call_sid, WORDS_PURGED, data, now))
    return Purged(words, whole)


def _sids(connection: Connection, query: Select[Any], at_most: int) -> tuple[str, ...]:
    ordered = query.order_by(calls.c.ended_at, calls.c.call_sid).limit(at_most)
    return tuple(connection.execute(ordered).scalars())


def _ended(before: datetime) -> Select[Any]:
    """Return the calls that ended before; one whose side effect is still unknown waits until it is settled."""
    settled = (
        ~select(tool_calls.c.key)
        .where(
            tool_calls.c.call_sid == calls.c.call_sid,
            tool_calls.c.status.in_([ToolStatus.STARTED.value, ToolStatus.UNKNOWN.value]),
        )
        .exists()
    )
    return select(calls.c.call_sid).where(calls.c.state == CallState.ENDED.value, calls.c.ended_at < before, settled)


def _old_calls(before: datetime) -> Select[Any]:
    return _ended(before).where(calls.c.call_sid.not_in(select(purged_calls.c.call_sid)))


def _old_words(before: datetime) -> Select[Any]:
    said = select(turns.c.call_sid).where(turns.c.call_sid == calls.c.call_sid).exists()
    asked = select(tool_calls.c.key).where(tool_calls.c.call_sid == calls.c.call_sid, _has_words()).exists()
    return _ended(before).where(or_(said, asked))


def _has_words() -> Any:
    return or_(tool_calls.c.arguments_json != NO_ARGUMENTS, tool_calls.c.result_json.is_not(None))


def _purge_words(connection: Connection, call_sid: str) -> tuple[int, int]:
    """Delete the transcript, and what tools were given and gave; return how many rows of each.

    The rows of tools stay: they are what keeps a side effect from happening twice. The digest goes with the
    arguments, for few digits can be found by trying.
    """
    talk = connection.execute(delete(turns).where(turns.c.call_sid == call_sid)).rowcount
    tools = connection.execute(
        update(tool_calls)
        .where(tool_calls.c.call_sid == call_sid, _has_words())
        .values(arguments_json=NO_ARGUMENTS, arguments_sha256="", result_json=None)
    ).rowcount
    return talk, tools


def _purge_call(connection: Connection, call_sid: str, now: datetime) -> None:
    of_call = call_events.c.call_sid == call_sid
    last = connection.execute(
        select(call_events.c.seq, call_events.c.hash).where(of_call).order_by(call_events.c.seq.desc()).limit(1)
    ).first()
    lines = connection.execute(select(func.count()).select_from(call_events).where(of_call)).scalar_one()
    audit = {
        "call_sid": call_sid,
        "at": now,
        "events": lines,
        "last_hash": last.hash if last is not None else events.FIRST_HASH,
    }
    connection.execute(purged_calls.insert().values(**audit))
    connection.execute(delete(call_events).where(of_call))
    talk = connection.execute(delete(turns).where(turns.c.call_sid == call_sid)).rowcount
    tools = connection.execute(delete(tool_calls).where(tool_calls.c.call_sid == call_sid)).rowcount
    for table in (stream_tokens, webhook_receipts):
        connection.execute(delete(table).where(table.c.call_sid == call_sid))
    connection.execute(
        update(calls)
        .where(calls.c.call_sid == call_sid)
        .values(from_number="", to_number="", reason=None, stream_sid=None, numbers_json="{}")
    )
    data = {"events": lines, "last_hash": audit["last_hash"], "turns": talk, "tool_rows": tools}
    events.begin(connection, events.new_note(call_sid, CALL_PURGED, data, now))


def audit_problems(call_sid: str, timeline: Sequence[Any], audit: Any) -> list[str]:
    """Return what is wrong with the timeline of a purged call, whose row cannot be replayed any more."""
    problems = events.broken_lines(timeline)
    if not timeline or timeline[0].kind != CALL_PURGED:
        return [*problems, f"{call_sid}: was purged, but its timeline does not begin with {CALL_PURGED}"]
    told = load_json(timeline[0].data_json)
    if (told["events"], told["last_hash"]) != (audit.events, audit.last_hash):
        problems.append(f"{call_sid}: {CALL_PURGED} tells of another timeline than purged_calls")
    return problems
