"""A call's tools as a test sees them: ask, get the answer, look at the record."""

import asyncio
from collections.abc import Mapping
from typing import Any

from archer_bridge.calls.tool_runner import CallFacts, ToolLimits, ToolRunner
from archer_bridge.errors import StoreUnavailable
from archer_bridge.memory_store import MemoryStore
from archer_bridge.models import ToolBegin, ToolBegun, ToolFinished, ToolRequest, ToolRow, ToolStatus
from archer_bridge.testing import DANA
from archer_bridge.tool_api import Tool


class FaultyStore(MemoryStore):
    """A database that can be made to refuse, or to stand still."""

    def __init__(self) -> None:
        super().__init__([DANA])
        self.refuse: dict[str, int] = {}
        """Name of a step: how many times it still fails."""
        self.hold: dict[str, asyncio.Event] = {}

    async def _fault(self, step: str) -> None:
        if (gate := self.hold.get(step)) is not None:
            await gate.wait()
        if self.refuse.get(step, 0) > 0:
            self.refuse[step] -= 1
            raise StoreUnavailable(f"{step} failed")

    async def begin_tool(self, begin: ToolBegin) -> ToolBegun:
        await self._fault("begin")
        return await super().begin_tool(begin)

    async def finish_tool(self, key: str, status: ToolStatus, result_json: str, duration_ms: float) -> None:
        await self._fault("finish")
        await super().finish_tool(key, status, result_json, duration_ms)

    async def deny_tool(self, begin: ToolBegin, result_json: str) -> None:
        await self._fault("deny")
        await super().deny_tool(begin, result_json)

    async def tool_rows(self, call_sid: str | None = None, *, status: ToolStatus | None = None) -> list[ToolRow]:
        await self._fault("rows")
        return list(await super().tool_rows(call_sid, status=status))


class Desk:
    """One call with the given tools; to be made on the loop."""

    def __init__(
        self,
        *tools: Tool,
        store: MemoryStore | None = None,
        limits: ToolLimits | None = None,
        settings: Mapping[str, Mapping[str, Any]] | None = None,
        runner: ToolRunner | None = None,
        call_sid: str = "CA" + "1" * 32,
    ) -> None:
        self.store = store if store is not None else FaultyStore()
        named = {tool.name: tool for tool in tools}
        self.runner = runner or ToolRunner(named, self.store, limits=limits or ToolLimits(), settings=settings)
        self.said: list[str] = []
        self.slow: list[tuple[str, float]] = []
        self.answers: list[ToolFinished] = []
        self._waiting: dict[str, asyncio.Future[ToolFinished]] = {}
        self._asked = 0
        facts = CallFacts(call_sid, DANA.phone, DANA.customer_id)
        loop = asyncio.get_running_loop()
        self.call = self.runner.for_call(
            facts,
            deliver=self._deliver,
            say=self.said.append,
            slow=lambda name: self.slow.append((name, loop.time())),
        )

    def _deliver(self, finished: ToolFinished) -> None:
        self.answers.append(finished)
        if (waiting := self._waiting.pop(finished.tool_call_id, None)) is not None:
            waiting.set_result(finished)

    def begin(self, name: str, arguments: Any = None, *, key: str = "") -> "asyncio.Future[ToolFinished]":
        """Ask, and return the answer to come."""
        self._asked += 1
        key = key or f"t{self._asked}"
        waiting = asyncio.get_running_loop().create_future()
        self._waiting[key] = waiting
        self.call.submit(ToolRequest(key, name, {} if arguments is None else arguments))
        return waiting

    async def ask(self, name: str, arguments: Any = None, *, key: str = "") -> ToolFinished:
        """Ask and wait for the answer."""
        return await self.begin(name, arguments, key=key)

    async def statuses(self) -> list[str]:
        """Return the status of each row, in order."""
        return [row.status.value for row in await MemoryStore.tool_rows(self.store)]
