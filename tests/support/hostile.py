"""A voice agent that does anything, and what must hold whatever it does.

The oracle here knows the rules by itself: it works the terms out again, and counts side effects as they
happen, not as they are recorded.
"""

import asyncio
import itertools
import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from archer_bridge.calls.tool_runner import CallFacts, CallTools, ToolLimits, ToolRunner
from archer_bridge.memory_store import MemoryStore
from archer_bridge.models import (
    Arrangement,
    Customer,
    EndCall,
    NewCall,
    Outcome,
    ToolFinished,
    ToolRequest,
    ToolStatus,
)
from archer_bridge.tool_api import Tool, ToolContext, ToolError, tool
from archer_tools.end_call import end_call
from archer_tools.get_customer_options import get_customer_options
from archer_tools.process_payment import process_payment
from archer_tools.transfer_to_human import transfer_to_human
from archer_tools.verify_account import verify_account
from tests.support.hostile_requests import CUSTOMERS


class CountingStore(MemoryStore):
    """Counts the arrangements that were really made, and checks each against the oracle's own rules."""

    def __init__(self, world: "HostileWorld") -> None:
        super().__init__(CUSTOMERS)
        self.world = world

    async def record_arrangement(self, arrangement: Arrangement) -> Arrangement:
        self.world.check_arrangement(arrangement)
        return await super().record_arrangement(arrangement)


@dataclass
class Call:
    """One call, as the oracle sees it."""

    sid: str
    customer: Customer
    tools: CallTools
    verified: bool = False
    offered: bool = False
    told: list[ToolFinished] = field(default_factory=list)
    ids: Any = field(default_factory=itertools.count)


