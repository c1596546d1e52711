"""For the tests of whoever writes a tool: run it as the bridge would, without a call.

from archer_bridge.testing import run_tool

async def test_hours():
    assert {"hours": "9 to 5"} == await run_tool(opening_hours, {"day": "monday"}, settings={"monday": "9 to 5"})
"""

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

import structlog

from archer_bridge.calls.tool_policy import CallPolicy, GuardedStore
from archer_bridge.calls.tool_result import encode_result
from archer_bridge.memory_store import MemoryStore
from archer_bridge.models import Customer, EndCall, Transfer
from archer_bridge.tool_api import CallFacts, Offer, Reply, Tool, ToolContext, ToolError, ToolStore

__all__ = ["DANA", "MemoryStore", "Spoken", "make_context", "run_tool"]

DANA = Customer("dana", "+15550100001", "Dana Reyes", "4821", "94107", 90_000, 45)
"""Who calls when a test names nobody."""
CALL_SID = "CA" + "0" * 32


@dataclass(slots=True)
class Spoken:
    """What a tool asked to be said."""

    texts: list[str] = field(default_factory=list)

    def __call__(self, text: str) -> None:
        """Hear it."""
        self.texts.append(text)


def make_context(
    tool: Tool,
    *,
    caller: Customer = DANA,
    verified: bool = False,
    offers: Iterable[Offer] = (),
    settings: Mapping[str, Any] | None = None,
    store: ToolStore | None = None,
    say: Spoken | None = None,
    now: datetime | None = None,
    key: str = "test-key",
) -> ToolContext:
    """Return a context as the runner makes it; the store is guarded by the same policy."""
    context = ToolContext(
        call=CallFacts(CALL_SID, caller.phone, caller.customer_id),
        verified_customer=caller.customer_id if verified else None,
        offers={offer.option: offer for offer in offers},
        store=store or MemoryStore([caller]),
        settings=tool.make_settings(settings or {}),
        log=structlog.get_logger("archer_bridge.tools").bind(tool=tool.name),
        say=say or Spoken(),
        idempotency_key=key,
        now=now or datetime.now(UTC),
    )
    return replace(context, store=GuardedStore(context.store, context))


async def run_tool(tool: Tool, arguments: Mapping[str, Any] | None = None, **context: Any) -> Any:
    """Run a tool once with its arguments checked, and return what it returned.

    `context` is what `make_context` takes: caller, verified, offers, settings, store, say, now, key. A tool
    that requires more of the call is refused here as it is there, and its value must have JSON.

    Raises:
        InvalidArguments: the arguments do not fit the signature.
        ToolError: the tool refused, or its `requires` is not met.
        UnserialisableResult: its value could not be told to a model.
    """
    checked = tool.check(arguments or {})
    made = make_context(tool, **context)
    policy = CallPolicy(made.call)
    policy.verified_customer, policy.offers = made.verified_customer, made.offers
    if (refusal := policy.refusal(tool)) is not None:
        raise refusal
    if tool.is_async:
        value = await tool.handle(made, checked)
    else:
        value = await asyncio.to_thread(tool.handle, made, checked)
    if isinstance(value, ToolError):
        raise value
    if isinstance(value, Reply):
        policy.check_reply(value)
        encode_result(value.value)
    elif not isinstance(value, (EndCall, Transfer)):
        encode_result(value)
    return value
