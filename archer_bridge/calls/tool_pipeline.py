"""One tool request on its way: check, queue, policy, durable row, run, durable result.

What is true at each step:

1. Nothing ran when the request is denied; the denial is recorded.
2. The row is durable (`started`) before the tool's code begins.
3. The result is durable before the model is told, and before any fact or effect counts.
4. A side effect is never cancelled by the call. At its timeout the model is told `outcome_unknown` and the
   row becomes `unknown`, which blocks the same request; when the code ends after all, within `late_s`, the
   row gets its true end. A crash leaves it `unknown`: only ToolError promises that nothing happened.
"""

import asyncio
from collections.abc import Mapping
from contextlib import AsyncExitStack
from dataclasses import replace
from typing import Any

from archer_bridge.calls.tool_arguments import canonical, digest, masked
from archer_bridge.calls.tool_policy import GuardedStore, attempts_left, failures
from archer_bridge.calls.tool_result import error_result
from archer_bridge.calls.tool_run import keep_result, run_tool_code
from archer_bridge.calls.tool_scope import (
    BUSY,
    IN_PROGRESS,
    NO_RECORD,
    UNKNOWN,
    CallScope,
    Settled,
    Work,
    error_of,
    failure,
)
from archer_bridge.errors import StoreError
from archer_bridge.models import Began, Effect, ToolBegin, ToolBegun, ToolRequest, ToolRow, ToolStatus
from archer_bridge.tool_api import InvalidArguments, Tool, ToolContext, ToolError


def begin_of(scope: CallScope, request: ToolRequest) -> ToolBegin:
    """Return the row of a request, its arguments masked."""
    tool = scope.shared.tools.get(request.name)
    given = request.arguments if isinstance(request.arguments, Mapping) else {}
    known = set(tool.parameters["properties"]) - tool.masked if tool else set[str]()
    text = canonical(masked(given, {name for name in given if name not in known}))
    identity = request.tool_call_id if len(request.tool_call_id) <= 256 else digest(request.tool_call_id)
    return ToolBegin(
        key=f"{scope.facts.call_sid}:{identity}",
        call_sid=scope.facts.call_sid,
        tool=request.name[:64],
        arguments_json=text,
        arguments_sha256=digest(text),
    )


async def settle_request(scope: CallScope, request: ToolRequest) -> Settled:
    """Carry a request out, or say why not; never raises for anything a model or a tool does."""
    begin = begin_of(scope, request)
    tool = scope.shared.tools.get(request.name)
    if tool is None:
        known = ", ".join(sorted(scope.shared.tools))
        return await _deny(scope, begin, "unknown_tool", f"there is no tool {request.name[:64]!r}; there are: {known}")
    if not isinstance(request.arguments, Mapping):
        return await _deny(scope, begin, "invalid_arguments", "the arguments must be an object of named values")
    try:
        arguments = tool.check(request.arguments)
    except InvalidArguments as error:
        return await _deny(
            scope, begin, "invalid_arguments", str(error), fields=dict(list(error.problems.items())[:10])
        )
    work = Work(tool, arguments, begin, tool.timeout_s or scope.shared.limits.timeout_s)
    async with AsyncExitStack() as held:
        try:
            async with asyncio.timeout(scope.shared.limits.queue_s):
                for place in scope.places_of(tool):
                    await held.enter_async_context(place)
        except TimeoutError:
            return await _deny(scope, begin, *BUSY)
        return await _admitted(scope, work)


async def _admitted(scope: CallScope, work: Work) -> Settled:
    """Decide, with the tool's place in the queue held, and run."""
    tool, begin, limits = work.tool, work.begin, scope.shared.limits
    if scope.is_over:
        return await _deny(scope, begin, "call_over", "the call has ended")
    if (refusal := scope.policy.refusal(tool)) is not None:
        return await _deny(scope, begin, refusal.code, refusal.message)
    context = _context(scope, tool, begin.key)
    try:
        if tool.business_key is not None:
            key = f"{tool.name}|{tool.business_key(context, work.arguments)}"
            work = replace(work, begin=replace(begin, business_key=key))
            context = _context(scope, tool, key)
        rows = await _own_rows(scope, tool)
    except ToolError as error:
        return await _deny(scope, begin, error.code, error.message)
    except (StoreError, TimeoutError) as error:
        scope.log.error("tool_record_failed", tool=tool.name, step="caps", error=str(error))
        return failure(*NO_RECORD)
    except Exception as error:  # a business key is the plugin's code
        scope.log.error("tool_crashed", tool=tool.name, exc_info=error)
        return await _deny(scope, begin, "tool_failed", "the tool failed before it did anything")
    if (refusal := scope.policy.cap_refusal(tool, rows, begin.key, work.begin.business_key)) is not None:
        effect = tool.on_last_failure if refusal.code == "too_many_attempts" else None
        return await _deny(scope, begin, refusal.code, refusal.message, effect=effect)
    if scope.shared.places.running >= limits.stray:
        return await _deny(scope, begin, *BUSY)
    return await _recorded(scope, work, context, failed_before=failures(rows))


