"""The runner on the real record: what a payment leaves, and what a death in the middle of one leaves."""

import asyncio
import json
from contextlib import asynccontextmanager

import pytest

from archer_bridge.adapters.plugins import load_tools
from archer_bridge.adapters.sql import open_store
from archer_bridge.calls.tool_reconcile import reconcile
from archer_bridge.calls.tool_runner import ToolLimits, ToolRunner
from archer_bridge.errors import StoreUnavailable
from archer_bridge.models import NewCall
from archer_bridge.testing import DANA
from tests.calls.test_tool_runner import error_code
from tests.support.tool_desk import Desk

SID = "CA" + "1" * 32
TOOLS = load_tools(["verify_account", "get_customer_options", "process_payment", "end_call"])
RIGHT = {"account_last_4": DANA.account_last_4, "postal_code": DANA.postal_code}
PLAN = {"option": "payment_plan", "payment_type": "payment_plan"}
FULL = {"option": "full_payment", "payment_type": "sms_link"}


@asynccontextmanager
async def record(folder, owner="bridge"):
    async with await open_store(f"sqlite:///{folder}/archer.db", owner_id=owner) as store:
        await store.add_customers([DANA])
        await store.open_call(NewCall(SID, "AC" + "0" * 32, DANA.phone, "+15550000000", customer_id=DANA.customer_id))
        yield store


def desk_on(store, *, isolate=False):
    return Desk(store=store, runner=ToolRunner(TOOLS, store, limits=ToolLimits(isolate=isolate)), call_sid=SID)


async def agree(desk, prefix=""):
    await desk.ask("verify_account", RIGHT, key=f"{prefix}1")
    await desk.ask("get_customer_options", key=f"{prefix}2")


@pytest.mark.parametrize("isolate", [False, True])
async def test_a_conversation_leaves_its_rows_and_one_arrangement(tmp_path, isolate):
    async with record(tmp_path) as store:
        desk = desk_on(store, isolate=isolate)
        await agree(desk)
        paid = await desk.ask("process_payment", PLAN)
        again = await desk.ask("process_payment", PLAN)
        other = await desk.ask("process_payment", FULL)
        await desk.runner.drain(5)
        rows = [(row.tool, row.status.value) for row in await store.tool_rows(SID)]
        (made,) = await store.arrangements(SID)

    assert json.loads(paid.result)["confirmation"] == made.confirmation
    assert (again.result, error_code(other)) == (paid.result, "call_limit")
    assert rows == [
        ("verify_account", "ok"),
        ("get_customer_options", "ok"),
        ("process_payment", "ok"),
        ("process_payment", "denied"),
    ]


@pytest.mark.parametrize(
    ("step", "made", "found"),
    [
        pytest.param("record_arrangement", 0, "nothing had happened", id="before-the-side-effect"),
        pytest.param("finish_tool", 1, "it had happened", id="before-the-result"),
    ],
)
async def test_death_in_the_middle_of_a_payment(tmp_path, step, made, found):
    async with record(tmp_path, owner="first") as store:
        desk = desk_on(store)
        await agree(desk)
        reached = asyncio.Event()

        async def die(*_: object) -> None:
            reached.set()
            await asyncio.Event().wait()

        setattr(store, step, die)
        desk.begin("process_payment", PLAN)
        await reached.wait()
        for task in [task for task in asyncio.all_tasks() if task.get_name().startswith("tool")]:
            task.cancel()
        await asyncio.sleep(0)
    async with record(tmp_path, owner="second") as store:
        await store.recover()
        desk = desk_on(store)
        await agree(desk, "after ")
        blocked = await desk.ask("process_payment", PLAN, key="b")
        other = await desk.ask("process_payment", FULL, key="c")
        before = len(await store.arrangements(SID))
        (verdict,) = await reconcile(TOOLS, store)
        answer = await desk.ask("process_payment", PLAN, key="d")
        arrangements = await store.arrangements(SID)

    assert (error_code(blocked), error_code(other)) == ("outcome_unknown", "call_limit")
    assert (before, verdict.note) == (made, found)
    assert json.loads(answer.result)["confirmation"] == arrangements[0].confirmation
    assert len(arrangements) == 1


async def test_a_database_that_is_gone_is_no_reason_to_pay(tmp_path):
    async with record(tmp_path) as store:
        desk = desk_on(store)
        await agree(desk)

        async def gone(*_: object) -> None:
            raise StoreUnavailable("disk full")

        store.begin_tool = gone
        refused = await desk.ask("process_payment", PLAN)
        arrangements = await store.arrangements(SID)

    assert error_code(refused) == "record_unavailable"
    assert list(arrangements) == []
