"""A call as it happens, one entry for each thing said, heard or done, in columns that fit the terminal.

12.3 s  caller says   My account ends in 4821, …
19.8 s  agent heard   My account ends in 4821, …                          (what its ears made of it)
19.8 s  tool called   verify_account(account_last_4=***1, postal_code=****7)
19.9 s  tool result   verified: true, first_name: Dana · 65 ms
25.5 s  agent said    Thank you, Dana. … · 5.6 s
"""

import asyncio
import json
from collections.abc import Callable, Mapping
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from archer_bridge.devkit.phone import PhoneEvent

STYLES = {"caller": "cyan", "agent": "green", "tool": "yellow", "line": "dim", "bridge": "magenta"}
LONGEST_VALUE = 60
NBSP = "\N{NO-BREAK SPACE}"
HIDDEN_FACTS = frozenset({"ts", "level", "event", "exception", "call_sid", "stream_sid"})
CALLED = {"Say": "Twilio speaks the bridge's words", "Dial": "Twilio dials a person", "Hangup": "Twilio hangs up"}


def masked(value: Any) -> str:
    """Return an argument for the screen: what looks like a number of the caller's shows its last digit only."""
    text = str(value)
    return f"{'*' * (len(text) - 1)}{text[-1]}" if text.isdigit() and len(text) >= 3 else text


def summary(result: str) -> str:
    """Return a tool's JSON result for the screen: its facts, and of lists their length."""
    try:
        value = json.loads(result)
    except ValueError:
        return "(not JSON)"
    return (
        ", ".join(f"{name}: {_brief(item)}" for name, item in value.items()) if isinstance(value, dict) else str(value)
    )


def _brief(value: Any) -> str:
    if isinstance(value, list):
        return f"{len(value)} entries"
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= LONGEST_VALUE else f"{text[:LONGEST_VALUE]}…"


class Conversation:
    """Prints events of the phone, the simulator and the bridge in the order they come."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._began: float | None = None
        self._tool_at: dict[str, float] = {}
        self._turn_at = 0.0
        self._handlers: Mapping[str, Callable[[Mapping[str, Any], float], None]] = {
            "turn_started": self._turn_started,
            "agent_heard": self._agent_heard,
            "agent_said": self._agent_said,
            "agent_interrupted": self._agent_interrupted,
            "tool_called": self._tool_called,
            "tool_result": self._tool_result,
        }

    def _line(self, now: float, who: str, text: str, note: str = "") -> None:
        since = 0.0 if self._began is None else now - self._began
        row = Table.grid(padding=(0, 2), expand=True)
        row.add_column(justify="right", width=7, no_wrap=True, style="dim")
        row.add_column(width=14, no_wrap=True, style=STYLES.get(who.split(" ", 1)[0], ""))
        row.add_column(ratio=1, overflow="fold")
        row.add_row(f"{since:.1f} s", who, Text.assemble(text, (f" ·{NBSP}{note}", "dim") if note else ""))
        self._console.print(row)

    def phone(self, event: PhoneEvent) -> None:
        """Show what the phone did."""
        now = asyncio.get_running_loop().time()
        match event.kind:
            case "ringing":
                self._line(now, "line", "ringing")
            case "answered":
                self._began = now
                self._line(now, "line", "answered")
            case "caller_said":
                self._line(now, "caller says", event.text)
            case "dtmf":
                self._line(now, "caller presses", "*")
            case "twiml" if event.text in CALLED:
                self._line(now, "line", CALLED[event.text], f"<{event.text}>")
            case "violation":
                self._line(now, "line", f"NOT ALLOWED BY TWILIO: {event.text}")
            case "ended":
                self._line(now, "line", f"over: {event.text}")

    def process(self, name: str, event: Mapping[str, Any]) -> None:
        """Show what the simulator said, and in the bridge's log an interruption and trouble."""
        now = asyncio.get_running_loop().time()
        kind = str(event.get("event"))
        if name == "simulator":
            if (handler := self._handlers.get(kind)) is not None:
                handler(event, now)
        elif kind == "barge_in":
            self._line(now, "line", f"cut off: {event['flushed_ms'] / 1000:.1f} s of the agent's words were not heard")
        elif event.get("level") in {"warning", "error"}:
            facts = ", ".join(f"{key}: {value}" for key, value in event.items() if key not in HIDDEN_FACTS)
            self._line(now, f"bridge {event['level']}", kind, facts)

    def _turn_started(self, event: Mapping[str, Any], now: float) -> None:
        if event["role"] == "assistant":
            self._turn_at = now

    def _agent_heard(self, event: Mapping[str, Any], now: float) -> None:
        self._line(now, "agent heard", event["text"] or "(unintelligible)")

    def _agent_said(self, event: Mapping[str, Any], now: float) -> None:
        self._line(now, "agent said", event["text"], f"{now - self._turn_at:.1f}{NBSP}s")

    def _agent_interrupted(self, event: Mapping[str, Any], now: float) -> None:
        self._line(now, "agent said", f"{event['spoken']} —", f"{now - self._turn_at:.1f}{NBSP}s, interrupted")

    def _tool_called(self, event: Mapping[str, Any], now: float) -> None:
        self._tool_at[event["tool_call_id"]] = now
        arguments = ", ".join(f"{key}={masked(value)}" for key, value in event.get("parameters", {}).items())
        self._line(now, "tool called", f"{event['name']}({arguments})")

    def _tool_result(self, event: Mapping[str, Any], now: float) -> None:
        took_ms = (now - self._tool_at.pop(event["tool_call_id"], now)) * 1000
        who = "tool error" if event["is_error"] else "tool result"
        self._line(now, who, summary(event["result"]), f"{took_ms:.0f}{NBSP}ms")
