"""Tools that misbehave, for a bridge that is given them as local ones."""

import asyncio
import time

from archer_bridge.tool_api import tool


@tool
async def tool_raises() -> dict[str, str]:
    """Raise."""
    raise ValueError("it broke")


@tool
async def tool_exits() -> dict[str, str]:
    """Raise what ends programs."""
    raise SystemExit(3)


@tool
async def tool_hangs() -> dict[str, str]:
    """Never return."""
    await asyncio.Event().wait()
    return {}


@tool
def tool_blocks() -> dict[str, str]:
    """Block the thread."""
    time.sleep(0.3)
    return {"done": "yes"}


@tool
async def tool_huge() -> dict[str, str]:
    """Return far too much."""
    return {"text": "x" * 200_000}


@tool
async def tool_odd() -> object:
    """Return what has no JSON."""
    return object()


@tool(side_effect=True, timeout_s=0.3)
async def slow_charge() -> dict[str, bool]:
    """Go on after the timeout."""
    await asyncio.sleep(0.8)
    return {"charged": True}


NAMES = ("tool_raises", "tool_exits", "tool_hangs", "tool_blocks", "tool_huge", "tool_odd", "slow_charge")
SHIPPED = ("verify_account", "get_customer_options", "process_payment", "transfer_to_human", "end_call")
ENABLED = {
    "ARCHER_TOOLS__ENABLED": str([*SHIPPED, *NAMES]).replace("'", '"'),
    "ARCHER_TOOLS__LOCAL": "{" + ",".join(f'"{name}":"{__name__}:{name}"' for name in NAMES) + "}",
    "ARCHER_TOOLS__TIMEOUT_S": "3",
}
"""Settings that give a bridge these tools."""
