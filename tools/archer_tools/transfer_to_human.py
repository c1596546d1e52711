"""Connect the caller to a person."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from archer_bridge.tool_api import ToolContext, Transfer, tool


class TransferSettings(BaseModel):
    """The `[tools.transfer_to_human]` table."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    to: str = Field("", pattern=r"^(\+[1-9]\d{6,14}|sip:\S+)?$")
    """E.164 or sip:; empty means `[twilio] transfer_to`."""
    announce: str = ""
    """Said by Twilio before it dials."""


@tool(settings_type=TransferSettings)
async def transfer_to_human(
    ctx: ToolContext,
    reason: Annotated[str, Field(max_length=200, description="why the caller needs a person, in a few words")],
) -> Transfer:
    """Transfer the call to a person, when the caller asks for one or you cannot help.

    Tell the caller first that you are connecting them.
    """
    settings: TransferSettings = ctx.settings
    return Transfer(to=settings.to, announce=settings.announce, reason=reason)
