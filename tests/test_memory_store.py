"""The store in memory follows the real one: the same steps find the same things."""

import asyncio
import itertools
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from archer_bridge.adapters.sql import open_store
from archer_bridge.memory_store import MemoryStore
from archer_bridge.models import (
    Arrangement,
    CallEnd,
    CallState,
    NewCall,
    Outcome,
    ToolBegin,
    ToolStatus,
    Turn,
)
from archer_bridge.testing import DANA

SID = "CA" + "1" * 32
NEW = NewCall(SID, "AC" + "0" * 32, DANA.phone, "+15550000000", customer_id="dana")
MADE = Arrangement("k", SID, "dana", "full_payment", "sms_link", 5, (), "A-1")
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("begin"), st.integers(0, 3), st.sampled_from([None, "a", "b"])),
        st.tuples(st.just("finish"), st.integers(0, 3), st.sampled_from(["ok", "error", "unknown"])),
        st.tuples(st.just("deny"), st.integers(0, 3), st.none()),
        st.tuples(st.just("settle"), st.integers(0, 3), st.sampled_from(["ok", "error"])),
    ),
    max_size=14,
)
_fresh = itertools.count()


@pytest.fixture(scope="module")
def sql(tmp_path_factory):
    with asyncio.Runner() as runner:
        store = runner.run(open_store(f"sqlite:///{tmp_path_factory.mktemp('record')}/archer.db"))
        try:
            runner.run(store.open_call(replace(NEW, customer_id=None)))
            yield runner, store
        finally:
            runner.run(store.close())


async def play(store, prefix, steps):
    """Take the steps and return what each of them found, and the rows they left."""
    seen = []
    for kind, number, word in steps:
        key = f"{prefix}:{number}"
        match kind:
            case "begin":
                business_key = word and f"{prefix}:{word}"
                begun = await store.begin_tool(ToolBegin(key, SID, "t", "{}", "0" * 64, business_key))
                seen.append((begun.found, begun.row.key, begun.row.status, begun.row.attempt))
            case "finish" if any(row.key == key for row in await store.tool_rows(SID)):
                await store.finish_tool(key, ToolStatus(word), f'"{word}"', 1.0)
            case "deny":
                await store.deny_tool(ToolBegin(key, SID, "t", "{}", "0" * 64), '"no"')
            case "settle":
                seen.append(await store.settle_unknown(key, ToolStatus(word), f'"{word}"'))
    rows = [row for row in await store.tool_rows(SID) if row.key.startswith(f"{prefix}:")]
    return seen, sorted((row.key, row.status, row.result_json, row.business_key, row.attempt) for row in rows)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=STEPS)
def test_the_ledger_finds_the_same(sql, steps):
    runner, store = sql
    prefix = f"{SID}:{next(_fresh)}"

    assert runner.run(play(MemoryStore(), prefix, steps)) == runner.run(play(store, prefix, steps))


async def test_a_call_lives_once_and_ends_once():
    store = MemoryStore([DANA])
    first, again = await store.open_call(NEW), await store.open_call(NEW)
    claimed = await store.claim_stream(SID, "MZ1", "jti", "me")
    moves = [await store.move_call(SID, state) for state in (CallState.ENDING, CallState.ACTIVE, CallState.ENDED)]
    spent = await store.claim_stream(SID, "MZ2", "jti", "me")
    ends = [await store.end_call(SID, CallEnd(Outcome.COMPLETED, "done", 5, {"frames": 1})) for _ in range(2)]
    row = await store.get_call(SID)

    assert first is again
    assert claimed is not None
    assert row is not None
    assert (claimed.state, claimed.owner_id, spent) == (CallState.CONNECTING, "me", None)
    assert moves == [False, True, False]
    assert ends == [True, False]
    assert (row.state, row.outcome, row.duration_ms, row.numbers) == (
        CallState.ENDED,
        Outcome.COMPLETED,
        5,
        {"frames": 1},
    )
    assert [row] == list(await store.list_calls())


async def test_calls_that_are_not_there_change_nothing():
    store = MemoryStore()

    assert await store.claim_stream(SID, "MZ1", "jti", "me") is None
    assert not await store.move_call(SID, CallState.ACTIVE)
    assert not await store.end_call(SID, CallEnd(Outcome.COMPLETED, ""))
    assert await store.find_customer(DANA.phone) is None
    assert await store.get_customer("dana") is None


async def test_turns_events_and_arrangements_are_kept():
    store = MemoryStore([DANA])
    late, early = [Turn(number, "assistant", "", "", False, 10.0 - number, 11.0) for number in (1, 2)]
    store.add_turn(SID, late)
    store.add_turn(SID, early)
    store.add_turn(SID, early)
    store.note(SID, "mark", {"a": 1})
    store.note(SID, "mark", {"a": 2})
    await store.flush()
    made = [await store.record_arrangement(MADE) for _ in range(2)]
    await store.close()

    assert [early, late] == list(await store.turns(SID))
    assert [(event.seq, event.data) for event in await store.events(SID)] == [(1, {"a": 1}), (2, {"a": 2})]
    assert made == [MADE, MADE]
    assert [MADE] == list(await store.arrangements(SID)) == list(await store.arrangements())
    assert list(await store.arrangements("other")) == []
