"""Hang up, once the goodbye was heard."""

from typing import Annotated

from pydantic import Field

from archer_bridge.tool_api import EndCall, tool


@tool
async def end_call(
    reason: Annotated[str, Field(max_length=200, description="why the call is over, in a few words")] = "completed",
) -> EndCall:
    """End the call, after you have said goodbye."""
    return EndCall(reason=reason)
