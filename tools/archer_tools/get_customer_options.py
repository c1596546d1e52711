"""Work out what the verified customer may be offered."""

from typing import Any

from archer_bridge.tool_api import Offer, Reply, ToolContext, ToolError, tool
from archer_tools.terms import offers_for


@tool(requires="verified")
async def get_customer_options(ctx: ToolContext) -> Reply:
    """Get the caller's balance and the ways they may pay it.

    Offer these options only, with exactly these amounts in cents and dates.
    """
    customer = await ctx.store.get_customer(ctx.verified_customer or "")
    if customer is None:
        raise ToolError("no_account", "there is no account for this customer any more")
    offers = offers_for(customer, ctx.now.date())
    if not offers:
        raise ToolError("nothing_due", "nothing is due on this account; thank the caller")
    value = {
        "balance_cents": customer.balance_cents,
        "days_overdue": customer.days_overdue,
        "options": [_described(offer) for offer in offers],
    }
    return Reply(value, offers=offers)


def _described(offer: Offer) -> dict[str, Any]:
    described: dict[str, Any] = {"option": offer.option, "total_cents": offer.total_cents}
    if len(offer.payments) > 1:
        described["payments"] = offer.payments
    return described