class HostileWorld:
    """Calls, a runner and a record, driven from outside; to be used on one running loop."""

    def __init__(self) -> None:
        self.store = CountingStore(self)
        self.charged: Counter[str] = Counter()
        self.problems: list[str] = []
        self.calls: list[Call] = []
        self._sids = itertools.count(1)
        self._tools = {
            one.name: one
            for one in (
                verify_account,
                get_customer_options,
                process_payment,
                transfer_to_human,
                end_call,
                self._charge(),
            )
        }
        self.runner = self._new_runner()

    def _new_runner(self) -> ToolRunner:
        return ToolRunner(self._tools, self.store, limits=ToolLimits(queue_s=30.0, late_s=20.0))

    def _charge(self) -> Tool:
        @tool(side_effect=True, requires="verified", timeout_s=1, business_key=lambda ctx, given: str(given["amount"]))
        async def charge(ctx: ToolContext, amount: int, mood: str) -> str:
            """Charge.

            Args:
                amount: cents
                mood: how it goes
            """
            if not any(call.verified for call in self.calls if call.sid == ctx.call.call_sid):
                self.problems.append("a tool that requires a verified caller ran without one")
            await asyncio.sleep({"slow": 5.0}.get(mood, 0.01))
            if mood == "refuse":
                raise ToolError("closed", "not now")
            self.charged[str(amount)] += 1
            await asyncio.sleep(0.01)
            if mood == "crash":
                raise OSError("lost")
            if mood == "exit":
                raise SystemExit(1)
            return "charged"

        return charge

    async def new_call(self, customer: int) -> None:
        """Ring."""
        person = CUSTOMERS[customer % len(CUSTOMERS)]
        sid = f"CA{next(self._sids):032x}"
        await self.store.open_call(NewCall(sid, "AC0", person.phone, "+15550000000", customer_id=person.customer_id))
        self.calls.append(self._joined(sid, person))

    def _joined(self, sid: str, person: Customer) -> Call:
        facts = CallFacts(sid, person.phone, person.customer_id)
        call: Call
        tools = self.runner.for_call(facts, deliver=lambda answer: self._told(call, answer), say=lambda text: None)
        call = Call(sid, person, tools)
        return call

    def ask(self, name: str, arguments: Any, *, again: bool = False) -> None:
        """Let the model of the newest call ask; `again` uses the last id once more."""
        if self.calls:
            call = self.calls[-1]
            number = next(call.ids)
            key = f"{id(call.tools)}-{max(0, number - 1) if again else number}"
            call.tools.submit(ToolRequest(key, name, arguments))

    def hang_up(self) -> None:
        """The caller is gone; the model may go on asking."""
        if self.calls:
            self.calls[-1].tools.close()

    async def crash(self) -> None:
        """Die with everything under way, and start again on the same record, with the same calls."""
        doomed = [task for task in asyncio.all_tasks() if task.get_name().startswith("tool")]
        for task in doomed:
            task.cancel()
        await asyncio.gather(*doomed, return_exceptions=True)
        self.store.recover()
        self.runner = self._new_runner()
        earlier = {call.sid: call for call in self.calls}
        self.calls = [self._joined(call.sid, call.customer) for call in earlier.values()]

    async def settle(self) -> None:
        """Let everything come to its end, and look."""
        left = await self.runner.drain(300)
        if left:
            self.problems.append(f"{left} tasks never ended")
        started = await self.store.tool_rows(status=ToolStatus.STARTED)
        self.problems += [f"row {row.key} of {row.tool} was left started" for row in started]
        self.problems += [f"charge {key} happened {count} times" for key, count in self.charged.items() if count > 1]
        wrong = [row for row in await self.store.tool_rows() if '"verified":false' in (row.result_json or "")]
        guesses = Counter(row.call_sid for row in wrong)
        self.problems += [f"call {sid} had {count} guesses" for sid, count in guesses.items() if count > 2]
        per_call = Counter(one.call_sid for one in await self.store.arrangements())
        self.problems += [f"call {sid} has {count} arrangements" for sid, count in per_call.items() if count > 1]

    def check_arrangement(self, made: Arrangement) -> None:
        """Judge an arrangement at the moment it is made."""
        call = next((one for one in self.calls if one.sid == made.call_sid), None)
        if call is None or not call.verified or not call.offered:
            self.problems.append(f"arrangement without verification and offer: {made}")
        elif made.customer_id != call.customer.customer_id:
            self.problems.append(f"arrangement for somebody else: {made}")
        elif made.total_cents != expected_total(call.customer, made.option):
            self.problems.append(f"arrangement on terms not offered: {made}")
        if sum(payment.amount_cents for payment in made.payments) != made.total_cents:
            self.problems.append(f"payments do not sum: {made}")

    def _told(self, call: Call, answer: ToolFinished) -> None:
        if call not in self.calls:
            return
        call.told.append(answer)
        value = json.loads(answer.result)
        if len(answer.result.encode()) > 4096:
            self.problems.append("an answer is longer than the vendor takes")
        if not isinstance(value, Mapping):
            return
        self._judge_verification(call, answer, value)
        if answer.name == "get_customer_options" and "options" in value:
            call.offered = True
            if not call.verified:
                self.problems.append("options were told to nobody verified")
        if value.get("recorded") and not any(
            one.call_sid == call.sid and one.confirmation == value["confirmation"]
            for one in self.store._arrangements.values()
        ):
            self.problems.append("told that it was recorded, and it was not")

    def _judge_verification(self, call: Call, answer: ToolFinished, value: Mapping[str, Any]) -> None:
        if value.get("verified") is True:
            call.verified = True
        if value.get("verified") is False and answer.name == "verify_account":
            left = int(value["attempts_left"])
            if left == 0 and answer.effect != EndCall("verification_failed", Outcome.VERIFICATION_FAILED):
                self.problems.append("the last failed attempt did not end the call")


def expected_total(customer: Customer, option: str) -> int | None:
    """Work the terms out again; None when the option may not be offered."""
    if customer.balance_cents <= 0:
        return None
    if option == "full_payment":
        return customer.balance_cents
    if option == "settlement" and customer.days_overdue > 90:
        return round(customer.balance_cents * 0.7)
    if option == "payment_plan" and customer.balance_cents >= 6:
        return customer.balance_cents
    return None


async def play(world: HostileWorld, step: tuple[Any, ...]) -> None:
    """Do one thing: ("call", n), ("ask", name, arguments, again), ("wait", seconds), ("hang_up",), ("crash",)."""
    match step:
        case ("call", customer):
            await world.new_call(customer)
        case ("ask", name, arguments, again):
            world.ask(name, arguments, again=again)
        case ("wait", seconds):
            await asyncio.sleep(seconds)
        case ("hang_up",):
            world.hang_up()
        case ("crash",):
            await world.crash()
