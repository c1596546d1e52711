"""Agents with one trick each, for tests."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from archer_bridge.devkit.dialogue import Action


@dataclass
class Scripted:
    """Opens with `first`, answers every utterance, key entry and tool result with the next of `then`."""

    first: list[Action] = field(default_factory=list)
    then: list[list[Action]] = field(default_factory=list)
    got: list[Any] = field(default_factory=list)

    def open(self) -> list[Action]:
        return self.first

    def heard(self, text: str) -> list[Action]:
        return self._next(("heard", text))

    def pressed(self, digits: str) -> list[Action]:
        return self._next(("pressed", digits))

    def tool_result(self, name: str, result: str, is_error: bool) -> list[Action]:
        return self._next(("tool_result", name, result, is_error))

    def _next(self, what: Any) -> list[Action]:
        self.got.append(what)
        return self.then.pop(0) if self.then else []


def maker(brain: Scripted) -> Callable[[Mapping[str, Any]], Scripted]:
    """Make a `SimulatorOptions.agent` that always gives this brain."""
    return lambda _: brain
