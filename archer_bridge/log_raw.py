"""Raw wire messages in the debug log: their shape, with nothing in them that must not be kept.

What may be shown is listed; everything else is shown as its kind and length. So a field that a vendor adds tomorrow is
hidden until somebody decides otherwise: audio, tokens, custom parameters, transcripts, tool arguments and results, and
pressed keys never show. Of a telephone number the last four digits do.

The sockets are wrapped once, when a call begins and only in debug mode: otherwise nothing here is ever called.
"""

import json
import re
from collections.abc import Callable
from typing import Any

from archer_bridge.ports import Closed, TextSocket

SHOWN = frozenset(
    {
        *("event", "sequenceNumber", "streamSid", "callSid", "accountSid", "name", "track", "tracks", "chunk"),
        *("timestamp", "protocol", "version", "encoding", "sampleRate", "channels"),  # Twilio
        *("type", "call_id", "turn", "role", "interrupted", "tool_call_id", "tool_name", "expects_response"),
        *("is_error", "error_type", "code", "fatal", "input_format", "output_delivery"),
        *("start_time", "end_time", "eager_end_timestamp"),  # Cartesia
    }
)
"""Keys whose plain values may be shown."""
LONGEST = 100
"""Characters of one shown value, and entries of one table or list."""
DEEPEST = 6

FOREIGN = frozenset({"customParameters", "parameters", "dynamic_variables"})
"""Tables that others fill: only the names of their entries show."""
PHONE = re.compile(r"\+[0-9]{7,15}")

Show = Callable[[str, Any], None]
"""Logs one message; called with "in" or "out" and the cut message."""


class ShownSocket:
    """A `ports.TextSocket` that shows every message on its way."""

    def __init__(self, socket: TextSocket, show: Show) -> None:
        self._socket = socket
        self._show = show

    def write(self, message: bytes, droppable: bool = False) -> None:
        """Show it, then send it."""
        self._show("out", cut(message))
        self._socket.write(message, droppable=droppable)

    async def pump(self, on_message: Callable[[str | bytes], None]) -> Closed:
        """Read as the socket does, showing first."""

        def shown(message: str | bytes) -> None:
            self._show("in", cut(message))
            on_message(message)

        return await self._socket.pump(shown)

    async def close(self, code: int = 1000, reason: str = "") -> None:
        """Close it."""
        await self._socket.close(code, reason)


def cut(message: str | bytes) -> Any:
    """Return what may be shown of one wire message, ready for JSON."""
    try:
        wire = json.loads(message)
    except (ValueError, RecursionError):
        return f"<{len(message)} {'bytes' if isinstance(message, bytes) else 'characters'}, not JSON>"
    return _cut("", wire, DEEPEST)


def _cut(key: str, value: Any, depth: int) -> Any:
    match value:
        case dict() | list() if not depth or len(value) > LONGEST:
            return f"<{len(value)} entries>"
        case dict() if key in FOREIGN:
            return {_shortened(name): _phone(item) or "***" for name, item in value.items()}
        case dict():
            return {_shortened(name): _cut(name, item, depth - 1) for name, item in value.items()}
        case list():
            return [_cut(key, item, depth - 1) for item in value]
        case str():
            return _shortened(value) if key in SHOWN else _phone(value) or f"<{len(value)} characters>"
        case bool() | None:
            return value
        case _:
            return value if key in SHOWN else "<number>"


def _phone(value: Any) -> str | None:
    """Return the last four digits of a telephone number; None for anything else."""
    return f"***{value[-4:]}" if isinstance(value, str) and PHONE.fullmatch(value) else None


def _shortened(text: str) -> str:
    text = PHONE.sub(lambda found: f"***{found[0][-4:]}", text)
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}… <{len(text)} characters>"
