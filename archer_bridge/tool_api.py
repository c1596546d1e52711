"""What a tool plugin imports: nothing else of the bridge is promised to it.

Frozen within a major version: fields and options are added, never changed or removed.

    @tool
    async def opening_hours(ctx: ToolContext, day: Annotated[str, "day of the week"]) -> dict[str, str]:
        \"\"\"Say when the office is open.\"\"\"
        return {"hours": ctx.settings.get(day, "closed")}
"""

import inspect
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, overload

from pydantic import BaseModel

from archer_bridge.errors import PluginError
from archer_bridge.models import Arrangement, Customer, Effect, EndCall, Outcome, Payment, ToolRow, Transfer
from archer_bridge.tool_schema import MAX_DESCRIPTION, NAME, InvalidArguments, check_arguments, read_signature
from archer_bridge.tool_values import CallFacts, Offer, Reply, ToolContext, ToolError, ToolLogger, ToolStore

__all__ = [
    "API_VERSION",
    "Arrangement",
    "CallFacts",
    "Customer",
    "Effect",
    "EndCall",
    "InvalidArguments",
    "Offer",
    "Outcome",
    "Payment",
    "Reply",
    "Tool",
    "ToolContext",
    "ToolError",
    "ToolLogger",
    "ToolRow",
    "ToolStore",
    "Transfer",
    "tool",
]

API_VERSION = 1
MAX_TIMEOUT_S = 100.0
"""Below the 120 s that the vendor waits at most, with room for the queue and the record."""

ToolFunction = Callable[..., Any]
Requirement = Literal["verified", "offered"]
BusinessKey = Callable[[ToolContext, Mapping[str, Any]], str]
Reconcile = Callable[[ToolStore, ToolRow], Awaitable[Any]]
SelfCheck = Callable[[Any], str | None]


