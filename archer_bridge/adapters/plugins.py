"""Tools from installed distributions, found by entry point: nothing is imported that is not enabled.

The number in the group is the major version of `archer_bridge.tool_api`. Every problem of every enabled tool
is reported in one PluginError, and the bridge does not start with any.
"""

import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from types import MappingProxyType
from typing import Any

from archer_bridge.errors import PluginError
from archer_bridge.tool_api import API_VERSION, Tool

GROUP = f"archer_bridge.tools.v{API_VERSION}"
_ANY_GROUP = re.compile(r"archer_bridge\.tools\.v(\d+)")
_OBJECT = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_][\w.]*")
_LOCAL = "[tools.local]"


@dataclass(frozen=True, slots=True)
class FoundTool:
    """A tool that is offered, not imported yet."""

    name: str
    target: str
    """`package.module:OBJECT`."""
    distribution: str
    """Name of the distribution, or `[tools.local]`."""
    version: str
    api_version: int

    def __str__(self) -> str:
        return f"tool plugin {self.distribution} {self.version} [{self.name} = {self.target}]".replace("  ", " ")


def discover_tools(local: Mapping[str, str] | None = None) -> list[FoundTool]:
    """Return every tool offered by an installed distribution or `[tools.local]`, sorted; imports nothing."""
    found = set[FoundTool]()
    for group in entry_points().groups:
        match = _ANY_GROUP.fullmatch(group)
        if match is None:
            continue
        found |= {_found(entry, int(match[1])) for entry in entry_points(group=group)}
    found |= {FoundTool(name, target, _LOCAL, "", API_VERSION) for name, target in (local or {}).items()}
    return sorted(found, key=lambda one: (one.name, one.distribution, one.version, one.target))


def load_tools(
    enabled: Sequence[str],
    *,
    local: Mapping[str, str] | None = None,
    settings: Mapping[str, Mapping[str, Any]] | None = None,
) -> Mapping[str, Tool]:
    """Import and check the enabled tools, in their order.

    Args:
        enabled: names of entry points, `[tools] enabled`.
        local: tools that are not installed, name to `package.module:OBJECT`, `[tools.local]`.
        settings: the `[tools.NAME]` tables.

    Raises:
        PluginError: with one sentence for each problem of each enabled tool.
    """
    found = discover_tools(local)
    problems = [f"tool {name!r} is enabled twice in [tools] enabled" for name in _repeated(enabled)]
    tools: dict[str, Tool] = {}
    for name in dict.fromkeys(enabled):
        chosen = _choose(name, found, problems)
        if chosen is None:
            continue
        tool = _load(chosen, problems)
        if tool is not None:
            _check_settings(chosen, tool, (settings or {}).get(name, {}), problems)
            tools[name] = tool
    if problems:
        raise PluginError(problems)
    return MappingProxyType(tools)


def load_tool(found: FoundTool) -> Tool:
    """Import one tool; raises PluginError."""
    problems: list[str] = []
    tool = _load(found, problems)
    if tool is None:
        raise PluginError(problems)
    return tool


def _found(entry: EntryPoint, api_version: int) -> FoundTool:
    distribution, version = ("?", "") if entry.dist is None else (entry.dist.name, entry.dist.version)
    return FoundTool(entry.name, entry.value, distribution, version, api_version)


def _repeated(names: Sequence[str]) -> list[str]:
    return sorted({name for name in names if list(names).count(name) > 1})


def _choose(name: str, found: Sequence[FoundTool], problems: list[str]) -> FoundTool | None:
    offered = [one for one in found if one.name == name]
    ours = [one for one in offered if one.api_version == API_VERSION]
    if len(ours) == 1:
        return ours[0]
    if ours:
        homes = " and ".join(f"{one.distribution} {one.version} ({one.target})".replace("  ", " ") for one in ours)
        problems.append(f"tool {name!r} is provided by {homes}: uninstall one, or rename its entry point")
    elif offered:
        other = offered[0]
        problems.append(
            f"{other.distribution} {other.version} offers {name!r} for tool API v{other.api_version}; "
            f"this bridge speaks v{API_VERSION}"
        )
    else:
        names = ", ".join(sorted({one.name for one in found if one.api_version == API_VERSION})) or "none"
        problems.append(
            f"tool {name!r} is enabled in config.toml but no installed package provides it; installed: {names}"
        )
    return None


def _load(found: FoundTool, problems: list[str]) -> Tool | None:
    if not _OBJECT.fullmatch(found.target):
        problems.append(f"{found}: its target must be package.module:OBJECT")
        return None
    if found.distribution == _LOCAL:
        _look_in_working_folder()
    try:
        loaded = EntryPoint(found.name, found.target, GROUP).load()
    except PluginError as error:
        problems += [f"{found}: {problem}" for problem in error.problems]
        return None
    except BaseException as error:  # a plugin's import is arbitrary code: SystemExit too is its problem, not ours
        if isinstance(error, KeyboardInterrupt):
            raise
        problems.append(f"{found}: import failed: {error!r}")
        return None
    if not isinstance(loaded, Tool):
        kind = loaded.__name__ if isinstance(loaded, type) else type(loaded).__name__
        problems.append(f"{found}: points at {kind}, expected archer_bridge.tool_api.Tool; decorate it with @tool")
        return None
    if loaded.name != found.name:
        problems.append(f"{found}: the tool is called {loaded.name!r}; give both the same name")
        return None
    return loaded


def _look_in_working_folder() -> None:
    """Let modules beside config.toml be imported: `python -m` does, the installed `archer` script does not.

    Last on the path, so that a file there hides no installed module.
    """
    if "" not in sys.path and (folder := str(Path.cwd())) not in sys.path:
        sys.path.append(folder)


def _check_settings(found: FoundTool, tool: Tool, table: Mapping[str, Any], problems: list[str]) -> None:
    try:
        settings = tool.make_settings(table)
        advice = None if tool.self_check is None else tool.self_check(settings)
    except Exception as error:  # the plugin's code
        reason = " ".join(str(error).split()) or repr(error)
        problems.append(f"{found}: [tools.{found.name}] does not fit: {reason}")
        return
    if advice:
        problems.append(f"{found}: {advice}")
