"""The agents and tools the simulated account holds, with the vendor's rules for them.

https://docs.cartesia.ai/agents/tools and https://docs.cartesia.ai/agents/client-tools
"""

import copy
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from archer_bridge.devkit.cartesia.auth import ApiError
from archer_bridge.devkit.cartesia.presets import PRESET_AGENT_ID, preset_agent, preset_tools
from archer_bridge.devkit.cartesia.toolrules import check_tool

MAX_TOOLS = 32
_AGENT_FIELDS = {"name", "config", "webhook_id", "description"}
_TURN_RANGES = {"inactivity_check_in_secs": (5, 60), "inactivity_end_call_secs": (20, 240)}
_PLACEHOLDER = re.compile(r"\{\{\s*(\w+)\s*\}\}")

Record = dict[str, Any]


def _now() -> str:
    return datetime.now(UTC).isoformat().replace("+00:00", "Z")


@dataclass(slots=True)
class Account:
    """Agents and tools by id; every record handed out is a copy."""

    agents: dict[str, Record] = field(default_factory=dict)
    tools: dict[str, Record] = field(default_factory=dict)
    _made: int = 0

    @classmethod
    def preset(cls) -> "Account":
        """Make an account with `agent_archer` and its five client tools."""
        account = cls()
        ids = [account.create_tool(tool)["id"] for tool in preset_tools()]
        account._put_agent(PRESET_AGENT_ID, preset_agent(ids))
        return account

    def create_tool(self, body: Mapping[str, Any]) -> Record:
        """Add a tool.

        Raises:
            ApiError: 400, the definition breaks a rule; 409, the name is taken.
        """
        record = check_tool(body)
        self._check_name_free(record["name"], None)
        record = {"id": self._new_id("tool"), **record, "created_at": _now(), "updated_at": _now()}
        self.tools[record["id"]] = record
        return copy.deepcopy(record)

    def change_tool(self, tool_id: str, body: Mapping[str, Any]) -> Record:
        """Change the named fields of a tool; the whole must still follow the rules.

        Raises:
            ApiError: 404, 400 or 409.
        """
        old = self._found(self.tools, "tool", tool_id)
        kept = {key: value for key, value in old.items() if key not in {"id", "created_at", "updated_at"}}
        if body.get("expects_response") is False:
            kept.pop("response_timeout_secs", None)
        record = check_tool({**kept, **body})
        self._check_name_free(record["name"], tool_id)
        self.tools[tool_id] = {"id": tool_id, **record, "created_at": old["created_at"], "updated_at": _now()}
        return copy.deepcopy(self.tools[tool_id])

    def delete_tool(self, tool_id: str) -> None:
        """Remove a tool no agent refers to.

        Raises:
            ApiError: 404 unknown, 409 in use.
        """
        self._found(self.tools, "tool", tool_id)
        users = [key for key, agent in self.agents.items() if tool_id in _tool_ids(agent)]
        if users:
            raise ApiError(409, f"tool {tool_id} is used by {', '.join(users)}")
        del self.tools[tool_id]

    def create_agent(self, body: Mapping[str, Any]) -> Record:
        """Add an agent.

        Raises:
            ApiError: 400.
        """
        if not isinstance(body.get("name"), str) or not body["name"]:
            raise ApiError(400, "name is required")
        return self._put_agent(self._new_id("agent"), self._check_agent(body))

    def change_agent(self, agent_id: str, body: Mapping[str, Any]) -> Record:
        """Change an agent; objects inside config are merged, lists such as config.tools are replaced.

        Raises:
            ApiError: 404 or 400.
        """
        old = self._found(self.agents, "agent", agent_id)
        checked = self._check_agent(body)
        merged = {key: checked.get(key, old.get(key)) for key in _AGENT_FIELDS if key in checked or key in old}
        merged["config"] = _merge(old["config"], checked.get("config", {}))
        return self._put_agent(agent_id, merged, created_at=old["created_at"])

    def delete_agent(self, agent_id: str) -> None:
        """Remove an agent.

        Raises:
            ApiError: 404.
        """
        self._found(self.agents, "agent", agent_id)
        del self.agents[agent_id]

    def agent(self, agent_id: str) -> Record:
        """Return one agent.

        Raises:
            ApiError: 404.
        """
        return copy.deepcopy(self._found(self.agents, "agent", agent_id))

    def tool(self, tool_id: str) -> Record:
        """Return one tool.

        Raises:
            ApiError: 404.
        """
        return copy.deepcopy(self._found(self.tools, "tool", tool_id))

    def client_tools(self, agent_id: str) -> dict[str, Record]:
        """Return the client tools attached to an agent, by name."""
        attached = (self.tools[tool_id] for tool_id in _tool_ids(self.agents[agent_id]))
        return {tool["name"]: copy.deepcopy(tool) for tool in attached if tool["type"] == "client"}

    def needed_variables(self, agent_id: str) -> set[str]:
        """Return the dynamic variables a session must bring: used in a text and without a placeholder value."""
        config = self.agents[agent_id]["config"]
        texts = f"{config.get('instructions') or ''} {config.get('initial_message') or ''}"
        used = {name for name in _PLACEHOLDER.findall(texts) if not name.startswith(("system__", "secret__"))}
        return used - set(config.get("dynamic_variable_placeholders") or {})

    def _put_agent(self, agent_id: str, body: Record, *, created_at: str | None = None) -> Record:
        self.agents[agent_id] = {
            "id": agent_id,
            **body,
            "version_id": self._new_id("av"),
            "created_at": created_at or _now(),
            "updated_at": _now(),
        }
        return copy.deepcopy(self.agents[agent_id])

    def _check_agent(self, body: Mapping[str, Any]) -> Record:
        unknown = set(body) - _AGENT_FIELDS
        if unknown:
            raise ApiError(400, f"unknown fields: {', '.join(sorted(unknown))}")
        config = body.get("config", {})
        if not isinstance(config, dict):
            raise ApiError(400, "config must be an object")
        self._check_tool_list(config.get("tools", []))
        turn = config.get("turn") or {}
        for key, (low, high) in _TURN_RANGES.items():
            value = turn.get(key)
            if value is not None and not (isinstance(value, int) and low <= value <= high):
                raise ApiError(400, f"config.turn.{key} must be {low} to {high}, not {value!r}")
        return copy.deepcopy({**body, "config": config})

    def _check_tool_list(self, tools: Any) -> None:
        if not isinstance(tools, list) or not all(isinstance(t, dict) and set(t) == {"id"} for t in tools):
            raise ApiError(400, 'config.tools must be a list of {"id": "tool_…"}')
        if len(tools) > MAX_TOOLS:
            raise ApiError(400, f"config.tools has {len(tools)} tools; an agent may have {MAX_TOOLS}")
        ids = [tool["id"] for tool in tools]
        missing = [tool_id for tool_id in ids if tool_id not in self.tools]
        if missing:
            raise ApiError(400, f"config.tools names unknown tools: {', '.join(map(str, missing))}")
        if len(set(ids)) < len(ids):
            raise ApiError(400, "config.tools names a tool twice")

    def _check_name_free(self, name: str, own_id: str | None) -> None:
        holders = [key for key, tool in self.tools.items() if tool["name"] == name and key != own_id]
        if holders:
            raise ApiError(409, f"a tool named {name!r} exists: {holders[0]}")

    def _new_id(self, kind: str) -> str:
        self._made += 1
        return f"{kind}_{self._made:08x}"

    @staticmethod
    def _found(table: dict[str, Record], kind: str, key: str) -> Record:
        if key not in table:
            raise ApiError(404, f"no {kind} {key!r}", error_code=f"{kind}_not_found")
        return table[key]


def _tool_ids(agent: Record) -> list[str]:
    return [tool["id"] for tool in agent["config"].get("tools", [])]


def _merge(old: Record, new: Mapping[str, Any]) -> Record:
    merged = dict(old)
    for key, value in new.items():
        both = isinstance(value, dict) and isinstance(merged.get(key), dict)
        merged[key] = _merge(merged[key], value) if both else value
    return merged