@dataclass(frozen=True, slots=True)
class Tool:
    """A function the voice agent may call, with the rules it is run under. Made by `@tool`."""

    name: str
    description: str
    parameters: Mapping[str, Any]
    """JSON schema of the arguments, in the subset that the vendor accepts."""
    function: ToolFunction
    model: type[BaseModel]
    context: str | None = None
    is_async: bool = True
    timeout_s: float | None = None
    """Until the model is told "timeout"; None means `[tools] timeout_s`."""
    soft_limit_s: float = 0.8
    """After this a filler may be spoken; with the caller's pause before it, short of 1.5 s of silence."""
    requires: Requirement | None = None
    """`verified`: the caller proved who they are in this call; `offered`: and terms were offered."""
    side_effect: bool = False
    """Never cancelled by barge-in, hang-up or its timeout; a crash leaves its row `unknown`."""
    max_calls_per_call: int | None = None
    business_key: BusinessKey | None = None
    """Names the side effect, so that asking again under a new id cannot repeat it."""
    max_failures: int | None = None
    on_last_failure: Effect | None = None
    masked: frozenset[str] = frozenset()
    """Parameters that are kept out of records and logs."""
    reconcile: Reconcile | None = None
    """Finds out what became of an `unknown` row: the value it should have returned, or None if nothing happened."""
    settings_type: Callable[..., Any] | None = None
    """Called with the keys of `[tools.NAME]`; a pydantic model or a dataclass."""
    self_check: SelfCheck | None = None
    """Given the settings, returns what is wrong with them, or None."""
    pre_tool_speech: Literal["auto", "force", "off"] = "auto"
    """Whether the vendor's agent speaks before the call: its own choice, always, never."""
    execution_mode: Literal["immediate", "async"] = "immediate"
    expects_response: bool = True

    def check(self, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """Return the arguments converted; raises InvalidArguments naming each field that does not fit."""
        return check_arguments(self.model, arguments)

    def handle(self, ctx: ToolContext, arguments: Mapping[str, Any]) -> Any:
        """Call the function with checked arguments; an awaitable when `is_async`."""
        given = {self.context: ctx} if self.context else {}
        return self.function(**given, **arguments)

    def make_settings(self, table: Mapping[str, Any]) -> Any:
        """Convert a `[tools.NAME]` table; raises whatever `settings_type` raises."""
        return dict(table) if self.settings_type is None else self.settings_type(**table)


@overload
def tool(function: ToolFunction, /) -> Tool: ...
@overload
def tool(
    *,
    name: str | None = None,
    timeout_s: float | None = None,
    soft_limit_s: float = 0.8,
    requires: Requirement | None = None,
    side_effect: bool = False,
    max_calls_per_call: int | None = None,
    business_key: BusinessKey | None = None,
    max_failures: int | None = None,
    on_last_failure: Effect | None = None,
    masked: Iterable[str] = (),
    reconcile: Reconcile | None = None,
    settings_type: Callable[..., Any] | None = None,
    self_check: SelfCheck | None = None,
    pre_tool_speech: Literal["auto", "force", "off"] = "auto",
    execution_mode: Literal["immediate", "async"] = "immediate",
    expects_response: bool = True,
) -> Callable[[ToolFunction], Tool]: ...
def tool(function: ToolFunction | None = None, /, **options: Any) -> Tool | Callable[[ToolFunction], Tool]:
    """Make a function a tool; the name, the description and the parameters come from the function.

    An async function runs on an event loop and must not block it; a plain function runs in a thread.
    The options are the fields of `Tool` that have the same name.

    Raises:
        PluginError: with everything that the vendor would refuse, and how to put it right.
    """
    if function is None:
        return lambda decorated: _make(decorated, **options)
    return _make(function, **options)


def _make(function: ToolFunction, *, name: str | None = None, masked: Iterable[str] = (), **options: Any) -> Tool:
    problems: list[str] = []
    name = name or str(getattr(function, "__name__", type(function).__name__))
    if not NAME.fullmatch(name):
        problems.append(f"its name must match {NAME.pattern}; give another with @tool(name=...)")
    description = _description(function, problems)
    signature = read_signature(function, ToolContext, problems)
    made = Tool(
        name=name,
        description=description,
        parameters=signature.parameters,
        function=function,
        model=signature.model,
        context=signature.context,
        is_async=inspect.iscoroutinefunction(function),
        masked=frozenset(masked),
        **options,
    )
    problems += _option_problems(made)
    if problems:
        raise PluginError([f"tool {name!r}: {problem}" for problem in problems])
    return made


def _description(function: ToolFunction, problems: list[str]) -> str:
    text = (inspect.getdoc(function) or "").partition("\nArgs:\n")[0].strip()
    text = text.removeprefix("Args:\n")
    if not text:
        problems.append("it has no docstring; the model is told what the tool does by its docstring")
    if len(text) > MAX_DESCRIPTION:
        problems.append(f"its docstring has {len(text)} characters, and the vendor takes {MAX_DESCRIPTION}")
    return text


def _option_problems(made: Tool) -> list[str]:
    unknown = sorted(made.masked - set(made.parameters["properties"]))
    checks = {
        f"masked names no parameter of it: {', '.join(unknown)}": bool(unknown),
        "timeout_s must be above 0 and at most 100": made.timeout_s is not None
        and not 0 < made.timeout_s <= MAX_TIMEOUT_S,
        "soft_limit_s must be above 0": made.soft_limit_s <= 0,
        "max_calls_per_call must be at least 1": made.max_calls_per_call is not None and made.max_calls_per_call < 1,
        "max_failures must be at least 1": made.max_failures is not None and made.max_failures < 1,
        "on_last_failure needs max_failures": made.on_last_failure is not None and made.max_failures is None,
        "business_key is for tools with side_effect=True": made.business_key is not None and not made.side_effect,
        "reconcile is for tools with side_effect=True": made.reconcile is not None and not made.side_effect,
        "requires must be 'verified' or 'offered'": made.requires not in {None, "verified", "offered"},
    }
    return [problem for problem, found in checks.items() if found]
