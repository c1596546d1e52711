"""Bring a Cartesia agent's client tools in line with the enabled ones; what others attached stays."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from archer_bridge.adapters.cartesia_rest import CartesiaRest
from archer_bridge.errors import ArcherError
from archer_bridge.tool_api import Tool

MAX_TOOLS = 32
"""Tools of one agent: https://docs.cartesia.ai/agents/tools"""
ANSWER_MARGIN_S = 12
"""What the vendor waits beyond a tool's own time: for a place, the record and the way."""
MAX_WAIT_S = 120


class PushError(ArcherError):
    """The tools cannot be pushed as they are; `problems` has one sentence each."""

    code = "push_error"

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__(problems)
        self.problems = tuple(problems)

    def __str__(self) -> str:
        return "\n".join(self.problems)


@dataclass(frozen=True, slots=True)
class Change:
    """A tool that exists and differs; `fields` maps a field to its value now and as wanted."""

    tool_id: str
    name: str
    fields: Mapping[str, tuple[Any, Any]]


@dataclass(frozen=True, slots=True)
class PushPlan:
    """What has to be done."""

    create: tuple[Mapping[str, Any], ...]
    change: tuple[Change, ...]
    unchanged: tuple[str, ...]
    attach: tuple[str, ...]
    """Names to be attached to the agent, those to be created included."""
    attached: tuple[str, ...]
    """Ids that are attached now and stay."""
    voice: tuple[str | None, str] | None = None
    """The agent's voice now and as wanted, when it differs."""

    @property
    def is_empty(self) -> bool:
        """Nothing has to be done."""
        return not (self.create or self.change or self.attach or self.voice)

    def lines(self) -> list[str]:
        """Return the difference for people, one line each."""
        lines = [f"+ create {body['name']}" for body in self.create]
        for change in self.change:
            lines.append(f"~ change {change.name} ({change.tool_id})")
            lines += [f"    {field}: {now!r} -> {wanted!r}" for field, (now, wanted) in change.fields.items()]
        lines += [f"= keep   {name}" for name in self.unchanged]
        lines += [f"+ attach {name}" for name in self.attach]
        if self.voice is not None:
            lines.append(f"~ voice  {self.voice[0]} -> {self.voice[1]}")
        return lines


def definition(tool: Tool, default_timeout_s: float) -> dict[str, Any]:
    """Return the tool as the vendor wants it described."""
    body: dict[str, Any] = {
        "type": "client",
        "name": tool.name,
        "description": tool.description,
        "parameters": dict(tool.parameters),
        "expects_response": tool.expects_response,
        "pre_tool_speech": tool.pre_tool_speech,
        "execution_mode": tool.execution_mode,
    }
    if tool.expects_response:
        wait_s = math.ceil(tool.timeout_s or default_timeout_s) + ANSWER_MARGIN_S
        body["response_timeout_secs"] = min(MAX_WAIT_S, wait_s)
    return body


def plan_push(
    wanted: Sequence[Mapping[str, Any]],
    remote: Sequence[Mapping[str, Any]],
    agent: Mapping[str, Any],
    voice_id: str = "",
) -> PushPlan:
    """Compare what is wanted with what there is.

    Raises:
        PushError: a name is taken by another kind of tool or twice, or the agent would have too many tools.
    """
    config = agent.get("config") or {}
    attached = tuple(str(item["id"]) for item in config.get("tools") or [])
    create, change, unchanged, attach, problems = [], [], [], [], list[str]()
    for body in wanted:
        name = body["name"]
        existing = _existing(name, remote, attached, problems)
        if existing is None:
            create.append(body)
        elif fields := _difference(existing, body):
            change.append(Change(str(existing["id"]), name, fields))
        else:
            unchanged.append(name)
        if existing is None or existing["id"] not in attached:
            attach.append(name)
    if len(attached) + len(attach) > MAX_TOOLS:
        problems.append(
            f"the agent would have {len(attached) + len(attach)} tools, at most {MAX_TOOLS}; "
            f"it has {len(attached)} now: detach some at Cartesia, or enable fewer here"
        )
    if problems:
        raise PushError(problems)
    voice_now = ((config.get("audio") or {}).get("output") or {}).get("voice_id")
    voice = (voice_now, voice_id) if voice_id and voice_id != voice_now else None
    return PushPlan(tuple(create), tuple(change), tuple(unchanged), tuple(attach), attached, voice)


