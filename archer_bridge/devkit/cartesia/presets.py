"""The agent an empty simulated account starts with: `agent_archer` and its five client tools."""

from collections.abc import Sequence
from typing import Any

PRESET_AGENT_ID = "agent_archer"


def preset_agent(tool_ids: Sequence[str]) -> dict[str, Any]:
    """Return the agent's record; its variables have placeholders, so a session may bring none."""
    return {
        "name": "Archer",
        "config": {
            "instructions": "{{persona}}",
            "initial_message": "{{greeting}}",
            "model": {"id": "simulated", "temperature": None, "max_output_tokens": None},
            "language": {"primary": "en"},
            "turn": {"inactivity_end_call_secs": 240, "inactivity_check_in_secs": None},
            "tools": [{"id": tool_id} for tool_id in tool_ids],
            "system_tools": {"end_call": None, "send_dtmf": None, "transfer_to_number": None},
            "dynamic_variable_placeholders": {"persona": "Archer", "greeting": "Hello."},
        },
    }


def _text(description: str) -> dict[str, Any]:
    return {"type": "string", "description": description}


def _tool(name: str, description: str, **properties: dict[str, Any]) -> dict[str, Any]:
    return {
        "type": "client",
        "name": name,
        "description": description,
        "parameters": {"type": "object", "properties": properties, "required": list(properties)},
    }


def preset_tools() -> list[dict[str, Any]]:
    """Return the definitions of the five tools the bridge ships."""
    option = {**_text("What the customer chose."), "enum": ["full_payment", "settlement", "payment_plan"]}
    payment = {**_text("How it will be paid."), "enum": ["sms_link", "bank_transfer", "payment_plan"]}
    return [
        _tool(
            "verify_account",
            "Checks the last four digits of the account and the postal code.",
            account_last_4=_text("Last four digits of the account."),
            postal_code=_text("Postal code of the account."),
        ),
        _tool("get_customer_options", "Returns the balance and the ways to settle it."),
        _tool("process_payment", "Records the arrangement.", option=option, payment_type=payment),
        _tool("transfer_to_human", "Hands the call to a person.", reason=_text("Why.")),
        _tool("end_call", "Ends the call after the goodbye was heard.", reason=_text("Why.")),
    ]
