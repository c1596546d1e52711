"""The contract of the tool ledger, on every database."""

import asyncio

import pytest

from archer_bridge.adapters.sql import SqlStore
from archer_bridge.errors import StoreError
from archer_bridge.models import Began, ToolStatus
from tests.adapters.sql.conftest import OpenStore
from tests.adapters.sql.samples import SetClock, done, new_call, new_sid, tool

PAY = "dana|90000|2026-12-22"


async def test_a_new_try_is_durable_before_it_may_run(open_one: OpenStore) -> None:
    store = await open_one()
    sid = (await store.open_call(new_call())).call_sid

    begun = await store.begin_tool(tool("k1", sid, business_key=PAY))

    reader = await open_one(read_only=True)
    assert begun.found is Began.NEW
    assert [begun.row] == await reader.tool_rows(sid)
    assert (begun.row.status, begun.row.attempt, begun.row.result_json) == (ToolStatus.STARTED, 1, None)


async def test_the_same_key_while_it_runs_is_running(store: SqlStore) -> None:
    sid = (await store.open_call(new_call())).call_sid

    answers = await asyncio.gather(*(store.begin_tool(tool("k1", sid)) for _ in range(6)))

    assert [answer.found for answer in answers] == [Began.NEW] + [Began.RUNNING] * 5


@pytest.mark.parametrize("status", [ToolStatus.OK, ToolStatus.ERROR])
async def test_the_same_key_after_the_end_is_replayed(store: SqlStore, status: ToolStatus) -> None:
    sid = (await store.open_call(new_call())).call_sid
    await store.begin_tool(tool("k1", sid))
    await store.finish_tool("k1", status, '{"a":1}', 12.5)

    again = await store.begin_tool(tool("k1", sid))

    assert again.found is Began.REPLAY
    assert (again.row.status, again.row.result_json, again.row.duration_ms) == (status, '{"a":1}', 12.5)
    assert again.row.done_at is not None


@pytest.mark.parametrize(
    ("status", "found"),
    [
        pytest.param(None, Began.RUNNING, id="running"),
        pytest.param(ToolStatus.OK, Began.REPLAY, id="done"),
        pytest.param(ToolStatus.UNKNOWN, Began.BLOCKED, id="unknown"),
        pytest.param(ToolStatus.ERROR, Began.NEW, id="failed"),
    ],
)
async def test_asking_again_under_a_new_id(store: SqlStore, status: ToolStatus | None, found: Began) -> None:
    sid = (await store.open_call(new_call())).call_sid
    await store.begin_tool(tool("k1", sid, business_key=PAY))
    if status is not None:
        await store.finish_tool("k1", status, "{}", 1.0)

    again = await store.begin_tool(tool("k2", sid, business_key=PAY))

    assert again.found is found
    assert ("k2" if found is Began.NEW else "k1") == again.row.key
    assert (2 if found is Began.NEW else 1) == again.row.attempt


async def test_a_key_that_a_dead_process_left_open_is_blocked(open_one: OpenStore) -> None:
    store = await open_one()
    sid = (await store.open_call(new_call())).call_sid
    await store.begin_tool(tool("k1", sid, business_key=PAY))
    await store.close()

    reborn = await open_one()

    assert (await reborn.begin_tool(tool("k1", sid, business_key=PAY))).found is Began.BLOCKED
    assert (await reborn.begin_tool(tool("k2", sid, business_key=PAY))).found is Began.BLOCKED


async def test_of_many_new_ids_at_once_one_runs(store: SqlStore) -> None:
    sid = (await store.open_call(new_call())).call_sid

    tries = (store.begin_tool(tool(f"k{n}", sid, business_key=PAY)) for n in range(10))
    found = [answer.found for answer in await asyncio.gather(*tries)]

    assert found == [Began.NEW] + [Began.RUNNING] * 9


async def test_two_side_effects_do_not_stand_in_each_others_way(store: SqlStore) -> None:
    sid = (await store.open_call(new_call())).call_sid

    first = await store.begin_tool(tool("k1", sid, business_key="one"))
    second = await store.begin_tool(tool("k2", sid, business_key="two"))
    keyless = [await store.begin_tool(tool(f"k{n}", sid)) for n in (3, 4)]

    assert {Began.NEW} == {answer.found for answer in (first, second, *keyless)}


