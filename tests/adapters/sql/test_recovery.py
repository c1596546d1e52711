"""Orphans, leases and heartbeats, on every database."""

import asyncio
import re
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import create_engine, event

from archer_bridge.adapters.sql import Recovered, SqlStore, recovery, tools
from archer_bridge.adapters.sql.recovery import Survivor
from archer_bridge.adapters.sql.schema import metadata
from archer_bridge.adapters.sql.types import utc_now
from archer_bridge.errors import StoreError
from archer_bridge.models import Began, CallRow, CallState, Outcome, ToolStatus
from tests.adapters.sql.conftest import Database, OpenStore
from tests.adapters.sql.samples import SetClock, done, new_call, tool

NOTHING = Recovered((), ())


async def _claimed(store: SqlStore) -> CallRow:
    sid = (await store.open_call(new_call())).call_sid
    row = await store.claim_stream(sid, "MZ1", f"token-{sid}", store.owner_id)
    assert row is not None
    return row


async def _get(store: SqlStore, call_sid: str) -> CallRow:
    row = await store.get_call(call_sid)
    assert row is not None
    return row


async def test_a_reborn_process_ends_its_old_calls_at_once(open_one: OpenStore) -> None:
    store = await open_one()
    call = await _claimed(store)
    await store.begin_tool(tool("k1", call.call_sid, business_key="pay"))
    await store.close()

    reborn = await open_one()
    recovered = await reborn.recover()

    row = await _get(reborn, call.call_sid)
    assert Recovered((call.call_sid,), ("k1",), (call.call_sid,)) == recovered
    assert (row.state, row.outcome) == (CallState.ENDED, Outcome.ORPHANED)
    assert row.reason == "its process 'bridge-1' was gone in state connecting"
    assert [each.status for each in await reborn.tool_rows()] == [ToolStatus.UNKNOWN]
    assert (await reborn.begin_tool(tool("k2", call.call_sid, business_key="pay"))).found is Began.BLOCKED
    assert await reborn.recover() == NOTHING
    assert (await reborn.check()).problems == ()


async def test_live_calls_and_tools_are_left_alone(store: SqlStore) -> None:
    call = await _claimed(store)
    await store.begin_tool(tool("k1", call.call_sid))

    assert await store.recover() == NOTHING
    assert await _get(store, call.call_sid) == call
    assert not await store.end_call("CA" + "f" * 32, done())


async def test_a_call_claimed_in_the_same_batch_is_left_alone(store: SqlStore) -> None:
    sid = (await store.open_call(new_call())).call_sid

    claimed, begun, recovered = await asyncio.gather(
        store.claim_stream(sid, "MZ1", "token", store.owner_id), store.begin_tool(tool("k", sid)), store.recover()
    )

    assert claimed is not None
    assert begun.found is Began.NEW
    assert recovered == NOTHING


async def test_a_call_whose_lease_was_renewed_outlives_it(open_one: OpenStore) -> None:
    clock = SetClock()
    store = await open_one(clock=clock)
    call, ended = await _claimed(store), await _claimed(store)
    await store.end_call(ended.call_sid, done())
    clock.advance(hours=1)

    assert await store.renew_leases() == 1
    assert await store.recover() == NOTHING
    assert (await _get(store, call.call_sid)).state is CallState.CONNECTING


async def test_a_call_waits_for_its_stream_across_a_restart_but_not_for_ever(
    open_one: OpenStore, database: Database
) -> None:
    clock = SetClock()
    store = await open_one(clock=clock)
    patient = await store.open_call(new_call())
    await store.close()
    reborn = await open_one(clock=clock)

    assert await reborn.recover() == NOTHING
    assert await reborn.claim_stream(patient.call_sid, "MZ1", "token", "bridge-1") is not None

    hopeless = await _expired(reborn, clock, database, open_one)
    assert Recovered((hopeless.call_sid,), ()) == await reborn.recover()
    row = await _get(reborn, hopeless.call_sid)
    assert (row.outcome, row.reason) == (Outcome.NO_STREAM, "no media stream came for the call")


async def _expired(store: SqlStore, clock: SetClock, database: Database, open_one: OpenStore) -> CallRow:
    """Return a call whose wait for a stream is over.

    On PostgreSQL the server's clock counts, so there the wait itself is made negative.
    """
    if database.dialect == "sqlite":
        call = await store.open_call(new_call())
        clock.advance(minutes=3, seconds=1)
        return call
    hasty = await open_one(owner_id="hasty", stream_wait=timedelta(seconds=-1))
    return await hasty.open_call(new_call())


async def test_a_call_whose_ending_was_lost_is_not_renewed(open_one: OpenStore) -> None:
    store = await open_one()
    call = await _claimed(store)

    await store.close()
    with pytest.raises(StoreError, match="the store is closed"):
        await store.end_call(call.call_sid, done())

    assert call.call_sid not in store._calls


async def test_pings_are_writes(store: SqlStore) -> None:
    before = store.stats.rows

    await store.ping()
    await store.ping()

    assert before + 2 == store.stats.rows
    assert store.stats.is_available


def test_nothing_reads_all_there_ever_was_in_the_writers_transaction() -> None:
    asked: list[tuple[str, Any]] = []
    engine = create_engine("sqlite://")
    metadata.create_all(engine)

    @event.listens_for(engine, "before_cursor_execute")
    def note(_: Any, __: Any, statement: str, parameters: Any, *___: Any) -> None:
        asked.append((statement, parameters))

    survivor = Survivor(owner_id="me", own_calls={"CA1"}, own_tools={"k1"}, is_alone=True)
    with engine.connect() as connection:
        recovery.recover(connection, survivor, now=utc_now())
        tools.count_unknown(connection)
        for key in ("k2", "k3"):  # the second one meets the first
            tools.begin(connection, tool(key, "CA1", business_key="pay"), owner_id="me", now=utc_now())
        plans = [
            str(connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters).all())
            for statement, parameters in list(asked)
        ]
    engine.dispose()

    assert "ix_calls_open" in plans[0]
    assert all("ix_tool_calls_unsettled" in plan for plan in plans[1:3])
    assert len(plans) > 6
    assert [plan for plan in plans if re.search(r"SCAN \w+'", plan)] == []
