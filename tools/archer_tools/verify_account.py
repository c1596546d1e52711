"""Prove that the caller is the customer who has this phone number."""

import hmac
from typing import Annotated

from pydantic import Field

from archer_bridge.tool_api import EndCall, Outcome, Reply, ToolContext, tool

_FAILED = EndCall(reason="verification_failed", outcome=Outcome.VERIFICATION_FAILED)


@tool(masked=("account_last_4", "postal_code"), max_failures=2, on_last_failure=_FAILED)
async def verify_account(
    ctx: ToolContext,
    account_last_4: Annotated[
        str,
        Field(pattern=r"^[0-9]{4}$", description="last four digits of the account number, as said"),
    ],
    postal_code: Annotated[
        str, Field(min_length=3, max_length=10, description="the postal code of the caller's address")
    ],
) -> Reply:
    """Verify who the caller is by their account number and postal code.

    Ask the caller for both first, and say nothing about any account before this succeeded. When
    attempts_left is 0, say politely that you cannot go on, and goodbye.
    """
    customer = await ctx.store.find_customer(ctx.call.caller_number)
    said = f"{account_last_4}|{_plain(postal_code)}"
    known = f"{customer.account_last_4}|{_plain(customer.postal_code)}" if customer else ""
    if customer is None or not hmac.compare_digest(said.encode(), known.encode()):
        return Reply({"verified": False, "message": "the details do not match this phone number"}, failed=True)
    return Reply({"verified": True, "first_name": customer.first_name}, verified_customer=customer.customer_id)


def _plain(postal_code: str) -> str:
    """Postal codes are spoken with and without spaces, dashes and capitals."""
    return "".join(character for character in postal_code if character.isalnum()).upper()
