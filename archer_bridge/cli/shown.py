"""The record as it may be shown: redacted again on the way out.

Rows are redacted before they are written, by the rules of that day. Rows of an older version, or written by something
else, must not bring back what today's rules take out.
"""

from dataclasses import replace

from archer_bridge.models import CallEvent, CallRow, ToolRow, Turn
from archer_bridge.redaction import redact, redact_heard, redact_json, redact_value


def shown_call(call: CallRow) -> CallRow:
    """Redact the reason and the numbers; phone numbers are masked where they are printed."""
    reason = None if call.reason is None else redact(call.reason)
    return replace(call, reason=reason, numbers=redact_value(call.numbers))


def shown_turn(turn: Turn) -> Turn:
    """Redact what was said, and what of it was heard alike."""
    text, heard = redact_heard(turn.text, turn.heard_text)
    return replace(turn, text=text, heard_text=heard)


def shown_tool(row: ToolRow) -> ToolRow:
    """Redact arguments and result; they stay JSON."""
    result = None if row.result_json is None else redact_json(row.result_json)
    return replace(row, arguments_json=redact_json(row.arguments_json), result_json=result)


def shown_event(event: CallEvent) -> CallEvent:
    """Redact the facts."""
    return replace(event, data=redact_value(event.data))
