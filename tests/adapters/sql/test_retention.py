"""The contract of retention, on every database: what is too old is gone, and the record still proves itself."""

from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from sqlalchemy import MetaData, Table, select
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from archer_bridge.adapters.sql import SqlStore
from archer_bridge.adapters.sql.address import parse_address
from archer_bridge.adapters.sql.retention import CALL_PURGED, WORDS_PURGED
from archer_bridge.adapters.sql.seed import DEMO_CUSTOMERS
from archer_bridge.models import CallState, ToolStatus
from tests.adapters.sql.conftest import Database, OpenStore
from tests.adapters.sql.samples import SetClock, done, new_call, new_sid, plan, tool, turn

PERSONAL = ("PERSONAL-word", "PERSONAL-argument", "PERSONAL-result", "PERSONAL-event", "PERSONAL-reason", "5550100001")


async def _call(store: SqlStore, call_sid: str, *, status: ToolStatus = ToolStatus.OK) -> None:
    """Record a whole call with something personal in every place that takes it."""
    key = f"{call_sid}:t1"
    await store.open_call(new_call(call_sid, customer_id="demo-dana-reyes"))
    await store.claim_stream(call_sid, "MZ1", f"token-{call_sid}", "bridge-1")
    await store.move_call(call_sid, CallState.ACTIVE)
    await store.receive_webhook(f"{call_sid}|completed", call_sid, "status")
    store.add_turn(call_sid, turn(1, "PERSONAL-word"))
    store.note(call_sid, "fault", {"message": "PERSONAL-event"})
    begin = tool(key, call_sid)
    await store.begin_tool(replace(begin, arguments_json='{"name":"PERSONAL-argument"}'))
    if status is not ToolStatus.STARTED:
        await store.finish_tool(key, status, '{"name":"PERSONAL-result"}', 12.0)
    await store.record_arrangement(plan(call_sid, key=key))
    await store.end_call(call_sid, done(reason="PERSONAL-reason"))


def _engine(url: str) -> AsyncEngine:
    """Return a way to the tables around the store."""
    address = parse_address(url)
    return create_async_engine(address.url if address.file is None else f"sqlite+aiosqlite:///{address.file}")


async def _everything(url: str) -> dict[str, list[str]]:
    """Return each table's rows as text, read around the store."""
    engine = _engine(url)
    async with engine.connect() as connection:
        metadata = MetaData()
        await connection.run_sync(metadata.reflect)
        found = {}
        for table in metadata.sorted_tables:
            if table.name not in {"customers", "alembic_version"}:
                found[table.name] = [str(tuple(row)) for row in (await connection.execute(select(table))).all()]
    await engine.dispose()
    return found


def _where(rows: dict[str, list[str]], call_sid: str) -> set[tuple[str, str]]:
    """Return the tables that hold something personal of this call, and what."""
    return {
        (name, needle)
        for name, lines in rows.items()
        for line in lines
        if call_sid in line
        for needle in PERSONAL
        if needle in line
    }


async def test_four_hundred_days_later_nothing_personal_is_left(database: Database, open_one: OpenStore) -> None:
    clock, old, middle, new = SetClock(), new_sid(), new_sid(), new_sid()
    store = await open_one(clock=clock)
    await store.add_customers(DEMO_CUSTOMERS)
    await _call(store, old)
    clock.advance(days=300)
    await _call(store, middle)
    clock.advance(days=100)
    await _call(store, new)
    before = await _everything(database.url)
    gone = await store.purge(words_before=_ago(clock, 90), calls_before=_ago(clock, 365))
    after = await _everything(database.url)
    again = await store.purge(words_before=_ago(clock, 90), calls_before=_ago(clock, 365))

    assert {needle for _, needle in _where(before, old)} == set(PERSONAL)
    assert (gone.calls, gone.words) == ((old,), (middle,))
    assert _where(after, old) == set()
    assert {name for name, _ in _where(after, middle)} == {"calls", "call_events"}
    assert "PERSONAL-word" not in str([line for line in after["call_events"] if middle in line])
    assert _where(after, new) == _where(before, new)
    assert (again.calls, again.words) == ((), ())


def _ago(clock: SetClock, days: int) -> datetime:
    return clock.now - timedelta(days=days)


