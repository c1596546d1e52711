"""Reads scenarios; every error names the file, the key and what was expected."""

import tomllib
from collections.abc import Callable
from importlib import resources
from pathlib import Path
from typing import Any

from archer_bridge.devkit.phone.caller import KEYS
from archer_bridge.devkit.scenarios.scenario import (
    QUIET_MS,
    TIMEOUT_S,
    Expectation,
    HangUp,
    Press,
    Say,
    Scenario,
    Step,
    Wait,
    WaitForAgent,
)

_ACTIONS = {
    "wait_for_agent": {"quiet_ms", "timeout_s"},
    "say": {"interrupt_after_ms", "hang_up_after_ms"},
    "press": set[str](),
    "wait_s": set[str](),
    "hang_up": {"after_agent_ms"},
}


class ScenarioError(Exception):
    """A scenario that cannot be used: where, which key, what is wrong."""

    def __init__(self, source: str, key: str, problem: str) -> None:
        super().__init__(source, key, problem)
        self.source = source
        self.key = key
        self.problem = problem

    def __str__(self) -> str:
        return (
            f"scenario {self.source}: {self.key}: {self.problem}"
            if self.key
            else f"scenario {self.source}: {self.problem}"
        )


def list_scenarios() -> tuple[str, ...]:
    """Names of the shipped scenarios, sorted."""
    folder = resources.files("archer_bridge.devkit.scenarios")
    return tuple(sorted(entry.name.removesuffix(".toml") for entry in folder.iterdir() if entry.name.endswith(".toml")))


def load_scenario(name_or_path: str | Path) -> Scenario:
    """Load a shipped scenario by name, or a file by its path (anything with a `/` or ending in `.toml`).

    Raises:
        ScenarioError: there is no such scenario, or it is wrong.
    """
    text = str(name_or_path)
    if isinstance(name_or_path, Path) or "/" in text or text.endswith(".toml"):
        path = Path(name_or_path)
        try:
            return parse_scenario(path.read_text(encoding="utf-8"), name=path.stem, source=text)
        except OSError as error:
            raise ScenarioError(text, "", f"cannot be read: {error.strerror}") from error
        except UnicodeDecodeError as error:
            raise ScenarioError(text, "", f"is not UTF-8: {error}") from error
    if text not in list_scenarios():
        known = ", ".join(list_scenarios())
        raise ScenarioError(text, "", f"no such scenario: expected one of {known}, or the path of a .toml file")
    file = resources.files("archer_bridge.devkit.scenarios") / f"{text}.toml"
    return parse_scenario(file.read_text(encoding="utf-8"), name=text, source=f"{text}.toml")


def parse_scenario(text: str, *, name: str, source: str) -> Scenario:
    """Parse a scenario's TOML; `source` is what errors call it.

    Raises:
        ScenarioError: it is wrong.
    """
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ScenarioError(source, "", f"is not TOML: {error}") from error
    table = _Table(document, source, "")
    table.only({"description", "from", "expect", "steps"})
    expect = table.table("expect")
    expect.only({"outcome", "tools", "arrangement"})
    return Scenario(
        name=name,
        description=table.text("description"),
        from_number=table.text("from"),
        expect=Expectation(
            outcome=expect.text("outcome") if "outcome" in expect.values else None,
            tools=expect.texts("tools") if "tools" in expect.values else None,
            arrangement=expect.text_or_false("arrangement") if "arrangement" in expect.values else None,
        ),
        steps=tuple(_step(step) for step in table.tables("steps")),
    )


class _Table:
    """A TOML table that knows where it is."""

    def __init__(self, values: dict[str, Any], source: str, path: str) -> None:
        self.values = values
        self._source = source
        self._path = path

    def fail(self, key: str, problem: str) -> ScenarioError:
        return ScenarioError(self._source, f"{self._path}.{key}".strip("."), problem)

    def only(self, known: set[str]) -> None:
        for key in sorted(set(self.values) - known):
            raise self.fail(key, f"unknown key: expected one of {', '.join(sorted(known))}")

    def text(self, key: str) -> str:
        value = self.values.get(key)
        if not isinstance(value, str) or not value.strip():
            raise self.fail(key, f"is {value!r}: expected a text")
        return value

    def texts(self, key: str) -> tuple[str, ...]:
        value = self.values[key]
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            raise self.fail(key, f"is {value!r}: expected a list of texts")
        return tuple(value)

    def text_or_false(self, key: str) -> Any:
        return False if self.values[key] is False else self.text(key)

    def number(self, key: str) -> float:
        value = self.values[key]
        if isinstance(value, bool) or not isinstance(value, int | float) or value < 0:
            raise self.fail(key, f"is {value!r}: expected a number, not negative")
        return float(value)

    def number_or_none(self, key: str) -> float | None:
        return self.number(key) if key in self.values else None

    def true(self, key: str) -> None:
        if self.values[key] is not True:
            raise self.fail(key, f"is {self.values[key]!r}: expected true")

    def table(self, key: str) -> "_Table":
        value = self.values.get(key, {})
        if not isinstance(value, dict):
            raise self.fail(key, f"is {value!r}: expected a table")
        return _Table(value, self._source, key)

    def tables(self, key: str) -> list["_Table"]:
        value = self.values.get(key)
        if not isinstance(value, list) or not value or not all(isinstance(item, dict) for item in value):
            raise self.fail(key, f"is {value!r}: expected at least one [[{key}]]")
        return [_Table(item, self._source, f"{key}[{index}]") for index, item in enumerate(value, 1)]


def _wait_for_agent(step: _Table) -> Step:
    step.true("wait_for_agent")
    quiet_ms, timeout_s = step.number_or_none("quiet_ms"), step.number_or_none("timeout_s")
    return WaitForAgent(QUIET_MS if quiet_ms is None else quiet_ms, TIMEOUT_S if timeout_s is None else timeout_s)


def _say(step: _Table) -> Step:
    return Say(step.text("say"), step.number_or_none("interrupt_after_ms"), step.number_or_none("hang_up_after_ms"))


def _press(step: _Table) -> Step:
    digits = step.text("press")
    if set(digits) - KEYS - set("wW"):
        raise step.fail("press", f"is {digits!r}: expected keys 0-9 * # A-D, and w to wait")
    return Press(digits)


def _wait(step: _Table) -> Step:
    return Wait(step.number("wait_s"))


def _hang_up(step: _Table) -> Step:
    step.true("hang_up")
    return HangUp(step.number_or_none("after_agent_ms"))


_READERS: dict[str, Callable[[_Table], Step]] = {
    "wait_for_agent": _wait_for_agent,
    "say": _say,
    "press": _press,
    "wait_s": _wait,
    "hang_up": _hang_up,
}


def _step(step: _Table) -> Step:
    actions = sorted(set(step.values) & set(_ACTIONS))
    if len(actions) != 1:
        found = " and ".join(actions) or "none"
        raise step.fail("", f"has {found}: expected one action of {', '.join(_ACTIONS)}")
    step.only({actions[0]} | _ACTIONS[actions[0]])
    return _READERS[actions[0]](step)
