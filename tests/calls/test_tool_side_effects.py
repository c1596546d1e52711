"""Exactly once: what the record says, what the model is told, whatever fails in between."""

import asyncio
import json

import pytest

from archer_bridge.calls.tool_runner import ToolLimits
from archer_bridge.errors import StoreBusy
from archer_bridge.models import ToolStatus
from archer_bridge.tool_api import Tool, ToolError, tool
from tests.calls.test_tool_runner import error_code
from tests.support.tool_desk import Desk
from tests.support.virtual import virtual


class Charge:
    """A tool with a side effect that counts, and does as it is told."""

    def __init__(self, *, takes_s: float = 0.0, fails: Exception | None = None, cap: int | None = None) -> None:
        self.done = 0
        self.takes_s = takes_s
        self.fails = fails
        self.tool = self._tool(cap)

    def _tool(self, cap: int | None) -> Tool:
        @tool(side_effect=True, business_key=lambda ctx, arguments: str(arguments["amount"]), max_calls_per_call=cap)
        async def charge(amount: int) -> dict[str, int]:
            """Charge.

            Args:
                amount: cents
            """
            await asyncio.sleep(self.takes_s)
            if isinstance(self.fails, ToolError):
                raise self.fails
            self.done += 1
            if self.fails is not None:
                raise self.fails
            return {"charged": amount}

        return charge


@virtual
async def test_the_same_side_effect_under_a_new_id_is_not_repeated():
    charge = Charge()
    desk = Desk(charge.tool)
    first = await desk.ask("charge", {"amount": 5}, key="a")
    again = await desk.ask("charge", {"amount": 5}, key="b")
    other = await desk.ask("charge", {"amount": 6}, key="c")

    assert [one.result for one in (first, again, other)] == ['{"charged":5}', '{"charged":5}', '{"charged":6}']
    assert charge.done == 2


@virtual
async def test_two_at_the_same_moment_are_one():
    charge = Charge(takes_s=1)
    desk = Desk(charge.tool)
    answers = await asyncio.gather(*(desk.begin("charge", {"amount": 5}) for _ in range(3)))

    assert [answer.result for answer in answers] == ['{"charged":5}'] * 3
    assert charge.done == 1


@virtual
async def test_two_calls_with_one_business_key_are_one():
    charge = Charge(takes_s=1)
    one = Desk(charge.tool)
    other = Desk(runner=one.runner, store=one.store, call_sid="CA" + "2" * 32)
    answers = await asyncio.gather(one.begin("charge", {"amount": 5}), other.begin("charge", {"amount": 5}))

    assert [answer.error_type for answer in answers] == [None, "in_progress"]
    assert charge.done == 1


@virtual
async def test_a_late_side_effect_is_unknown_and_then_what_it_was():
    charge = Charge(takes_s=20)
    desk = Desk(charge.tool)
    answer = await desk.ask("charge", {"amount": 5})
    at_timeout = await desk.statuses()
    blocked = await desk.ask("charge", {"amount": 5})
    await asyncio.sleep(20)
    settled = await desk.statuses()
    again = await desk.ask("charge", {"amount": 5})

    assert pytest.approx(answer.duration_ms, abs=1) == 8000
    assert (error_code(answer), error_code(blocked)) == ("outcome_unknown", "outcome_unknown")
    assert at_timeout == ["unknown"]
    assert settled == ["ok", "denied"]
    assert again.result == '{"charged":5}'
    assert charge.done == 1


@virtual
async def test_a_side_effect_that_never_ends_stays_unknown():
    charge = Charge(takes_s=10_000)
    desk = Desk(charge.tool, limits=ToolLimits(late_s=30))
    await desk.ask("charge", {"amount": 5})

    assert await desk.runner.drain(60) == 0
    assert await desk.statuses() == ["unknown"]
    assert charge.done == 0


@pytest.mark.parametrize(
    ("fails", "status", "code", "retry", "done"),
    [
        pytest.param(ToolError("closed", "try tomorrow"), "error", "closed", "closed", 0, id="refusal-frees"),
        pytest.param(OSError("lost"), "unknown", "outcome_unknown", "outcome_unknown", 1, id="crash-blocks"),
        pytest.param(StoreBusy("full"), "unknown", "outcome_unknown", "outcome_unknown", 1, id="store-error-blocks"),
    ],
)
@virtual
async def test_only_a_refusal_promises_that_nothing_happened(fails, status, code, retry, done):
    charge = Charge(fails=fails)
    desk = Desk(charge.tool)
    answer = await desk.ask("charge", {"amount": 5})
    row = (await desk.store.tool_rows())[0]
    again = await desk.ask("charge", {"amount": 5})

    assert (code, retry) == (error_code(answer), error_code(again))
    assert status == row.status.value
    assert done == charge.done


@virtual
async def test_hanging_up_does_not_stop_a_side_effect():
    charge = Charge(takes_s=3)
    desk = Desk(charge.tool)
    desk.begin("charge", {"amount": 5})
    await asyncio.sleep(1)
    desk.call.close()

    assert await desk.runner.drain(10) == 0
    assert (charge.done, await desk.statuses(), desk.answers) == (1, ["ok"], [])


@virtual
async def test_hanging_up_stops_what_has_no_side_effect():
    stopped = []

    @tool
    async def look() -> None:
        """Look for long."""
        try:
            await asyncio.sleep(60)
        finally:
            stopped.append(asyncio.get_running_loop().time())

    desk = Desk(look)
    desk.begin("look")
    await asyncio.sleep(1)
    desk.call.close()

    assert await desk.runner.drain(10) == 0
    assert stopped == [1.0]
    assert (await desk.statuses(), desk.answers) == (["error"], [])


@virtual
async def test_a_request_after_the_call_runs_nothing():
    charge = Charge()
    desk = Desk(charge.tool)
    desk.call.close()
    desk.begin("charge", {"amount": 5})
    await desk.runner.drain(5)

    assert (charge.done, await desk.statuses(), desk.answers) == (0, ["denied"], [])
    assert desk.call.records[0]["error"] == "call_over"


@virtual
async def test_a_cap_holds_across_ids_amounts_and_restarts():
    charge = Charge(cap=1)
    desk = Desk(charge.tool)
    await desk.ask("charge", {"amount": 5}, key="a")
    other = await desk.ask("charge", {"amount": 6}, key="b")
    same = await desk.ask("charge", {"amount": 5}, key="c")
    restarted = await Desk(charge.tool, store=desk.store).ask("charge", {"amount": 7}, key="d")

    assert (error_code(other), error_code(restarted)) == ("call_limit", "call_limit")
    assert same.result == '{"charged":5}'
    assert charge.done == 1


@virtual
async def test_a_crash_leaves_a_row_that_blocks_until_it_is_settled():
    charge = Charge(takes_s=5)
    desk = Desk(charge.tool)
    desk.begin("charge", {"amount": 5})
    await asyncio.sleep(1)
    for task in asyncio.all_tasks() - {asyncio.current_task()}:
        task.cancel()
    recovered = desk.store.recover()
    after = Desk(charge.tool, store=desk.store)
    blocked = await after.ask("charge", {"amount": 5}, key="b")
    key = (await after.store.tool_rows())[0].key
    await after.store.settle_unknown(key, ToolStatus.ERROR, '{"error":{"code":"not_done"}}')
    charge.takes_s = 0
    allowed = await after.ask("charge", {"amount": 5}, key="c")

    assert (recovered, error_code(blocked)) == (1, "outcome_unknown")
    assert allowed.result == '{"charged":5}'
    assert {"code": "outcome_unknown"}.items() <= json.loads(blocked.result)["error"].items()
