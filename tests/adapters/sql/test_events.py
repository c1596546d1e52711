"""The end of a timeline is remembered, and may be untrue: what is written then is one unbroken chain all the same."""

from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import Connection, Engine, select

from archer_bridge.adapters.sql import calls, events, retention, upgrade
from archer_bridge.adapters.sql.address import parse_address
from archer_bridge.adapters.sql.batch import Failed, run_batch
from archer_bridge.adapters.sql.connections import sqlite_writer_engine
from archer_bridge.adapters.sql.schema import call_events
from archer_bridge.adapters.sql.types import utc_now
from tests.adapters.sql.samples import done, new_call

SID = "CA" + "7" * 32
Write = Callable[[Connection], object]


@pytest.fixture
async def engines(tmp_path: Path) -> AsyncIterator[tuple[Engine, Engine]]:
    """Two processes' connections to one record that has one call, whose timeline both wrote last."""
    url = f"sqlite:///{tmp_path / 'archer.db'}"
    await upgrade(url)
    both = sqlite_writer_engine(parse_address(url)), sqlite_writer_engine(parse_address(url))
    write(both[0], lambda on: calls.open_call(on, new_call(SID), now=utc_now(), wait=timedelta(seconds=9)))
    write(both[0], line("one"))
    write(both[1], line("two"))
    yield both
    for engine in both:
        engine.dispose()


def write(engine: Engine, *works: Write) -> list[object]:
    with engine.connect() as connection:
        return list(run_batch(connection, works))


def line(kind: str) -> Write:
    return lambda connection: events.append(connection, events.new_note(SID, kind, {}, utc_now()))


def kinds(engine: Engine) -> list[str]:
    """Return the kinds of the call's events, of which the chain holds."""
    with engine.connect() as connection:
        of_call = call_events.c.call_sid == SID
        rows = connection.execute(select(call_events).where(of_call).order_by(call_events.c.seq)).all()
    assert events.broken_lines(rows) == []
    return [row.kind for row in rows]


def test_another_process_wrote_meanwhile(engines: tuple[Engine, Engine]) -> None:
    write(engines[0], line("three"), line("four"))
    write(engines[1], line("five"))
    write(engines[0], line("six"))

    assert kinds(engines[0]) == ["call_created", "one", "two", "three", "four", "five", "six"]


def test_a_transaction_with_lines_in_it_was_undone(engines: tuple[Engine, Engine]) -> None:
    def fails(_: Connection) -> None:
        raise ValueError("not this one")

    def writes_and_fails(connection: Connection) -> None:
        line("lost")(connection)
        raise ValueError("nor this one")

    results = write(engines[1], line("three"), fails, line("four"), writes_and_fails, line("five"))

    assert [isinstance(result, Failed) for result in results] == [False, True, False, True, False]
    assert kinds(engines[1]) == ["call_created", "one", "two", "three", "four", "five"]


def test_the_call_was_purged_meanwhile(engines: tuple[Engine, Engine]) -> None:
    later = utc_now() + timedelta(days=9)
    write(engines[0], lambda on: calls.end(on, SID, done(), now=utc_now()))
    ages = retention.Ages(None, later)
    write(engines[0], lambda on: retention.purge(on, ages, at_most=5, now=later))

    write(engines[1], line("late"))

    assert kinds(engines[1]) == ["call_purged", "late"]


def test_the_same_line_twice_is_written_once(engines: tuple[Engine, Engine]) -> None:
    note = events.new_note(SID, "three", {}, utc_now())

    write(engines[1], lambda on: events.append(on, note), lambda on: events.append(on, note))
    write(engines[0], lambda on: events.append(on, note))

    assert kinds(engines[0]) == ["call_created", "one", "two", "three"]


def test_what_is_remembered_has_a_limit(engines: tuple[Engine, Engine], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "MOST_ENDS", 1)
    other = "CA" + "8" * 32
    write(engines[0], lambda on: calls.open_call(on, new_call(other), now=utc_now(), wait=timedelta(seconds=9)))
    write(engines[0], line("three"))

    with engines[0].connect() as connection:
        assert list(connection.info["ends of timelines"]) == [SID]
