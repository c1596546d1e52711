from datetime import UTC, datetime

import pytest

from archer_bridge.calls.tool_reconcile import Verdict, reconcile, settle
from archer_bridge.memory_store import MemoryStore
from archer_bridge.models import ToolBegin, ToolRow, ToolStatus
from archer_bridge.tool_api import ToolStore, tool

NOW = datetime(2026, 11, 22, tzinfo=UTC)


async def look_up(store: ToolStore, row: ToolRow) -> object:
    match row.business_key:
        case "happened":
            return {"done": row.business_key}
        case "strange":
            return object()
        case "down":
            raise OSError("no answer")
        case _:
            return None


@tool(side_effect=True, reconcile=look_up)
async def sure() -> None:
    """Can be looked up."""


@tool(side_effect=True)
async def unsure() -> None:
    """Cannot."""


TOOLS = {"sure": sure, "unsure": unsure}


async def unknown(tool_name: str, business_key: str) -> MemoryStore:
    store = MemoryStore()
    await store.begin_tool(ToolBegin("key", "CA1", tool_name, "{}", "", business_key))
    store.recover()
    return store


@pytest.mark.parametrize(
    ("tool_name", "business_key", "status", "result", "note"),
    [
        pytest.param("sure", "happened", "ok", '{"done":"happened"}', "it had happened", id="happened"),
        pytest.param("sure", "nothing", "error", None, "nothing had happened", id="nothing-happened"),
        pytest.param("sure", "down", "unknown", None, "the tool failed to find out: OSError('no answer')", id="down"),
        pytest.param("sure", "strange", "unknown", None, "UnserialisableResult", id="strange-answer"),
        pytest.param("unsure", "x", "unknown", None, "the tool cannot say what became of it", id="cannot-say"),
        pytest.param("gone", "x", "unknown", None, "the tool is not enabled", id="not-enabled"),
    ],
)
async def test_a_tool_says_what_became_of_its_side_effect(tool_name, business_key, status, result, note):
    store = await unknown(tool_name, business_key)
    (verdict,) = await reconcile(TOOLS, store)
    (row,) = await store.tool_rows()

    assert status == row.status.value
    assert result in {None, row.result_json}
    assert note in verdict.note
    assert (None if status == "unknown" else status) == (verdict.status and verdict.status.value)


async def test_looking_settles_nothing():
    store = await unknown("sure", "happened")
    (verdict,) = await reconcile(TOOLS, store, dry_run=True)

    assert ToolStatus.OK is verdict.status
    assert [row.status for row in await store.tool_rows()] == [ToolStatus.UNKNOWN]


async def test_a_row_that_was_settled_meanwhile_is_left_alone():
    store = await unknown("sure", "happened")

    class Slow(MemoryStore):
        async def tool_rows(self, call_sid=None, *, status=None):
            rows = await store.tool_rows(call_sid, status=status)
            await store.finish_tool("key", ToolStatus.ERROR, '{"error":{}}', 1.0)
            return rows

        settle_unknown = store.settle_unknown

    (verdict,) = await reconcile(TOOLS, Slow())

    assert (verdict.status, verdict.note) == (None, "it was settled meanwhile")
    assert isinstance(verdict, Verdict)


@pytest.mark.parametrize("status", [ToolStatus.OK, ToolStatus.ERROR])
async def test_a_person_may_decide_once(status):
    store = await unknown("unsure", "x")

    assert await settle(store, "key", status)
    assert not await settle(store, "key", status)
    assert [status] == [row.status for row in await store.tool_rows()]
