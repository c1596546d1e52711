"""What the tools of one call, and of one process, share."""

import asyncio
import json
from collections import defaultdict
from collections.abc import Callable, Coroutine, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Any

import structlog

from archer_bridge.calls.tool_execution import ToolPlaces
from archer_bridge.calls.tool_policy import CallPolicy
from archer_bridge.calls.tool_result import error_result
from archer_bridge.errors import StoreError
from archer_bridge.models import Effect, ToolBegin, ToolStatus
from archer_bridge.ports import Store
from archer_bridge.tool_api import CallFacts, Reply, Tool


@dataclass(frozen=True, slots=True)
class ToolLimits:
    """What bounds tools; the defaults suit a bridge of a hundred calls."""

    timeout_s: float = 8.0
    """For a tool that names none."""
    per_call: int = 4
    in_all: int = 64
    backlog: int = 32
    """Requests of one call that may wait or run; one more is answered `busy` at once."""
    queue_s: float = 4.0
    """Longest wait for a place."""
    store_s: float = 5.0
    """Longest wait for the record, each time."""
    late_s: float = 60.0
    """How long a side effect may go on after its timeout and still be recorded as what it was."""
    stray: int = 128
    """Tools whose code has not ended, those given up on included; at this many, new ones are answered `busy`."""
    isolate: bool = False
    """Run async tools on a loop in another thread, so that one that blocks stalls no audio."""


BUSY = ("busy", "too many tools are running; say so and try again in a moment")
UNKNOWN = (
    "outcome_unknown",
    "it is not known whether this was done; do not repeat it, a person will check and confirm",
)
IN_PROGRESS = ("in_progress", "the same request is being carried out right now; do not repeat it")
NO_RECORD = ("record_unavailable", "this cannot be recorded right now, so it was not done; try again later")


@dataclass(frozen=True, slots=True)
class Work:
    """A request for a known tool, with arguments that fit."""

    tool: Tool
    arguments: dict[str, Any]
    begin: ToolBegin
    timeout_s: float


@dataclass(frozen=True, slots=True)
class Settled:
    """A request's durable end."""

    text: str
    status: ToolStatus
    error_type: str | None = None
    effect: Effect | None = None
    reply: Reply | None = None
    is_replay: bool = False


def failure(code: str, message: str, **facts: Any) -> Settled:
    """Return the end of a request that failed without a row to say so."""
    return Settled(error_result(code, message, **facts), ToolStatus.ERROR, code)


def error_of(text: str) -> str | None:
    """Return the code in a stored error result; None when it is not one."""
    value = json.loads(text)
    error = value.get("error") if isinstance(value, dict) else None
    return str(error.get("code", "error")) if isinstance(error, dict) else None


class Shared:
    """What all calls of the process share."""

    def __init__(
        self, tools: Mapping[str, Tool], store: Store, limits: ToolLimits, settings: Mapping[str, Any]
    ) -> None:
        self.tools = tools
        self.store = store
        self.limits = limits
        self.settings = settings
        self.slots = asyncio.Semaphore(limits.in_all)
        self.places = ToolPlaces(isolate=limits.isolate)
        self.tasks: set[asyncio.Task[Any]] = set()
        self.answered: Callable[[str, str, float], None] = lambda tool, status, seconds: None
        """Told every answer of an enabled tool: its name, its row's status, the seconds it took."""

    def task(self, work: Coroutine[Any, Any, Any], name: str) -> "asyncio.Task[Any]":
        """Start a task that belongs to no call and is kept until it ends."""
        task = asyncio.get_running_loop().create_task(work, name=name)
        self.tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: "asyncio.Task[Any]") -> None:
        self.tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None and not isinstance(error, StoreError):
            structlog.get_logger("archer_bridge.tools").error(
                "tool_runner_failed", task=task.get_name(), exc_info=error
            )

    async def within(self, work: Coroutine[Any, Any, Any], name: str) -> "asyncio.Task[Any]":
        """Start a task and give it `store_s` to end; it goes on if it does not."""
        task = self.task(work, name)
        await asyncio.wait({task}, timeout=self.limits.store_s)
        return task


class CallScope:
    """What the tools of one call share."""

    def __init__(self, shared: Shared, facts: CallFacts, say: Callable[[str], None]) -> None:
        self.shared = shared
        self.facts = facts
        self.policy = CallPolicy(facts)
        self.log = structlog.get_logger("archer_bridge.tools").bind(call_sid=facts.call_sid)
        self.over: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._say = say
        self._slots = asyncio.Semaphore(shared.limits.per_call)
        self._turns: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)

    @property
    def is_over(self) -> bool:
        """The call has ended: nothing new begins."""
        return self.over.done()

    def places_of(self, tool: Tool) -> list[AbstractAsyncContextManager[Any]]:
        """Return what to hold while the tool runs, in this order.

        A tool with a side effect, a cap or counted attempts runs one at a time in a call: two guesses side by
        side would both be the last one allowed.
        """
        one_by_one = tool.side_effect or tool.max_failures is not None or tool.max_calls_per_call is not None
        turn = [self._turns[tool.name]] if one_by_one else []
        return [*turn, self._slots, self.shared.slots]

    def say(self, text: str) -> None:
        """Pass a tool's filler on, while there is somebody to hear it."""
        if not self.is_over:
            self._say(text)
