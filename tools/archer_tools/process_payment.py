"""Record the arrangement that the caller agreed to; no card data, no money moves here."""

import hashlib
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from archer_bridge.tool_api import Arrangement, Offer, ToolContext, ToolError, ToolRow, ToolStore, tool

Option = Literal["full_payment", "settlement", "payment_plan"]
PaymentType = Literal["sms_link", "bank_transfer", "payment_plan"]

_ALPHABET = "23456789ABCDEFGHJKLMNPQRSTUVWXYZ"  # nothing that sounds or looks like another


def _offer(ctx: ToolContext, option: str) -> Offer:
    offer = ctx.offers.get(option)
    if offer is None:
        offered = ", ".join(ctx.offers) or "nothing"
        raise ToolError("not_offered", f"{option} was not offered to this caller; offered: {offered}")
    return offer


def _business_key(ctx: ToolContext, arguments: Mapping[str, Any]) -> str:
    """account|amount|date|method|call: the same arrangement asked for again is the same arrangement."""
    offer = _offer(ctx, arguments["option"])
    first = offer.payments[0].due.isoformat()
    method = arguments["payment_type"]
    return f"{ctx.verified_customer}|{offer.total_cents}|{first}|{method}|{ctx.call.call_sid}"


async def _reconcile(store: ToolStore, row: ToolRow) -> dict[str, Any] | None:
    key = row.business_key or row.key
    recorded = [one for one in await store.arrangements(row.call_sid) if one.idempotency_key == key]
    return _described(recorded[0]) if recorded else None


@tool(requires="offered", side_effect=True, max_calls_per_call=1, business_key=_business_key, reconcile=_reconcile)
async def process_payment(
    ctx: ToolContext,
    option: Annotated[Option, "the offered option that the caller chose"],
    payment_type: Annotated[PaymentType, "how the caller will pay"],
) -> dict[str, Any]:
    """Record the arrangement, after the caller has heard it read back and said yes.

    Never ask for card details. Tell the caller that a written confirmation follows.
    """
    offer = _offer(ctx, option)
    if payment_type == "payment_plan" and option != "payment_plan":
        raise ToolError("wrong_payment_type", f"{option} is paid at once: by sms_link or bank_transfer")
    arrangement = Arrangement(
        idempotency_key=ctx.idempotency_key,
        call_sid=ctx.call.call_sid,
        customer_id=ctx.verified_customer or "",
        option=option,
        payment_type=payment_type,
        total_cents=offer.total_cents,
        payments=offer.payments,
        confirmation=confirmation_of(ctx.idempotency_key),
    )
    return _described(await ctx.store.record_arrangement(arrangement))


def confirmation_of(key: str) -> str:
    """Return the confirmation code of an arrangement, "A-" and six letters or digits: the same for the same key."""
    digest = hashlib.sha256(key.encode()).digest()
    return "A-" + "".join(_ALPHABET[byte % len(_ALPHABET)] for byte in digest[:6])


def _described(arrangement: Arrangement) -> dict[str, Any]:
    return {
        "recorded": True,
        "option": arrangement.option,
        "payment_type": arrangement.payment_type,
        "total_cents": arrangement.total_cents,
        "payments": arrangement.payments,
        "confirmation": arrangement.confirmation,
    }
