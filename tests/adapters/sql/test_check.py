"""`check` finds what somebody changed behind the store's back."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import Connection, text

from archer_bridge.adapters.sql import open_store
from archer_bridge.adapters.sql.address import parse_address
from archer_bridge.adapters.sql.connections import Reader, open_committer
from archer_bridge.adapters.sql.seed import DEMO_CUSTOMERS
from archer_bridge.adapters.sql.statements import see_one_state
from archer_bridge.errors import StoreError
from archer_bridge.models import CallState, Outcome, ToolStatus
from tests.adapters.sql.conftest import Database, OpenStore
from tests.adapters.sql.samples import done, new_call, plan, tool


async def _one_call(url: str) -> str:
    async with await open_store(url) as store:
        await store.add_customers(DEMO_CUSTOMERS)
        sid = (await store.open_call(new_call())).call_sid
        await store.claim_stream(sid, "MZ1", "token", store.owner_id)
        await store.move_call(sid, CallState.ACTIVE)
        store.note(sid, "remark", {"n": 1})
        await store.begin_tool(tool("k1", sid))
        await store.record_arrangement(plan(sid))
        await store.finish_tool("k1", ToolStatus.OK, "{}", 2.5)
        await store.move_call(sid, CallState.ENDING)
        await store.end_call(sid, done(Outcome.COMPLETED))
        checked = await store.check()
    assert (checked.calls, checked.events, checked.problems) == (1, 9, ())
    return sid


@pytest.mark.parametrize(
    ("sql", "problem"),
    [
        pytest.param(
            "UPDATE calls SET outcome = 'caller_hangup'",
            "outcome is 'caller_hangup', the timeline says 'completed'",
            id="outcome-changed",
        ),
        pytest.param("UPDATE calls SET owner_id = 'x'", "owner_id is 'x', the timeline says", id="owner-changed"),
        pytest.param(
            "UPDATE call_events SET data_json = '{\"n\":2}' WHERE kind = 'remark'",
            "event 4 (remark) was changed after it was written",
            id="line-changed",
        ),
        pytest.param(
            "DELETE FROM call_events WHERE seq = 4", "event 5 follows 3: a line is missing", id="line-removed"
        ),
        pytest.param(
            "UPDATE call_events SET prev_hash = hash WHERE seq = 4",
            "event 4 does not follow the line before it",
            id="chain-cut",
        ),
        pytest.param(
            "UPDATE call_events SET kind = 'note' WHERE kind = 'stream_claimed'",
            "event 3 moves from created to active",
            id="impossible-move",
        ),
        pytest.param("DELETE FROM call_events WHERE seq = 1", "no call_created event", id="no-beginning"),
        pytest.param(
            "UPDATE arrangements SET customer_id = 'ghost'", "a row of arrangements refers to nothing", id="dangling"
        ),
    ],
)
async def test_a_change_behind_the_stores_back_shows(tmp_path: Path, sql: str, problem: str) -> None:
    file = tmp_path / "record.db"
    await _one_call(f"sqlite:///{file}")
    with closing(sqlite3.connect(file)) as connection, connection:
        connection.execute("DROP TRIGGER call_events_no_update")
        connection.execute("DROP TRIGGER call_events_no_delete")
        connection.execute(sql)

    async with await open_store(f"sqlite:///{file}", read_only=True) as store:
        problems = (await store.check()).problems

    assert any(problem in found for found in problems), problems


@pytest.mark.parametrize("sql", ["UPDATE call_events SET kind = 'x'", "DELETE FROM call_events"])
async def test_the_database_refuses_to_change_the_timeline(database: Database, sql: str) -> None:
    if database.dialect == "postgresql":
        async with await open_store(database.url) as store:
            await store.open_call(new_call())
    else:
        await _one_call(database.url)
    committer = open_committer(parse_address(database.url))
    try:
        (result,) = await committer.commit([lambda connection: connection.execute(text(sql))])
    finally:
        await committer.close()

    assert "call_events is append-only" in str(result)


async def test_a_reader_cannot_write(open_one: OpenStore) -> None:
    await open_one()
    reader = await open_one(read_only=True)

    with pytest.raises(StoreError, match="opened to read only"):
        await reader.open_call(new_call())
    with pytest.raises(StoreError, match=r"readonly database|read-only transaction"):
        await reader._parts.reader.read(lambda connection: connection.execute(text("DELETE FROM calls")))


@pytest.mark.parametrize("is_asked_for", [True, False])
async def test_who_asks_for_one_state_sees_none_of_what_is_written_meanwhile(
    database: Database, is_asked_for: bool
) -> None:
    def count(connection: Connection) -> int:
        return int(connection.execute(text("SELECT count(*) FROM calls")).scalar_one())

    reader = Reader(parse_address(database.url))
    async with await open_store(database.url) as store, reader._engine.connect() as connection:
        if is_asked_for:
            await connection.run_sync(see_one_state)
        before = await connection.run_sync(count)
        await store.open_call(new_call())
        after = await connection.run_sync(count)
    await reader.close()

    assert after - before == (0 if is_asked_for else 1)
