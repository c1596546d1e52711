"""Where a tool's code runs, so that nothing it does reaches the call.

A plain function runs in a daemon thread of its own. An async function runs on the call's event loop or,
isolated, on a loop in another thread, so that one that blocks stalls no audio; a tool loop that does not pick
up work is retired and replaced. Whatever a tool raises, SystemExit included, comes back as a value. Code that
keeps running after it was given up on (a thread cannot be killed, a coroutine may refuse cancellation) is
counted, and the runner bounds the count. What remains possible: an extension that holds the interpreter lock,
and a task that a tool starts by itself and that raises SystemExit, which asyncio hands to its loop.
"""

import asyncio
import contextlib
import contextvars
import inspect
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from archer_bridge.calls.tool_loop import ToolLoop, soon
from archer_bridge.calls.tool_remote import RemoteStore
from archer_bridge.calls.tool_result import UnserialisableResult, encode_result
from archer_bridge.models import EndCall, Transfer
from archer_bridge.tool_api import Reply, Tool, ToolContext, ToolError


@dataclass(frozen=True, slots=True)
class Answered:
    """The tool returned; `text` is its value as bounded JSON."""

    reply: Reply
    text: str


@dataclass(frozen=True, slots=True)
class Refused:
    """The tool raised ToolError: nothing happened."""

    error: ToolError


@dataclass(frozen=True, slots=True)
class Crashed:
    """The tool raised anything else, or returned what has no JSON."""

    error: BaseException


SWITCH_S = 0.0005
"""How long a thread that computes in Python keeps the interpreter lock when the call's loop wants it.

Python's own 5 ms are waited each time the loop has given the lock up, which writing to a socket does. This shortens
the wait and does not end it; what a computing tool costs the other calls is measured in tests/bench/bench_tools.py.
"""

Ran = Answered | Refused | Crashed
Finish = Callable[[Reply], Reply]
"""Applied to the reply before it is encoded."""


@dataclass(frozen=True, slots=True)
class Job:
    """One run of a tool's code."""

    tool: Tool
    context: ToolContext
    arguments: dict[str, Any]
    finish: Finish


@dataclass(frozen=True, slots=True)
class Running:
    """A job under way: `result` is set when the code has ended, and is never an exception."""

    result: "asyncio.Future[Ran]"
    stop: Callable[[], None]
    """Ask an async tool to stop; a thread cannot be asked."""


class ToolPlaces:
    """Starts jobs; belongs to the event loop that it is used from."""

    def __init__(self, *, isolate: bool) -> None:
        self._isolate = isolate
        self._tool_loop: ToolLoop | None = None
        self._running: set[asyncio.Future[Ran]] = set()
        if isolate:
            sys.setswitchinterval(min(SWITCH_S, sys.getswitchinterval()))

    @property
    def running(self) -> int:
        """Jobs whose code has not ended, those given up on included."""
        return len(self._running)

    async def start(self, job: Job) -> Running:
        """Start the job; returns at once, but for a quarter of a second when the tool loop is blocked."""
        home = asyncio.get_running_loop()
        if job.tool.is_async and not self._isolate:
            running = self._start_here(job, home)
        else:
            context = job.context
            remote = replace(
                context, store=RemoteStore(context.store, home), say=lambda text: soon(home, context.say, text)
            )
            job = replace(job, context=remote)
            running = await self._start_isolated(job) if job.tool.is_async else _start_thread(job, home)
        self._running.add(running.result)
        running.result.add_done_callback(self._running.discard)
        return running

    def close(self) -> None:
        """Retire the tool loop; threads that never return are daemons and end with the process."""
        if self._tool_loop is not None:
            self._tool_loop.retire()
            self._tool_loop = None

    def _start_here(self, job: Job, home: asyncio.AbstractEventLoop) -> Running:
        result: asyncio.Future[Ran] = home.create_future()
        task = home.create_task(guarded(job), name=f"tool-code:{job.tool.name}")
        task.add_done_callback(lambda done: result.set_result(outcome(done)))
        return Running(result, lambda: None if task.done() else _cancel(task))

    async def _start_isolated(self, job: Job) -> Running:
        while True:
            if self._tool_loop is None:
                self._tool_loop = ToolLoop()
            place = self._tool_loop
            result: asyncio.Future[Ran] = asyncio.get_running_loop().create_future()
            stop = await place.start(partial(guarded, job), partial(_settle_task, result))
            if stop is not None:
                return Running(result, stop)
            if self._tool_loop is place:
                self._tool_loop = None


def _cancel(task: "asyncio.Task[Ran]") -> None:
    task.cancel("the tool's time is over")


def _start_thread(job: Job, home: asyncio.AbstractEventLoop) -> Running:
    result: asyncio.Future[Ran] = home.create_future()
    inherited = contextvars.copy_context()

    def work() -> None:
        soon(home, settle, result, inherited.run(_guarded_plain, job))

    try:
        threading.Thread(target=work, name=f"tool-code:{job.tool.name}", daemon=True).start()
    except RuntimeError as error:  # the machine has no thread left
        result.set_result(Crashed(error))
    return Running(result, lambda: None)


async def guarded(job: Job) -> Ran:
    """Run an async tool's code to a value; only cancellation leaves as an exception."""
    try:
        return _answered(job, await job.tool.handle(job.context, job.arguments))
    except asyncio.CancelledError:
        raise
    except ToolError as refusal:
        return Refused(refusal)
    except BaseException as error:  # SystemExit from a plugin must not stop the bridge
        return Crashed(error)


def _guarded_plain(job: Job) -> Ran:
    try:
        return _answered(job, job.tool.handle(job.context, job.arguments))
    except ToolError as refusal:
        return Refused(refusal)
    except BaseException as error:  # SystemExit from a plugin must not stop the bridge
        return Crashed(error)


def _answered(job: Job, value: Any) -> Ran:
    if isinstance(value, ToolError):
        return Refused(value)
    if inspect.iscoroutine(value):
        value.close()
        return Crashed(TypeError(f"tool {job.tool.name!r} returned a coroutine; await it inside the tool"))
    match value:
        case Reply():
            reply = value
        case EndCall():
            reply = Reply({"ending": True}, effect=value)
        case Transfer():
            reply = Reply({"transferring": True}, effect=value)
        case _:
            reply = Reply(value)
    reply = job.finish(reply)
    try:
        return Answered(reply, encode_result(reply.value))
    except UnserialisableResult as error:
        if not job.tool.side_effect:
            return Crashed(error)
        return Answered(reply, encode_result({"done": True, "notice": str(error)}))  # it did happen


def outcome(task: "asyncio.Task[Ran]") -> Ran:
    """Return what a finished task of `guarded` came to."""
    if task.cancelled():
        return Crashed(asyncio.CancelledError("the tool was cancelled"))
    error = task.exception()
    return Crashed(error) if error is not None else task.result()


def _settle_task(result: "asyncio.Future[Ran]", task: "asyncio.Task[Ran]") -> None:
    settle(result, outcome(task))


def settle(result: "asyncio.Future[Ran]", ran: Ran) -> None:
    """Set a result that nobody may be waiting for any more."""
    with contextlib.suppress(asyncio.InvalidStateError):
        result.set_result(ran)