async def test_the_deletion_is_told_and_the_chains_hold(open_one: OpenStore) -> None:
    clock, old, middle = SetClock(), new_sid(), new_sid()
    store = await open_one(clock=clock)
    await store.add_customers(DEMO_CUSTOMERS)
    await _call(store, old)
    clock.advance(days=300)
    await _call(store, middle)
    lines = len(await store.events(old))
    clock.advance(days=100)
    await store.purge(words_before=_ago(clock, 90), calls_before=_ago(clock, 365))
    checked = await store.check()
    told, kept = await store.events(old), await store.events(middle)
    row = await store.get_call(old)

    assert checked.problems == ()
    assert [(event.kind, event.seq) for event in told] == [(CALL_PURGED, 1)]
    assert {name: told[0].data[name] for name in ("events", "turns", "tool_rows")} == {
        "events": lines,
        "turns": 1,
        "tool_rows": 1,
    }
    assert (kept[-1].kind, kept[-1].data) == (WORDS_PURGED, {"turns": 1, "tool_rows": 1})
    assert row is not None
    assert (row.from_number, row.reason, row.numbers, row.outcome) == ("", None, {}, done().outcome)
    assert [agreed.call_sid for agreed in await store.arrangements(old)] == [old]


async def test_words_purged_leave_what_keeps_a_side_effect_from_repeating(open_one: OpenStore) -> None:
    clock, sid = SetClock(), new_sid()
    store = await open_one(clock=clock)
    await store.add_customers(DEMO_CUSTOMERS)
    await _call(store, sid)
    clock.advance(days=91)
    await store.purge(words_before=_ago(clock, 90), calls_before=None)
    (row,) = await store.tool_rows(sid)

    assert (row.status, row.arguments_json, row.result_json) == (ToolStatus.OK, "{}", None)
    assert await store.turns(sid) == []


async def test_a_call_with_an_open_side_effect_and_a_live_call_wait(open_one: OpenStore) -> None:
    clock, unsettled, live = SetClock(), new_sid(), new_sid()
    store = await open_one(clock=clock)
    await store.add_customers(DEMO_CUSTOMERS)
    await _call(store, unsettled, status=ToolStatus.STARTED)
    await store.open_call(new_call(live))
    clock.advance(days=4000)
    gone = await store.purge(words_before=clock.now, calls_before=clock.now)

    assert (gone.calls, gone.words) == ((), ())
    assert len(await store.turns(unsettled)) == 1


@pytest.mark.parametrize("table", ["call_events", "purged_calls"])
async def test_nothing_else_is_let_go(table: str, database: Database, open_one: OpenStore) -> None:
    clock, old, other = SetClock(), new_sid(), new_sid()
    store = await open_one(clock=clock)
    await store.add_customers(DEMO_CUSTOMERS)
    await _call(store, old)
    clock.advance(days=10)
    await _call(store, other)
    await store.purge(words_before=None, calls_before=_ago(clock, 5))
    await store.close()
    engine = _engine(database.url)
    metadata = MetaData()
    async with engine.connect() as connection:
        await connection.run_sync(metadata.reflect)
    found: Table = metadata.tables[table]
    sid = other if table == "call_events" else old
    for statement in (
        found.delete().where(found.c.call_sid == sid),
        found.update().where(found.c.call_sid == sid).values(at=clock.now.replace(tzinfo=None)),
    ):
        with pytest.raises(DBAPIError, match="append-only"):
            async with engine.begin() as connection:
                await connection.execute(statement)
    await engine.dispose()


async def test_a_timeline_that_was_swapped_after_the_purge_shows(database: Database, open_one: OpenStore) -> None:
    clock, old = SetClock(), new_sid()
    store = await open_one(clock=clock)
    await store.add_customers(DEMO_CUSTOMERS)
    await _call(store, old)
    clock.advance(days=10)
    await store.purge(words_before=None, calls_before=_ago(clock, 5))
    await store.close()
    engine = _engine(database.url)
    metadata = MetaData()
    async with engine.begin() as connection:
        await connection.run_sync(metadata.reflect)
        events = metadata.tables["call_events"]
        await connection.execute(events.delete().where(events.c.call_sid == old))
    await engine.dispose()
    checked = await (await open_one(clock=clock)).check()

    assert checked.problems == (f"{old}: was purged, but its timeline does not begin with {CALL_PURGED}",)
