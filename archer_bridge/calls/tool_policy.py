"""What a call has proved so far, and what its tools may therefore do: outside the model, whatever it asks.

The facts are set by tools' replies once these are durable, and by nothing else. They live as long as the
call's socket: after a restart the caller proves again who they are, while attempts and caps are counted from
the record, which survives.
"""

import json
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

from archer_bridge.errors import ArcherError
from archer_bridge.models import Arrangement, Customer, Effect, ToolRow, ToolStatus
from archer_bridge.tool_api import CallFacts, Offer, Reply, Tool, ToolContext, ToolError, ToolStore

_COUNTED = frozenset({ToolStatus.STARTED, ToolStatus.OK, ToolStatus.UNKNOWN})


class PolicyBreach(ArcherError):
    """A tool's reply claims what no tool may; the reply takes no effect."""

    code = "policy_breach"


class CallPolicy:
    """The facts of one call, and the rules that tools declare over them."""

    def __init__(self, facts: CallFacts) -> None:
        self.facts = facts
        self.verified_customer: str | None = None
        self.offers: Mapping[str, Offer] = MappingProxyType({})

    def refusal(self, tool: Tool) -> ToolError | None:
        """Return why the tool may not run in the call's present state, or None."""
        if tool.requires is not None and self.verified_customer is None:
            return ToolError("not_verified", "the caller is not verified in this call; verify them first")
        if tool.requires == "offered" and not self.offers:
            return ToolError("nothing_offered", "no options were offered in this call; get the options first")
        return None

    def cap_refusal(self, tool: Tool, rows: Sequence[ToolRow], key: str, business_key: str | None) -> ToolError | None:
        """Return why the tool may not run *again*, by this call's rows; the same request may always be repeated."""
        others = [row for row in rows if row.tool == tool.name and row.key != key]
        if tool.max_failures is not None and failures(others) >= tool.max_failures:
            return ToolError("too_many_attempts", f"all {tool.max_failures} attempts of this call are used up")
        if tool.max_calls_per_call is not None:
            done = [
                row
                for row in others
                if row.status in _COUNTED and (business_key is None or row.business_key != business_key)
            ]
            if len(done) >= tool.max_calls_per_call:
                return ToolError(
                    "call_limit",
                    f"{tool.name} was done in this call already; at most {tool.max_calls_per_call} in a call",
                )
        return None

    def check_reply(self, reply: Reply) -> None:
        """Raise PolicyBreach when a reply claims what it must not: another customer, or offers to nobody."""
        known = (self.verified_customer, self.facts.customer_id)
        claimed = reply.verified_customer
        if claimed is not None and any(one not in {None, claimed} for one in known):
            raise PolicyBreach(f"it verified {claimed!r}, and another customer belongs to this call")
        if reply.offers is not None and (self.verified_customer or claimed) is None:
            raise PolicyBreach("it offered options before anybody was verified")
        for offer in reply.offers or ():
            if not offer.payments or sum(payment.amount_cents for payment in offer.payments) != offer.total_cents:
                raise PolicyBreach(f"it offered {offer.option!r} with payments that do not sum to its total")

    def apply(self, reply: Reply) -> None:
        """Let a durable reply take effect."""
        if reply.verified_customer is not None:
            self.verified_customer = reply.verified_customer
        if reply.offers is not None:
            self.offers = MappingProxyType({offer.option: offer for offer in reply.offers})


class GuardedStore:
    """The store as a tool sees it: it records nothing that the call's facts do not cover."""

    def __init__(self, store: ToolStore, context: ToolContext) -> None:
        self._store = store
        self._context = context

    async def find_customer(self, phone: str) -> Customer | None:
        """Return the customer with this E.164 number."""
        return await self._store.find_customer(phone)

    async def get_customer(self, customer_id: str) -> Customer | None:
        """Return the customer with this id."""
        return await self._store.get_customer(customer_id)

    async def arrangements(self, call_sid: str | None = None) -> Sequence[Arrangement]:
        """Return what was recorded."""
        return await self._store.arrangements(call_sid)

    async def record_arrangement(self, arrangement: Arrangement) -> Arrangement:
        """Record it once, if it is this call's, the verified customer's, and as offered.

        Raises:
            ToolError: it is not; nothing was recorded.
        """
        context = self._context
        offer = context.offers.get(arrangement.option)
        terms = (arrangement.total_cents, arrangement.payments)
        refusals = {
            "wrong_call": arrangement.call_sid != context.call.call_sid,
            "not_verified": context.verified_customer is None,
            "wrong_customer": arrangement.customer_id != context.verified_customer,
            "not_offered": offer is None or terms != (offer.total_cents, offer.payments),
            "wrong_key": arrangement.idempotency_key != context.idempotency_key,
        }
        for code, refused in refusals.items():
            if refused:
                raise ToolError(
                    code, "this arrangement does not follow from what was verified and offered in this call"
                )
        return await self._store.record_arrangement(arrangement)


def failures(rows: Sequence[ToolRow]) -> int:
    """Count the failed attempts among a tool's rows: durable answers that say how many attempts are left."""
    return sum(1 for row in rows if attempts_left(row) is not None)


def attempts_left(row: ToolRow) -> int | None:
    """Return how many attempts a failed one left, or None: the row is not a failed attempt."""
    value = json.loads(row.result_json or "{}") if row.status is ToolStatus.OK else {}
    left = value.get("attempts_left") if isinstance(value, dict) else None
    return left if isinstance(left, int) else None


def counted_failure(reply: Reply, tool: Tool, before: int) -> tuple[Any, Effect | None]:
    """Return the value and effect of a failed attempt, with `attempts_left` in the value."""
    assert tool.max_failures is not None, "only a tool with max_failures counts"
    left = max(0, tool.max_failures - before - 1)
    value = reply.value if isinstance(reply.value, Mapping) else {"message": reply.value}
    return {**value, "attempts_left": left}, reply.effect if left else tool.on_last_failure or reply.effect
