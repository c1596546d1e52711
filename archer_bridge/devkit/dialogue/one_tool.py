"""A mind that uses one tool: greets, calls it when the caller has spoken, tells the answer, says goodbye."""

import json
from collections.abc import Mapping
from typing import Any

from archer_bridge.devkit.dialogue.actions import Action, CallTool, HangUp, Say

GREETING = "Hello. What would you like to know?"
GOODBYE = "Goodbye."
LONGEST = 300
"""Characters of an answer that are read out."""


class OneTool:
    """For trying a tool out; the session's variables are not read."""

    def __init__(self, name: str, arguments: Mapping[str, Any], variables: Mapping[str, object]) -> None:
        self._call = CallTool(name, dict(arguments))
        self._is_used = False

    def open(self) -> list[Action]:
        """Greet."""
        return [Say(GREETING)]

    def heard(self, text: str) -> list[Action]:
        """Use the tool, once, whatever was said."""
        if self._is_used:
            return []
        self._is_used = True
        return [self._call]

    def pressed(self, digits: str) -> list[Action]:
        """Take a key press for a word."""
        return self.heard(digits)

    def tool_result(self, name: str, result: str, is_error: bool) -> list[Action]:
        """Read the answer out, and leave."""
        begins = "That did not work." if is_error else "Here is the answer."
        return [Say(f"{begins} {spoken(result)}. {GOODBYE}"), HangUp()]


def spoken(result: str) -> str:
    """Return a tool's JSON answer as words."""
    try:
        value = json.loads(result)
    except ValueError:
        value = result
    return " ".join(_words(value))[:LONGEST]


def _words(value: Any) -> list[str]:
    if isinstance(value, Mapping):
        return [f"{str(name).replace('_', ' ')}: {' '.join(_words(item))}," for name, item in value.items()]
    if isinstance(value, list):
        return [word for item in value for word in _words(item)]
    return [str(value)]