async def _recorded(scope: CallScope, work: Work, context: ToolContext, *, failed_before: int) -> Settled:
    """Make the row durable, and run if nothing stands in the way."""
    begin = work.begin
    asked = await scope.shared.within(scope.shared.store.begin_tool(begin), f"tool-begin:{begin.key}")
    if not asked.done():
        scope.log.error("tool_record_failed", tool=work.tool.name, step="begin", error="no answer in time")
        scope.shared.task(_take_back(scope, asked, begin), f"tool-take-back:{begin.key}")
        return failure(*NO_RECORD)
    if (error := asked.exception()) is not None:
        scope.log.error("tool_record_failed", tool=work.tool.name, step="begin", error=str(error))
        return failure(*NO_RECORD)
    begun: ToolBegun = asked.result()
    if begun.found is Began.NEW:
        return await run_tool_code(scope, work, context, failed_before=failed_before)
    if begun.found is Began.REPLAY:
        return _replayed(work.tool, begin, begun.row)
    problem = IN_PROGRESS if begun.found is Began.RUNNING else UNKNOWN
    return await _deny(scope, begin, *problem)


async def _take_back(scope: CallScope, asked: "asyncio.Task[ToolBegun]", begin: ToolBegin) -> None:
    """The record answered too late: the row, if it came to be, says that nothing was done."""
    await asyncio.wait({asked})
    if asked.exception() is None and asked.result().found is Began.NEW:
        await keep_result(scope, begin.key, failure(*NO_RECORD), 0.0)


def _replayed(tool: Tool, begin: ToolBegin, row: ToolRow) -> Settled:
    """The same was done before: tell what was told then, and do nothing.

    Effects are not repeated, but for the end of a call whose attempts are used up: it must not depend on one
    message having arrived.
    """
    if row.key == begin.key and (row.tool, row.arguments_json) != (begin.tool, begin.arguments_json):
        return failure("id_reused", "this tool_call_id was used for another request; nothing was done")
    text = row.result_json or error_result("no_result", "it was done before, and its result was not kept")
    effect = tool.on_last_failure if attempts_left(row) == 0 else None
    return Settled(text, row.status, error_of(text), effect=effect, is_replay=True)


async def _deny(
    scope: CallScope, begin: ToolBegin, code: str, message: str, *, effect: Effect | None = None, **facts: Any
) -> Settled:
    text = error_result(code, message, **facts)
    denied = await scope.shared.within(scope.shared.store.deny_tool(begin, text), f"tool-deny:{begin.key}")
    if not denied.done() or denied.exception() is not None:
        error = str(denied.exception()) if denied.done() else "no answer in time"
        scope.log.error("tool_record_failed", tool=begin.tool, step="deny", error=error)
    return Settled(text, ToolStatus.DENIED, code, effect=effect)


async def _own_rows(scope: CallScope, tool: Tool) -> list[ToolRow]:
    """Return the tool's earlier rows in this call, when a rule of it asks for them."""
    if tool.max_failures is None and tool.max_calls_per_call is None:
        return []
    async with asyncio.timeout(scope.shared.limits.store_s):
        rows = await scope.shared.store.tool_rows(scope.facts.call_sid)
    return [row for row in rows if row.tool == tool.name]


def _context(scope: CallScope, tool: Tool, key: str) -> ToolContext:
    context = ToolContext(
        call=scope.facts,
        verified_customer=scope.policy.verified_customer,
        offers=scope.policy.offers,
        store=scope.shared.store,
        settings=scope.shared.settings.get(tool.name, {}),
        log=scope.log.bind(tool=tool.name),
        say=scope.say,
        idempotency_key=key,
    )
    return replace(context, store=GuardedStore(scope.shared.store, context))
