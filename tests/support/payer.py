"""A bridge's tools in a process of its own, which pays, dies where it is told to, and boots again.

`run` is the process's work, in one of four modes:

race      says that it is ready, waits for a word, asks for all orders on sixteen calls
die       pays once, and kills itself with SIGKILL when it comes to `step`
stream    asks for all orders on eight calls, and is killed from outside
boot      settles what a dead process left, and asks for the same orders before and after reconciling
"""

import asyncio
import logging
import os
import signal
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any

import structlog

from archer_bridge.adapters.plugins import load_tools
from archer_bridge.adapters.sql import SqlStore, domain, open_store
from archer_bridge.adapters.sql import tools as ledger
from archer_bridge.calls.tool_reconcile import reconcile
from archer_bridge.calls.tool_runner import CallFacts, ToolLimits, ToolRunner
from archer_bridge.models import NewCall, ToolFinished, ToolRequest, ToolStatus
from archer_bridge.testing import DANA
from archer_bridge.tool_api import Tool
from tests.support import bank

CALL = "CA" + "7" * 32
STEPS: dict[str, dict[str, tuple[str, int]]] = {
    "charge": {
        "asked, nothing written": ("none", 0),
        "row written, not committed": ("none", 0),
        "row durable, tool not begun": ("unknown", 0),
        "tool begun, nothing sent": ("unknown", 0),
        "half of the order sent": ("unknown", 0),
        "order sent, answer not awaited": ("unknown", 1),
        "charged, tool not returned": ("unknown", 1),
        "returned, result not written": ("unknown", 1),
        "result written, not committed": ("unknown", 1),
        "result durable, model not told": ("ok", 1),
        "model told": ("ok", 1),
    },
    "process_payment": {
        "asked, nothing written": ("none", 0),
        "row written, not committed": ("none", 0),
        "row durable, tool not begun": ("unknown", 0),
        "tool begun, nothing recorded": ("unknown", 0),
        "arrangement written, not committed": ("unknown", 0),
        "arrangement durable, tool not returned": ("unknown", 1),
        "returned, result not written": ("unknown", 1),
        "result written, not committed": ("unknown", 1),
        "result durable, model not told": ("ok", 1),
        "model told": ("ok", 1),
    },
}
"""Where a payment can die; what the row says after the next boot, and how often it has happened by then."""


@dataclass
class Doom:
    """Kills this process, as the kernel would, when a payment comes to a step."""

    step: str = ""
    is_armed: bool = False

    def reach(self, step: str) -> None:
        """Die here, if it is here."""
        if self.is_armed and step == self.step:
            os.kill(os.getpid(), signal.SIGKILL)

    def lies_in_wait(self, store: SqlStore) -> None:
        """Stand at every step of the store and of the bank's tool."""
        bank.reached = self.reach
        ledger.begin = self._after(ledger.begin, "row written, not committed")
        ledger.finish = self._after(ledger.finish, "result written, not committed")
        domain.record = self._after(domain.record, "arrangement written, not committed")
        for name, before, after in (
            ("begin_tool", "asked, nothing written", "row durable, tool not begun"),
            ("record_arrangement", "tool begun, nothing recorded", "arrangement durable, tool not returned"),
            ("finish_tool", "returned, result not written", "result durable, model not told"),
        ):
            setattr(store, name, self._around(getattr(store, name), before, after))

    def _after(self, work: Callable[..., Any], step: str) -> Callable[..., Any]:
        def watched(*arguments: Any, **named: Any) -> Any:
            result = work(*arguments, **named)
            self.reach(step)
            return result

        return watched

    def _around(self, work: Callable[..., Any], before: str, after: str) -> Callable[..., Any]:
        async def watched(*arguments: Any) -> Any:
            self.reach(before)
            result = await work(*arguments)
            self.reach(after)
            return result

        return watched


class Caller:
    """A call's tools: ask, and get what the model is told."""

    def __init__(
        self, runner: ToolRunner, call_sid: str, told: Callable[[dict[str, Any]], None] = lambda answer: None
    ) -> None:
        self._told = told
        self._waiting: dict[str, tuple[str, asyncio.Future[dict[str, Any]]]] = {}
        facts = CallFacts(call_sid, DANA.phone, DANA.customer_id)
        self.tools = runner.for_call(facts, deliver=self._deliver, say=lambda text: None)

    def _deliver(self, finished: ToolFinished) -> None:
        order, waiting = self._waiting.pop(finished.tool_call_id)
        answer = {"order": order, "told": finished.result, "error": finished.error_type}
        self._told(answer)
        waiting.set_result(answer)

    async def ask(self, name: str, arguments: dict[str, Any], order: str = "") -> dict[str, Any]:
        """Ask under a new id."""
        tool_call_id = os.urandom(8).hex()
        waiting: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        self._waiting[tool_call_id] = (order, waiting)
        self.tools.submit(ToolRequest(tool_call_id, name, arguments))
        return await waiting

    async def agree(self, tool: str) -> None:
        """Do what has to come before the payment."""
        if tool == "process_payment":
            proof = {"account_last_4": DANA.account_last_4, "postal_code": DANA.postal_code}
            await self.ask("verify_account", proof)
            await self.ask("get_customer_options", {})

    async def pay(self, tool: str, order: str) -> dict[str, Any]:
        """Ask for the payment."""
        plan = {"option": "payment_plan", "payment_type": "payment_plan"}
        return await self.ask(tool, plan if tool == "process_payment" else {"order": order}, order)


