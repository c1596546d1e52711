"""Two tools: one that looks something up, one with a side effect."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from archer_bridge.tool_api import Reply, ToolContext, ToolError, tool

__all__ = ["book_callback", "opening_hours"]

Day = Literal["monday", "tuesday", "wednesday", "thursday", "friday"]
BOOKED: dict[str, str] = {}
"""What has been booked, by idempotency key: a stand-in for a calendar service that takes one."""


def _check_hours(hours: Mapping[str, Any]) -> str | None:
    wrong = sorted(day for day, text in hours.items() if not isinstance(text, str))
    return f"opening hours must be texts, not so for: {', '.join(wrong)}" if wrong else None


@tool(self_check=_check_hours)
async def opening_hours(ctx: ToolContext, day: Annotated[Day, "the day the caller asks about"]) -> dict[str, str]:
    """Say when the office is open on a day of the week."""
    return {"day": day, "hours": ctx.settings.get(day, "closed")}


@tool(
    requires="verified",
    side_effect=True,
    max_calls_per_call=1,
    business_key=lambda ctx, arguments: f"{ctx.verified_customer}|{arguments['day']}",
)
def book_callback(ctx: ToolContext, day: Annotated[Day, "the day the caller wants"]) -> Reply:
    """Book a call back for the verified caller; read the day back to them first."""
    if day == "friday":
        raise ToolError("full", "friday is full; offer another day")
    BOOKED[ctx.idempotency_key] = day
    ctx.log.info("callback_booked", day=day)
    return Reply({"booked": day})
