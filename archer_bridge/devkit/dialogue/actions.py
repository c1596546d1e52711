"""What an agent can do next."""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Say:
    """Speak one or more sentences; the caller may interrupt."""

    text: str


@dataclass(frozen=True, slots=True)
class CallTool:
    """Call a tool of the bridge; its answer comes back as `tool_result`."""

    name: str
    arguments: dict[str, Any]


@dataclass(frozen=True, slots=True)
class HangUp:
    """End the call from the agent's side."""


Action = Say | CallTool | HangUp