async def test_a_finished_row_stays_as_it_is(store: SqlStore) -> None:
    sid = (await store.open_call(new_call())).call_sid
    await store.begin_tool(tool("k1", sid))
    await store.finish_tool("k1", ToolStatus.OK, '{"first":true}', 1.0)

    await store.finish_tool("k1", ToolStatus.ERROR, '{"first":false}', 2.0)

    (row,) = await store.tool_rows(sid)
    assert (row.status, row.result_json, row.duration_ms) == (ToolStatus.OK, '{"first":true}', 1.0)


async def test_a_late_result_settles_an_unknown_row(store: SqlStore) -> None:
    sid = (await store.open_call(new_call())).call_sid
    await store.begin_tool(tool("k1", sid, business_key=PAY))
    await store.finish_tool("k1", ToolStatus.UNKNOWN, "{}", 8000.0)

    await store.finish_tool("k1", ToolStatus.OK, '{"recorded":true}', 9000.0)

    assert (await store.begin_tool(tool("k2", sid, business_key=PAY))).found is Began.REPLAY


@pytest.mark.parametrize(
    ("status", "found"), [(ToolStatus.OK, Began.REPLAY), (ToolStatus.ERROR, Began.NEW)], ids=["ok", "error"]
)
async def test_a_reconciled_row_decides_the_next_try(store: SqlStore, status: ToolStatus, found: Began) -> None:
    sid = (await store.open_call(new_call())).call_sid
    await store.begin_tool(tool("k1", sid, business_key=PAY))
    assert not await store.settle_unknown("k1", status, "{}")
    await store.finish_tool("k1", ToolStatus.UNKNOWN, "", 1.0)

    assert await store.settle_unknown("k1", status, '{"asked":true}')
    assert not await store.settle_unknown("k1", status, "{}")
    assert (await store.begin_tool(tool("k2", sid, business_key=PAY))).found is found


async def test_a_row_cannot_be_settled_as_unknown(store: SqlStore) -> None:
    with pytest.raises(ValueError, match="expected ok or error"):
        await store.settle_unknown("k1", ToolStatus.UNKNOWN, "{}")


async def test_a_denied_call_is_kept_and_blocks_nothing(store: SqlStore) -> None:
    sid = (await store.open_call(new_call())).call_sid
    await store.deny_tool(tool("k1", sid, business_key=PAY), '{"error":{}}')
    await store.deny_tool(tool("k1", sid, business_key=PAY), '{"other":{}}')

    repeated = await store.begin_tool(tool("k1", sid, business_key=PAY))
    fresh = await store.begin_tool(tool("k2", sid, business_key=PAY))

    assert (repeated.found, repeated.row.result_json) == (Began.REPLAY, '{"error":{}}')
    assert (fresh.found, fresh.row.attempt) == (Began.NEW, 1)
    assert [row.status for row in await store.tool_rows(sid)] == [ToolStatus.DENIED, ToolStatus.STARTED]


async def test_a_tool_of_an_unknown_call_is_refused(store: SqlStore) -> None:
    with pytest.raises(StoreError, match="the record refused a row"):
        await store.begin_tool(tool("k1", new_sid()))


async def test_a_tool_may_end_after_its_call(store: SqlStore) -> None:
    sid = (await store.open_call(new_call())).call_sid
    await store.begin_tool(tool("k1", sid))
    await store.end_call(sid, done())
    await store.finish_tool("k1", ToolStatus.OK, "{}", 1.0)

    kinds = [event.kind for event in await store.events(sid)]
    assert kinds == ["call_created", "tool_started", "call_ended", "tool_done"]
    assert (await store.check()).problems == ()


async def test_rows_are_found_by_call_and_status_in_order_of_start(open_one: OpenStore) -> None:
    clock = SetClock()
    store = await open_one(clock=clock)
    first, second = [(await store.open_call(new_call())).call_sid for _ in range(2)]
    for key, sid in (("z", first), ("a", second), ("m", first)):
        await store.begin_tool(tool(key, sid))
        clock.advance(seconds=1)
    await store.finish_tool("m", ToolStatus.OK, "{}", 1.0)

    assert [row.key for row in await store.tool_rows()] == ["z", "a", "m"]
    assert [row.key for row in await store.tool_rows(first)] == ["z", "m"]
    assert [row.key for row in await store.tool_rows(status=ToolStatus.OK)] == ["m"]
    assert await store.tool_rows(second, status=ToolStatus.OK) == []
