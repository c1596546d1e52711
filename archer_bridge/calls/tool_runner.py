"""The tools of a process, and of each call: requests in, durable answers out, never in the way of the audio.

`submit` only starts a task. The task belongs to the runner, not to the call, so that neither barge-in nor
hang-up can cancel a side effect; `CallTools.close` stops what has none, and keeps answers from a call that is
gone. What happens to one request in between is in `tool_pipeline`.
"""

import asyncio
import json
from collections.abc import Callable, Mapping
from typing import Any

from archer_bridge.calls.tool_pipeline import begin_of, settle_request
from archer_bridge.calls.tool_scope import BUSY, CallScope, Settled, Shared, ToolLimits, failure
from archer_bridge.models import ToolFinished, ToolRequest
from archer_bridge.ports import Store
from archer_bridge.tool_api import CallFacts, Tool

__all__ = ["CallFacts", "CallTools", "ToolLimits", "ToolRunner"]

MAX_RECORDS = 1000


class ToolRunner:
    """Runs the enabled tools for every call of the process."""

    def __init__(
        self,
        tools: Mapping[str, Tool],
        store: Store,
        *,
        limits: ToolLimits = ToolLimits(),  # noqa: B008  # frozen
        settings: Mapping[str, Mapping[str, Any]] | None = None,
        answered: Callable[[str, str, float], None] | None = None,
    ) -> None:
        """Prepare the tools; `settings` are the `[tools.NAME]` tables.

        `answered` is told every answer of an enabled tool: its name, its row's status, the seconds it took.

        Raises:
            Whatever a tool's `settings_type` raises for its table; `load_tools` has tried that before.
        """
        tables = settings or {}
        made = {name: tool.make_settings(tables.get(name, {})) for name, tool in tools.items()}
        self._shared = Shared(dict(tools), store, limits, made)
        if answered is not None:
            self._shared.answered = answered

    @property
    def tools(self) -> Mapping[str, Tool]:
        """The enabled tools by name."""
        return self._shared.tools

    @property
    def running(self) -> int:
        """Tasks under way: requests, late side effects, results not yet durable."""
        return len(self._shared.tasks)

    def for_call(
        self,
        facts: CallFacts,
        *,
        deliver: Callable[[ToolFinished], None],
        say: Callable[[str], None],
        slow: Callable[[str], None] | None = None,
    ) -> "CallTools":
        """Return the tools of one call; its callbacks are called on the event loop, until `close`."""
        return CallTools(CallScope(self._shared, facts, say), deliver, slow)

    async def drain(self, timeout_s: float) -> int:
        """Wait for everything under way, late side effects included; return how many were left."""
        deadline = asyncio.get_running_loop().time() + timeout_s
        while tasks := set(self._shared.tasks):
            left_s = deadline - asyncio.get_running_loop().time()
            if left_s <= 0:
                break
            await asyncio.wait(tasks, timeout=left_s)
        self._shared.places.close()
        return len(self._shared.tasks)


class CallTools:
    """The tools of one call."""

    def __init__(
        self, scope: CallScope, deliver: Callable[[ToolFinished], None], slow: Callable[[str], None] | None
    ) -> None:
        self.records: list[dict[str, Any]] = []
        """What ran, in the order of the answers; arguments masked. The oldest thousand."""
        self._scope = scope
        self._deliver = deliver
        self._slow = slow
        self._open: list[str] = []

    @property
    def running(self) -> int:
        """Requests without an answer yet."""
        return len(self._open)

    def submit(self, request: ToolRequest) -> None:
        """Begin to carry a request out; its answer goes to `deliver`.

        A request whose id is being worked on already gets no second answer. Never waits, never raises.
        """
        scope = self._scope
        if request.tool_call_id in self._open:
            scope.log.info("tool_resent", tool=request.name[:64])
            return
        started = asyncio.get_running_loop().time()
        if len(self._open) >= scope.shared.limits.backlog:
            scope.log.warning("tool_backlog_full", tool=request.name[:64], waiting=len(self._open))
            asyncio.get_running_loop().call_soon(self._answer, request, failure(*BUSY), started)
            return
        self._open.append(request.tool_call_id)
        scope.shared.task(self._carry_out(request, started), f"tool:{scope.facts.call_sid}:{request.name[:64]}")

    def close(self) -> None:
        """The call is over: no more answers; tools without side effects stop, the others go on to their end."""
        if not self._scope.over.done():
            self._scope.over.set_result(None)

    async def _carry_out(self, request: ToolRequest, started: float) -> None:
        tool = self._scope.shared.tools.get(request.name)
        timer = None
        if tool is not None and self._slow is not None:
            timer = asyncio.get_running_loop().call_later(tool.soft_limit_s, self._tell_slow, tool.name)
        try:
            settled = await settle_request(self._scope, request)
        except Exception as error:  # the border: a fault of ours must not reach the call either
            self._scope.log.error("tool_runner_failed", tool=request.name[:64], exc_info=error)
            settled = failure("internal_error", "the bridge could not run this; go on without it")
        finally:
            if timer is not None:
                timer.cancel()
            self._open.remove(request.tool_call_id)
        self._answer(request, settled, started)

    def _answer(self, request: ToolRequest, settled: Settled, started: float) -> None:
        duration_ms = (asyncio.get_running_loop().time() - started) * 1000
        if request.name in self._scope.shared.tools:  # any other name is the model's own invention
            self._scope.shared.answered(request.name, settled.status.value, duration_ms / 1000)
        record = {
            "tool_call_id": request.tool_call_id,
            "tool": request.name,
            "arguments": json.loads(begin_of(self._scope, request).arguments_json),
            "status": settled.status.value,
            "result": json.loads(settled.text),
            "error": settled.error_type,
            "replayed": settled.is_replay,
            "duration_ms": duration_ms,
        }
        if len(self.records) < MAX_RECORDS:
            self.records.append(record)
        if self._scope.is_over:
            self._scope.log.info("tool_finished_unheard", tool=request.name[:64], status=settled.status.value)
            return
        finished = ToolFinished(
            tool_call_id=request.tool_call_id,
            name=request.name,
            result=settled.text,
            is_error=settled.error_type is not None,
            error_type=settled.error_type,
            effect=settled.effect,
            duration_ms=duration_ms,
            expects_response=request.expects_response,
        )
        try:
            self._deliver(finished)
        except Exception as error:  # the session's callback; the tool's end is durable already
            self._scope.log.error("tool_delivery_failed", tool=request.name[:64], exc_info=error)

    def _tell_slow(self, name: str) -> None:
        if self._slow is not None and not self._scope.is_over:
            self._slow(name)
