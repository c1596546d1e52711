"""Client tools as the vendor runs them: one call, one result or a timeout, late answers ignored."""

import asyncio
import random
from dataclasses import dataclass, field
from typing import Any

from archer_bridge.devkit.cartesia.agent_link import AgentLink
from archer_bridge.devkit.cartesia.events import Counters, EventFeed
from archer_bridge.devkit.cartesia.rules import RESULT_LIMIT, ClientToolResult

_DEFAULT_TIMEOUT_S = 20.0
TIMED_OUT = "Tool call timed out"
_GENERIC_FAILURE = "The tool failed"
_TOO_LARGE = f'{{"error":{{"code":"result_too_large","message":"result exceeds {RESULT_LIMIT} bytes"}}}}'


@dataclass(slots=True)
class ToolDesk:
    """Sends `client_tool_call` and waits for the matching `client_tool_result`."""

    link: AgentLink
    tools: dict[str, dict[str, Any]]
    feed: EventFeed
    counters: Counters
    chance: random.Random
    _waiting: dict[str, asyncio.Future[tuple[str, bool]]] = field(default_factory=dict)

    def new_id(self) -> str:
        """Make a `tool_call_id`."""
        return f"call_{self.chance.getrandbits(64):016x}"

    async def call(self, call_id: str, name: str, arguments: dict[str, Any]) -> tuple[str, bool] | None:
        """Call a tool; return its result and whether it failed, or None where no answer is expected."""
        tool = self.tools.get(name, {})
        expects = tool.get("expects_response", True)
        event = {
            "type": "client_tool_call",
            "tool_call_id": call_id,
            "tool_name": name,
            "parameters": arguments,
            "expects_response": expects,
        }
        self.counters.tool_calls += 1
        self.feed.publish(
            "tool_called", call_id=self.link.call_id, tool_call_id=call_id, name=name, parameters=arguments
        )
        if not expects:
            await self.link.send(event)
            return None
        answer: asyncio.Future[tuple[str, bool]] = asyncio.get_running_loop().create_future()
        self._waiting[call_id] = answer
        try:
            for _ in range(2 if self.link.faults.repeat_tool_call else 1):
                await self.link.send(event)
            async with asyncio.timeout(tool.get("response_timeout_secs", _DEFAULT_TIMEOUT_S)):
                result, is_error = await answer
        except TimeoutError:
            result, is_error = TIMED_OUT, True
        finally:
            del self._waiting[call_id]
        self.feed.publish(
            "tool_result",
            call_id=self.link.call_id,
            tool_call_id=call_id,
            name=name,
            is_error=is_error,
            result=result,
        )
        return result, is_error

    def settle(self, event: ClientToolResult) -> bool:
        """Take a result; False when it is late, a duplicate or matches nothing, and so ignored."""
        answer = self._waiting.get(event.tool_call_id)
        if answer is None or answer.done():
            return False
        if len(event.result.encode()) > RESULT_LIMIT:
            answer.set_result((_TOO_LARGE, True))
        elif event.is_error and not event.result:
            answer.set_result((_GENERIC_FAILURE, True))
        else:
            answer.set_result((event.result, event.is_error))
        return True