def enabled() -> dict[str, Tool]:
    """Return the shipped tools and the bank's."""
    shipped = load_tools(["verify_account", "get_customer_options", "process_payment"])
    return {**shipped, "charge": bank.charge}


async def new_call(store: SqlStore, call_sid: str) -> None:
    """Make sure of the call's row."""
    await store.add_customers([DANA])
    await store.open_call(NewCall(call_sid, "AC" + "0" * 32, DANA.phone, "+15550000000", customer_id=DANA.customer_id))


async def ask_for_all(store: SqlStore, given: dict[str, Any], parent: Connection, *, calls: int) -> None:
    """Ask for each order in turn on so many calls at once; tell the parent what the model is told."""
    runner = ToolRunner(enabled(), store, limits=ToolLimits(isolate=True, store_s=30, queue_s=30))
    left = iter(given["orders"])

    async def one_call(number: int) -> None:
        call_sid = f"CA{given['owner']:0>16}{number:016x}"
        await new_call(store, call_sid)
        caller = Caller(runner, call_sid, parent.send)
        for order in left:
            await caller.pay("charge", order)

    async with asyncio.TaskGroup() as group:
        for number in range(calls):
            group.create_task(one_call(number))
    await runner.drain(30)


async def race(given: dict[str, Any], parent: Connection) -> None:
    """Ask for every order in turn on sixteen calls at once."""
    async with await open_store(given["url"], owner_id=given["owner"]) as store:
        parent.send("ready")
        await asyncio.to_thread(parent.recv)
        await ask_for_all(store, given, parent, calls=16)


async def die(given: dict[str, Any], parent: Connection) -> None:
    """Pay, and die at the step."""
    doom = Doom(given["step"])

    def told(answer: dict[str, Any]) -> None:
        if doom.is_armed:
            parent.send(answer)
            doom.reach("model told")

    async with await open_store(given["url"], owner_id=given["owner"]) as store:
        await new_call(store, CALL)
        doom.lies_in_wait(store)
        caller = Caller(ToolRunner(enabled(), store, limits=ToolLimits(isolate=True)), CALL, told)
        await caller.agree(given["tool"])
        doom.is_armed = True
        await caller.pay(given["tool"], given["orders"][0])
    raise RuntimeError(f"the payment never came to {given['step']!r}")


async def stream(given: dict[str, Any], parent: Connection) -> None:
    """Pay until killed."""
    async with await open_store(given["url"], owner_id=given["owner"]) as store:
        await ask_for_all(store, given, parent, calls=8)


async def boot(given: dict[str, Any], parent: Connection) -> None:
    """Come up as `archer serve` does; ask again before and after `archer tools reconcile`."""
    tools, tool, orders = enabled(), given["tool"], given["orders"]
    async with await open_store(given["url"], owner_id=given["owner"]) as store:
        await store.recover()
        rows = [row for row in await store.tool_rows() if row.tool == tool]
        arrangements = [len(await store.arrangements())]
        await new_call(store, CALL)
        caller = Caller(ToolRunner(tools, store, limits=ToolLimits(isolate=True)), CALL)
        await caller.agree(tool)
        before = [await caller.pay(tool, order) for order in orders]
        await reconcile(tools, store)
        after = [await caller.pay(tool, order) for order in orders]
        arrangements.append(len(await store.arrangements()))
        left = [await store.tool_rows(status=one) for one in (ToolStatus.STARTED, ToolStatus.UNKNOWN)]
        parent.send(
            {
                "rows": [(row.business_key, row.status.value, row.result_json) for row in rows],
                "arrangements": arrangements,
                "before": before,
                "after": after,
                "left_open": sum(len(some) for some in left),
                "problems": len((await store.check()).problems),
            }
        )


MODES = {"race": race, "die": die, "stream": stream, "boot": boot}


def run(mode: str, given: dict[str, Any], parent: Connection) -> None:
    """Do the process's work; `given` has url, owner, orders, tool, step and the bank's port."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    bank.port = given["port"]
    asyncio.run(MODES[mode](given, parent))
