"""A tool that handles secrets badly: it returns, raises and logs what it was given."""

from archer_bridge.tool_api import ToolContext, ToolError, tool


@tool
async def leak(ctx: ToolContext, note: str, how: str) -> dict[str, str]:
    """Leak.

    Args:
        note: what to leak
        how: return, refuse, crash or log
    """
    match how:
        case "refuse":
            raise ToolError("refused", f"no: {note}")
        case "crash":
            raise ValueError(f"it broke over {note}")
        case "log":
            ctx.log.warning("tool_said", note=note, nested={"deep": [note]})
    return {"echo": note}
