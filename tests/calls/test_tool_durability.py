"""A record that fails, at each step: nothing is done or told that it does not know of."""

import asyncio

from tests.calls.test_tool_runner import error_code
from tests.calls.test_tool_side_effects import Charge
from tests.support.tool_desk import Desk, FaultyStore
from tests.support.virtual import virtual


@virtual
async def test_without_a_durable_row_nothing_runs():
    store = FaultyStore()
    store.refuse["begin"] = 1
    charge = Charge()
    desk = Desk(charge.tool, store=store)
    refused = await desk.ask("charge", {"amount": 5})
    then = (charge.done, await desk.statuses())
    again = await desk.ask("charge", {"amount": 5})

    assert error_code(refused) == "record_unavailable"
    assert then == (0, [])
    assert again.result == '{"charged":5}'


@virtual
async def test_a_row_that_comes_too_late_says_that_nothing_was_done():
    store = FaultyStore()
    store.hold["begin"] = asyncio.Event()
    charge = Charge()
    desk = Desk(charge.tool, store=store)
    refused = await desk.ask("charge", {"amount": 5})
    store.hold["begin"].set()
    await desk.runner.drain(5)

    assert error_code(refused) == "record_unavailable"
    assert (charge.done, await desk.statuses()) == (0, ["error"])


@virtual
async def test_a_result_is_told_once_it_is_durable_even_at_the_third_try():
    store = FaultyStore()
    store.refuse["finish"] = 2
    desk = Desk(Charge().tool, store=store)

    assert (await desk.ask("charge", {"amount": 5})).result == '{"charged":5}'
    assert await desk.statuses() == ["ok"]


@virtual
async def test_a_result_that_cannot_be_kept_is_not_told_and_is_kept_later():
    store = FaultyStore()
    store.refuse["finish"] = 12
    desk = Desk(Charge().tool, store=store)
    answer = await desk.ask("charge", {"amount": 5})
    await asyncio.sleep(0.01)  # the task that answered ends; the one that keeps the result goes on
    left = await desk.runner.drain(0)
    meanwhile = await desk.statuses()
    await desk.runner.drain(120)

    assert error_code(answer) == "outcome_unknown"
    assert (left, meanwhile) == (1, ["started"])
    assert await desk.statuses() == ["ok"]


@virtual
async def test_a_denial_that_cannot_be_recorded_is_still_a_denial():
    store = FaultyStore()
    store.refuse["deny"] = 1
    desk = Desk(Charge().tool, store=store)

    assert error_code(await desk.ask("charge")) == "invalid_arguments"
    assert await desk.statuses() == []
