"""Abusive tools: whatever one does, its call gets an answer and the loop goes on."""

import asyncio
import threading

import pytest

from archer_bridge.calls.tool_runner import ToolLimits
from archer_bridge.testing import DANA
from archer_bridge.tool_api import Tool, ToolContext, tool
from tests.calls.test_tool_runner import echo, error_code
from tests.support.tool_desk import Desk
from tests.support.virtual import virtual


def raising(error: BaseException, *, is_async: bool) -> Tool:
    if is_async:

        @tool(name="bad")
        async def bad() -> None:
            """Raise."""
            raise error

        return bad

    @tool(name="bad")
    def plainly_bad() -> None:
        """Raise."""
        raise error

    return plainly_bad


@pytest.mark.parametrize("isolate", [False, True])
@pytest.mark.parametrize("is_async", [True, False])
@pytest.mark.parametrize(
    "error",
    [ValueError("x"), SystemExit(3), KeyboardInterrupt(), GeneratorExit(), RecursionError(), asyncio.CancelledError()],
    ids=lambda error: type(error).__name__,
)
@virtual
async def test_whatever_a_tool_raises_stays_in_the_tool(error, is_async, isolate):
    desk = Desk(raising(error, is_async=is_async), echo, limits=ToolLimits(isolate=isolate))
    failed = await desk.ask("bad")
    answered = await desk.ask("echo", {"word": "on"})
    await desk.runner.drain(1)

    assert error_code(failed) == "tool_failed"
    assert answered.result == '{"word":"on"}'
    assert await desk.statuses() == ["error", "ok"]


@pytest.mark.parametrize("isolate", [False, True])
@virtual
async def test_an_answer_without_json_is_an_error(isolate):
    @tool
    async def strange() -> object:
        """Return what has no JSON."""
        return {"a": [object()]}

    desk = Desk(strange, limits=ToolLimits(isolate=isolate))
    answer = await desk.ask("strange")
    await desk.runner.drain(1)

    assert error_code(answer) == "unserialisable_result"


@virtual
async def test_a_side_effect_whose_answer_has_no_json_did_happen():
    @tool(side_effect=True)
    async def strange() -> object:
        """Do, and return what has no JSON."""
        return object()

    desk = Desk(strange)
    answer = await desk.ask("strange")

    assert not answer.is_error
    assert '"done":true' in answer.result
    assert await desk.statuses() == ["ok"]


@virtual
async def test_ten_megabytes_are_cut_to_what_the_vendor_takes():
    @tool
    async def big() -> str:
        """Say much."""
        return "é" * 10_000_000

    answer = await Desk(big).ask("big")

    assert len(answer.result.encode()) <= 4096
    assert "too long and is cut" in answer.result


@virtual
async def test_a_plain_function_that_forgot_to_await_is_told_so():
    @tool
    def lazy() -> object:
        """Return a coroutine."""
        return asyncio.sleep(1)

    assert error_code(await Desk(lazy).ask("lazy")) == "tool_failed"


@virtual
async def test_a_tool_that_refuses_to_stop_holds_nothing_up():
    freed = asyncio.Event()

    @tool
    async def stubborn() -> None:
        """Ignore cancellation."""
        while not freed.is_set():
            try:
                await freed.wait()
            except asyncio.CancelledError:
                continue

    desk = Desk(stubborn, echo, limits=ToolLimits(stray=1))
    timed_out = await desk.ask("stubborn")
    refused = await desk.ask("echo")
    freed.set()
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    answered = await desk.ask("echo")

    assert (error_code(timed_out), error_code(refused)) == ("timeout", "busy")
    assert not answered.is_error


@virtual
async def test_a_blocking_plain_function_is_given_up_at_its_timeout():
    freed = threading.Event()

    @tool
    def block() -> None:
        """Block."""
        freed.wait()

    desk = Desk(block, echo)
    try:
        blocked = desk.begin("block")
        answered = await desk.ask("echo")
        timed_out = await blocked
    finally:
        freed.set()

    assert not answered.is_error
    assert error_code(timed_out) == "timeout"


async def test_an_async_tool_that_blocks_stalls_neither_the_audio_loop_nor_other_tools():
    freed = threading.Event()

    @tool(timeout_s=0.3)
    async def block() -> None:
        """Block a loop."""
        freed.wait()

    desk = Desk(block, echo, limits=ToolLimits(isolate=True))
    ticks = 0

    async def tick() -> None:
        nonlocal ticks
        while True:
            ticks += 1
            await asyncio.sleep(0.01)

    ticking = asyncio.create_task(tick())
    try:
        timed_out = await desk.ask("block")
        answered = await desk.ask("echo", {"word": "new loop"})
    finally:
        freed.set()
        ticking.cancel()
        await desk.runner.drain(1)

    assert error_code(timed_out) == "timeout"
    assert answered.result == '{"word":"new loop"}'
    assert ticks > 10


async def test_isolated_tools_reach_the_store_and_the_caller_from_their_own_loop():
    homes = []

    @tool
    async def who(ctx: ToolContext) -> str:
        """Look the caller up."""
        homes.append(threading.get_ident())
        ctx.say("looking")
        customer = await ctx.store.find_customer(ctx.call.caller_number)
        await ctx.store.get_customer("nobody")
        await ctx.store.arrangements()
        return customer.name if customer else "nobody"

    desk = Desk(who, limits=ToolLimits(isolate=True))
    answer = await desk.ask("who")
    await desk.runner.drain(1)

    assert f'"{DANA.name}"' == answer.result
    assert desk.said == ["looking"]
    assert [threading.get_ident()] != homes


async def test_an_isolated_tool_is_stopped_at_its_timeout():
    stopped = threading.Event()

    @tool(timeout_s=0.05)
    async def long() -> None:
        """Take long."""
        try:
            await asyncio.sleep(60)
        finally:
            stopped.set()

    desk = Desk(long, limits=ToolLimits(isolate=True))

    assert error_code(await desk.ask("long")) == "timeout"
    assert await asyncio.to_thread(stopped.wait, 5)
    await desk.runner.drain(1)


async def test_the_tool_thread_ends_with_the_runner():
    others = set(threading.enumerate())
    desk = Desk(echo, limits=ToolLimits(isolate=True))
    await desk.ask("echo")
    ours = [thread for thread in set(threading.enumerate()) - others if thread.name == "tool-loop"]
    await desk.runner.drain(1)
    for thread in ours:
        await asyncio.to_thread(thread.join, 5)

    assert len(ours) == 1
    assert not ours[0].is_alive()
