"""What the record knows of a call's earlier streams."""

from datetime import timedelta

import pytest

from archer_bridge.calls.before import before_this_stream
from archer_bridge.memory_store import MemoryStore
from archer_bridge.models import CallRow, NewCall, ToolBegin, ToolStatus, Turn
from archer_bridge.ports import Recall, ToolMemory

SID = "CA" + "1" * 32
HELLO = Turn(1, "assistant", "Hello there.", "Hello", True, 200.0, 900.0)
ASKED = Turn(2, "user", "Yes?", "Yes?", False, 1000.0, 1800.0)


async def reopened(store: MemoryStore) -> CallRow:
    await store.open_call(NewCall(SID, "AC" + "1" * 32, "+15550100001", "+15550199999"))
    await store.claim_stream(SID, "MZ1", "token-1", "gone")
    await store.reopen_call(SID, at_most=1)
    row = await store.claim_stream(SID, "MZ2", "token-2", "me")
    assert row is not None
    return row


async def test_all_that_was_said_and_done_is_remembered_but_nothing_is_proved() -> None:
    store = MemoryStore()
    row = await reopened(store)
    for turn in (ASKED, HELLO):
        store.add_turn(SID, turn)
    for key, status in (("a", ToolStatus.OK), ("b", None)):
        await store.begin_tool(ToolBegin(key, SID, f"tool_{key}", "{}", "0" * 64))
        if status is not None:
            await store.finish_tool(key, status, '{"done":true}', 5.0)
    before = await before_this_stream(store, row)

    assert row.is_resumed
    assert before.recall == Recall(
        turns=[HELLO, ASKED],
        tools=[
            ToolMemory("tool_a", ToolStatus.OK, '{"done":true}'),
            ToolMemory("tool_b", ToolStatus.STARTED, ""),
        ],
        running=["tool_b"],
        last_turn=2,
        same_tools=False,
    )


@pytest.mark.parametrize(("ago_s", "seconds"), [(60.0, 60.0), (0.0, 1.8), (-3600.0, 1.8)])
async def test_the_timeline_goes_on_whatever_the_wall_clock_says(ago_s: float, seconds: float) -> None:
    store = MemoryStore()
    row = await reopened(store)
    store.add_turn(SID, ASKED)
    assert row.answered_at is not None
    object.__setattr__(row, "answered_at", row.answered_at - timedelta(seconds=ago_s))
    before = await before_this_stream(store, row)

    assert before.seconds == pytest.approx(seconds, abs=0.5)


async def test_a_call_that_had_said_nothing_yet_remembers_nothing() -> None:
    store = MemoryStore()
    before = await before_this_stream(store, await reopened(store))

    assert before.recall == Recall(turns=[], tools=[], running=[], same_tools=False)