async def read_plan(
    rest: CartesiaRest, agent_id: str, wanted: Sequence[Mapping[str, Any]], voice_id: str = ""
) -> PushPlan:
    """Read what there is and compare."""
    return plan_push(wanted, await rest.tools(), await rest.agent(agent_id), voice_id)


async def push(rest: CartesiaRest, agent_id: str, wanted: Sequence[Mapping[str, Any]], voice_id: str = "") -> PushPlan:
    """Do what is missing, and return what was done.

    The agent is read again just before it is changed, because its list of tools can only be replaced as a
    whole, and the answer is checked.

    Raises:
        PushError, CartesiaApiError
    """
    plan = await read_plan(rest, agent_id, wanted, voice_id)
    for body in plan.create:
        await rest.create_tool(body)
    bodies = {body["name"]: body for body in wanted}
    for change in plan.change:
        await rest.change_tool(change.tool_id, bodies[change.name])
    if plan.attach or plan.voice:
        await _change_agent(rest, agent_id, plan, wanted, voice_id)
    return plan


async def _change_agent(
    rest: CartesiaRest, agent_id: str, plan: PushPlan, wanted: Sequence[Mapping[str, Any]], voice_id: str
) -> None:
    remote, agent = await rest.tools(), await rest.agent(agent_id)
    now = plan_push(wanted, remote, agent, voice_id)
    ours = [_existing(name, remote, now.attached, []) for name in now.attach]
    ids = [*now.attached, *(str(tool["id"]) for tool in ours if tool is not None)]
    changes: dict[str, Any] = {"tools": [{"id": tool_id} for tool_id in ids]}
    if plan.voice:
        audio = (agent.get("config") or {}).get("audio") or {}
        changes["audio"] = {**audio, "output": {**(audio.get("output") or {}), "voice_id": plan.voice[1]}}
    changed = await rest.change_agent(agent_id, {"config": changes})
    left = {str(item["id"]) for item in (changed.get("config") or {}).get("tools") or []}
    if missing := set(ids) - left:
        raise PushError(
            [f"Cartesia answered the change, and these tools are not attached: {', '.join(sorted(missing))}"]
        )


def _existing(
    name: str, remote: Sequence[Mapping[str, Any]], attached: Sequence[str], problems: list[str]
) -> Mapping[str, Any] | None:
    same = [tool for tool in remote if tool.get("name") == name]
    ours = [tool for tool in same if tool.get("type") == "client"]
    if same and not ours:
        problems.append(f"{name!r} is a {same[0].get('type')} tool at Cartesia ({same[0]['id']}): rename one of them")
        return None
    in_use = [tool for tool in ours if tool["id"] in attached]
    if len(in_use) == 1 or len(ours) == 1:
        return (in_use or ours)[0]
    if ours:
        ids = ", ".join(str(tool["id"]) for tool in ours)
        problems.append(f"{name!r} is there {len(ours)} times at Cartesia ({ids}): delete the ones not in use")
    return None


def _difference(existing: Mapping[str, Any], wanted: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    return {
        field: (existing.get(field), value)
        for field, value in wanted.items()
        if field != "type" and _normal(existing.get(field)) != _normal(value)
    }


def _normal(value: Any) -> Any:
    """See through what means the same: no `required` list is an empty one."""
    if isinstance(value, Mapping) and value.get("type") == "object":
        return {**value, "required": sorted(value.get("required") or []), "properties": value.get("properties") or {}}
    return value
