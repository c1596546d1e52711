"""Tools that take their time, for a bridge that is given them as local ones."""

import asyncio
from typing import Annotated

from archer_bridge.tool_api import EndCall, ToolContext, tool

Seconds = Annotated[float, "how long to take"]


@tool
async def lookup(seconds: Seconds) -> dict[str, str]:
    """Look something up."""
    await asyncio.sleep(seconds)
    return {"found": "yes"}


@tool(execution_mode="async")
async def lookup_beside(seconds: Seconds) -> dict[str, str]:
    """Look something up while the conversation goes on."""
    await asyncio.sleep(seconds)
    return {"found": "yes"}


@tool(soft_limit_s=60.0)
async def ask_for_patience(ctx: ToolContext, seconds: Seconds) -> dict[str, str]:
    """Say at once that it takes a while."""
    ctx.say("this takes a while")
    await asyncio.sleep(seconds)
    return {"found": "yes"}


@tool(side_effect=True)
async def pay(seconds: Seconds) -> dict[str, bool]:
    """Pay something."""
    await asyncio.sleep(seconds)
    return {"paid": True}


@tool(side_effect=True, business_key=lambda ctx, arguments: "the bill")
async def pay_the_bill(seconds: Seconds) -> dict[str, bool]:
    """Pay the one bill there is."""
    await asyncio.sleep(seconds)
    return {"paid": True}


@tool
async def leave(seconds: Seconds) -> EndCall:
    """End the call, after a while."""
    await asyncio.sleep(seconds)
    return EndCall("all is said")


NAMES = ("lookup", "lookup_beside", "ask_for_patience", "pay", "pay_the_bill", "leave")


def and_shipped(*shipped: str) -> dict[str, str]:
    """Return settings that give a bridge these tools, and some of those that are shipped."""
    return {**ENABLED, "ARCHER_TOOLS__ENABLED": str([*NAMES, *shipped]).replace("'", '"')}


ENABLED = {
    "ARCHER_TOOLS__ENABLED": str(list(NAMES)).replace("'", '"'),
    "ARCHER_TOOLS__LOCAL": "{" + ",".join(f'"{name}":"{__name__}:{name}"' for name in NAMES) + "}",
    "ARCHER_TOOLS__TIMEOUT_S": "20",
}
"""Settings that give a bridge these tools."""
