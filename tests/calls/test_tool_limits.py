"""Time and places: what waits, what is given up, what is turned away."""

import asyncio

import pytest

from archer_bridge.calls.tool_runner import ToolLimits
from tests.calls.test_tool_runner import error_code, nap
from tests.support.tool_desk import Desk
from tests.support.virtual import virtual


@virtual
async def test_a_slow_tool_is_told_of_once_and_answered_at_its_timeout():
    desk = Desk(nap)
    answer = await desk.ask("nap", {"seconds": 60})

    assert error_code(answer) == "timeout"
    assert pytest.approx(answer.duration_ms, abs=1) == 8000
    assert desk.slow == [("nap", 0.8)]
    assert await desk.statuses() == ["error"]


@virtual
async def test_a_quick_tool_is_not_called_slow():
    desk = Desk(nap)
    await desk.ask("nap", {"seconds": 0.7})
    await asyncio.sleep(5)

    assert desk.slow == []


@virtual
async def test_tools_of_a_call_run_side_by_side_up_to_the_limit():
    desk = Desk(nap, limits=ToolLimits(per_call=2))
    answers = await asyncio.gather(*(desk.begin("nap", {"seconds": 1}) for _ in range(4)))

    assert pytest.approx([answer.duration_ms for answer in answers], abs=1) == [1000, 1000, 2000, 2000]


@virtual
async def test_calls_share_the_limit_of_the_process():
    one = Desk(nap, limits=ToolLimits(in_all=1))
    other = Desk(runner=one.runner, store=one.store, call_sid="CA" + "2" * 32)
    answers = await asyncio.gather(one.begin("nap", {"seconds": 1}), other.begin("nap", {"seconds": 1}))

    assert pytest.approx([answer.duration_ms for answer in answers], abs=1) == [1000, 2000]


@pytest.mark.parametrize(
    ("limits", "after_ms"),
    [
        pytest.param(ToolLimits(per_call=1, queue_s=2), 2000, id="no-place-in-time"),
        pytest.param(ToolLimits(backlog=1), 0, id="too-many-waiting"),
    ],
)
@virtual
async def test_more_than_the_bridge_can_do_is_answered_busy(limits, after_ms):
    desk = Desk(nap, limits=limits)
    running = desk.begin("nap", {"seconds": 7})
    answer = await desk.ask("nap", {"seconds": 1})
    await running

    assert error_code(answer) == "busy"
    assert after_ms == pytest.approx(answer.duration_ms, abs=1)
