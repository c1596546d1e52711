"""Tools that do everything wrong, for a bridge that is to stay unharmed."""

import asyncio
import re
import time

from archer_bridge.tool_api import tool


@tool
def block() -> None:
    """Block a thread for eight seconds."""
    time.sleep(8)


@tool
async def block_the_loop() -> None:
    """Block an event loop for eight seconds."""
    time.sleep(8)


@tool
async def hang() -> None:
    """Never end, and refuse to be stopped."""
    while True:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            continue


@tool
async def leave() -> None:
    """Try to end the process."""
    raise SystemExit(3)


@tool
async def flood() -> str:
    """Return ten million characters."""
    return "é" * 10_000_000


@tool
def spin() -> int:
    """Compute in Python for a second, without ever waiting."""
    until, count = time.monotonic() + 1.0, 0
    while time.monotonic() < until:
        count += 1
    return count


@tool
def seize() -> bool:
    """Hold the interpreter lock for a tenth of a second or so: a pattern that backtracks is matched in C."""
    return re.match(r"(a+)+$", "a" * 21 + "b") is not None


ABUSES = ("block", "block_the_loop", "hang", "leave", "flood")
"""What the bridge promises to stand."""
COMPUTING = ("spin", "seize")
"""What shares the interpreter with the calls, wherever it runs; no promise is made."""
NAMES = (*ABUSES, *COMPUTING)
ENABLED = {
    "ARCHER_TOOLS__ENABLED": str(list(NAMES)).replace("'", '"'),
    "ARCHER_TOOLS__LOCAL": "{" + ",".join(f'"{name}":"{__name__}:{name}"' for name in NAMES) + "}",
}
"""Settings that give a bridge these tools."""
