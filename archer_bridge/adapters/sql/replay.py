"""Proving a record: the chain of each timeline holds, and the timeline replays to the row."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import groupby
from typing import Any

from sqlalchemy import Connection, Row, select, text

from archer_bridge.adapters.sql import events, retention
from archer_bridge.adapters.sql.calls import CALL_CREATED, CALL_ENDED, CALL_MOVED, CALL_REOPENED, STREAM_CLAIMED
from archer_bridge.adapters.sql.schema import call_events, calls, purged_calls
from archer_bridge.adapters.sql.statements import see_one_state
from archer_bridge.adapters.sql.types import load_json
from archer_bridge.calls.state import allowed
from archer_bridge.models import CallState


@dataclass(frozen=True, slots=True)
class Story:
    """The part of a call's row that its timeline tells; phone numbers are in the row only."""

    state: CallState
    outcome: str | None = None
    reason: str | None = None
    owner_id: str | None = None
    stream_sid: str | None = None
    created_at: datetime | None = None
    answered_at: datetime | None = None
    ended_at: datetime | None = None
    duration_ms: int | None = None
    version: int = 1


@dataclass(frozen=True, slots=True)
class Checked:
    """What `check` looked at, and one sentence for each thing that is wrong."""

    calls: int
    events: int
    problems: tuple[str, ...]


def replay(rows: Iterable[Row[Any]]) -> Story | None:
    """Tell the call's story from its events, in order; None without a beginning.

    Raises:
        ValueError: an event makes a move that the table of states does not have.
    """
    story: Story | None = None
    for row in rows:
        data = load_json(row.data_json)
        if row.kind == CALL_CREATED:
            story = Story(CallState.CREATED, created_at=row.at)
        elif story is not None and row.kind in {STREAM_CLAIMED, CALL_MOVED, CALL_ENDED, CALL_REOPENED}:
            story = _advance(story, row, data)
    return story


def _advance(story: Story, row: Row[Any], data: dict[str, Any]) -> Story:
    targets = {
        STREAM_CLAIMED: CallState.CONNECTING,
        CALL_ENDED: CallState.ENDED,
        CALL_REOPENED: CallState.CREATED,
    }
    target = targets.get(row.kind) or CallState(data["state"])
    if not allowed(story.state, target):
        raise ValueError(f"event {row.seq} moves from {story.state.value} to {target.value}")
    story = replace(story, state=target, version=story.version + 1)
    if row.kind == STREAM_CLAIMED:
        answered_at = story.answered_at or row.at
        return replace(story, stream_sid=data["stream_sid"], owner_id=data["owner_id"], answered_at=answered_at)
    if row.kind == CALL_REOPENED:
        return replace(story, stream_sid=None, owner_id=None)
    if row.kind == CALL_ENDED:
        assert story.created_at is not None, "a story begins with its creation"
        ended_at = max(row.at, story.created_at)
        facts = {name: data[name] for name in ("outcome", "reason", "duration_ms")}
        return replace(story, ended_at=ended_at, **facts)
    return story


def check(connection: Connection) -> Checked:
    """Check the database file (SQLite), every chain, and every row against its timeline."""
    see_one_state(connection)
    problems: list[str] = []
    if connection.dialect.name == "sqlite":
        answers = connection.execute(text("PRAGMA integrity_check")).scalars().all()
        problems += [f"SQLite: {answer}" for answer in answers if answer != "ok"]
        problems += [
            f"SQLite: a row of {row[0]} refers to nothing"
            for row in connection.execute(text("PRAGMA foreign_key_check"))
        ]
    lines = connection.execute(select(call_events).order_by(call_events.c.call_sid, call_events.c.seq)).all()
    timelines = {sid: list(group) for sid, group in groupby(lines, key=lambda row: row.call_sid)}
    rows = connection.execute(select(calls).order_by(calls.c.call_sid)).all()
    purged = {row.call_sid: row for row in connection.execute(select(purged_calls))}
    for row in rows:
        timeline = timelines.get(row.call_sid, [])
        audit = purged.get(row.call_sid)
        problems += retention.audit_problems(row.call_sid, timeline, audit) if audit else _check_call(row, timeline)
    return Checked(len(rows), len(lines), tuple(problems))


def _check_call(row: Row[Any], timeline: Sequence[Row[Any]]) -> list[str]:
    problems = events.broken_lines(timeline)
    try:
        story = replay(timeline)
    except ValueError as error:
        return [*problems, f"{row.call_sid}: {error}"]
    if story is None:
        return [*problems, f"{row.call_sid}: no {CALL_CREATED} event"]
    for name in Story.__dataclass_fields__:
        told, stored = getattr(story, name), getattr(row, name)
        if told != stored:
            problems.append(f"{row.call_sid}: {name} is {stored!r}, the timeline says {told!r}")
    return problems
