"""Run a tool's code under its time limit, and make what came of it durable before anybody is told."""

import asyncio
from dataclasses import replace
from functools import partial
from typing import Any

from archer_bridge.calls.tool_execution import Answered, Crashed, Job, Ran, Refused, Running
from archer_bridge.calls.tool_policy import counted_failure
from archer_bridge.calls.tool_result import UnserialisableResult
from archer_bridge.calls.tool_scope import NO_RECORD, UNKNOWN, CallScope, Settled, Work, failure
from archer_bridge.errors import StoreError
from archer_bridge.models import ToolStatus
from archer_bridge.tool_api import Reply, Tool, ToolContext


async def run_tool_code(scope: CallScope, work: Work, context: ToolContext, *, failed_before: int) -> Settled:
    """Run the code, and make what came of it durable."""
    loop = asyncio.get_running_loop()
    started = loop.time()
    job = Job(work.tool, context, work.arguments, partial(_finished_reply, scope, work.tool, failed_before))
    running = await scope.shared.places.start(job)
    watched: set[asyncio.Future[Any]] = {running.result}
    if not work.tool.side_effect:
        watched.add(scope.over)
    await asyncio.wait(watched, timeout=work.timeout_s, return_when=asyncio.FIRST_COMPLETED)
    if running.result.done():
        settled = settled_of(scope, work.tool, running.result.result())
    else:
        settled = _given_up(scope, work, running, started)
    return await _durable(scope, work, settled, (loop.time() - started) * 1000)


def _given_up(scope: CallScope, work: Work, running: Running, started: float) -> Settled:
    """The tool's time is over, or its call is."""
    if work.tool.side_effect:
        scope.log.error("tool_late", tool=work.tool.name, key=work.begin.key, timeout_s=work.timeout_s)
        scope.shared.task(_late(scope, work, running, started), f"tool-late:{work.begin.key}")
        return replace(failure(*UNKNOWN), status=ToolStatus.UNKNOWN)
    running.stop()
    if scope.is_over:
        return failure("call_over", "the call ended while the tool ran")
    scope.log.warning("tool_timeout", tool=work.tool.name, key=work.begin.key, timeout_s=work.timeout_s)
    return failure("timeout", "the tool took too long and was stopped; go on without it, or try once more")


def settled_of(scope: CallScope, tool: Tool, ran: Ran) -> Settled:
    """Judge what the code came to."""
    match ran:
        case Answered(reply, text):
            return Settled(text, ToolStatus.OK, effect=reply.effect, reply=reply)
        case Refused(error):
            return failure(error.code, error.message)
        case Crashed(error):
            scope.log.error("tool_crashed", tool=tool.name, exc_info=error)
            if tool.side_effect:
                return replace(failure(*UNKNOWN), status=ToolStatus.UNKNOWN)
            code = error.code if isinstance(error, UnserialisableResult) else "tool_failed"
            return failure(code, "the tool failed; go on without it")


async def _durable(scope: CallScope, work: Work, settled: Settled, duration_ms: float) -> Settled:
    """Write the end down before anybody is told; facts count from then on."""
    kept = await scope.shared.within(
        keep_result(scope, work.begin.key, settled, duration_ms), f"tool-finish:{work.begin.key}"
    )
    if not kept.done() or kept.exception() is not None:
        return failure(*(UNKNOWN if work.tool.side_effect else NO_RECORD))
    if settled.reply is not None:
        scope.policy.apply(settled.reply)
    return settled


async def keep_result(scope: CallScope, key: str, settled: Settled, duration_ms: float) -> None:
    """Write a result until it is written: whoever waits for it may leave, the record may not go without it."""
    pause_s = 0.1
    while True:
        try:
            return await scope.shared.store.finish_tool(key, settled.status, settled.text, duration_ms)
        except StoreError as error:
            scope.log.error("tool_record_failed", key=key, step="finish", error=str(error))
        await asyncio.sleep(pause_s)
        pause_s = min(5.0, pause_s * 2)


async def _late(scope: CallScope, work: Work, running: Running, started: float) -> None:
    """Wait for the true end of a side effect that was reported as unknown."""
    await asyncio.wait({running.result}, timeout=scope.shared.limits.late_s)
    if not running.result.done():
        scope.log.error("tool_abandoned", tool=work.tool.name, key=work.begin.key)
        running.stop()
        return
    settled = settled_of(scope, work.tool, running.result.result())
    if settled.status is not ToolStatus.UNKNOWN:
        duration_ms = (asyncio.get_running_loop().time() - started) * 1000
        await keep_result(scope, work.begin.key, settled, duration_ms)


def _finished_reply(scope: CallScope, tool: Tool, failed_before: int, reply: Reply) -> Reply:
    """Check what a reply claims and count a failed attempt; runs where the tool ran."""
    scope.policy.check_reply(reply)
    if tool.max_failures is None or not reply.failed:
        return reply
    value, effect = counted_failure(reply, tool, failed_before)
    return replace(reply, value=value, effect=effect)
