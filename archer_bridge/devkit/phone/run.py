"""The run of one call, from its first ring to its report."""

import asyncio
from collections.abc import Coroutine
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

from archer_bridge.devkit.phone.caller import Caller, CallerScript, HasLines
from archer_bridge.devkit.phone.errors import CallEnded, CallerError
from archer_bridge.devkit.phone.events import EventSink, PhoneEvent
from archer_bridge.devkit.phone.execute import Executor
from archer_bridge.devkit.phone.interrupt import Goto, HangUp, Interrupt
from archer_bridge.devkit.phone.leg import CallStatus, Leg
from archer_bridge.devkit.phone.line import Line
from archer_bridge.devkit.phone.record import Record
from archer_bridge.devkit.phone.report import CallReport
from archer_bridge.devkit.phone.speaker import Speaker
from archer_bridge.devkit.phone.tape import SAMPLES_PER_MS
from archer_bridge.devkit.voices import open_voice

_SCRIPT_GRACE_S = 1.0
"""How long a script may go on after the call has ended, to finish what it noticed."""


@dataclass(frozen=True, slots=True)
class LiveCall:
    """A call as REST sees it: what it is, how it is, and the handle that changes its course."""

    leg: Leg
    executor: Executor
    interrupt: Interrupt

    @property
    def status(self) -> CallStatus:
        """How the call is."""
        return self.executor.status

    def hang_up(self) -> None:
        """End the call, as `Status=completed` does."""
        self.interrupt.fire(HangUp("rest"))

    def redirect(self, target: Goto) -> None:
        """Let the call go on with another document."""
        self.interrupt.fire(target)


class Switchboard(Protocol):
    """Who wants to know of every call."""

    def add(self, call: LiveCall) -> None:
        """Take note of a call that begins."""


async def run_call(
    leg: Leg, script: CallerScript, *, on_event: EventSink | None = None, exchange: Switchboard | None = None
) -> CallReport:
    """Run one call.

    Raises:
        Exception: whatever `script` raised, after hanging up; a `CallerError` is only noted in the report.
    """
    options = leg.options
    caller_voice = Speaker(partial(open_voice, options.voice, seed=options.seed, speaker="caller"))
    twilio_voice = Speaker(partial(open_voice, options.voice, seed=options.seed, speaker="agent"))
    if isinstance(script, HasLines):
        await caller_voice.prepare(script.lines)
    async with asyncio.TaskGroup() as group:
        run = _Run(leg, script, on_event or _ignore, voices=(caller_voice, twilio_voice), group=group)
        if exchange is not None:
            exchange.add(LiveCall(leg, run.executor, run.interrupt))
        await run.to_the_end()
    if run.failure is not None:
        raise run.failure
    return run.report()


def _ignore(_event: PhoneEvent) -> None:
    """Listen to nothing."""


class _Run:
    """The tasks of one call: the executor in the foreground, the line's clock and the caller's script beside it."""

    def __init__(
        self,
        leg: Leg,
        script: CallerScript,
        emit: EventSink,
        *,
        voices: tuple[Speaker, Speaker],
        group: asyncio.TaskGroup,
    ) -> None:
        self._leg = leg
        self._script = script
        self._group = group
        self._ticking: asyncio.Task[None] | None = None
        self._acting: asyncio.Task[None] | None = None
        self.failure: Exception | None = None
        self.interrupt = Interrupt()
        self._record = Record(Line(emit))
        self._line = self._record.line
        self._caller = Caller(self._record, voices[0], self.interrupt)
        self.executor = Executor(
            leg, self._record, self.interrupt, speaker=voices[1], answer=self._answer, spawn=self._spawn
        )

    def report(self) -> CallReport:
        """Return the report, complete with what was posted after the end."""
        return self._record.freeze(self._leg.call_sid, self._leg.from_number, self._leg.to_number)

    async def to_the_end(self) -> None:
        """Ring, run, hang up; what is still being posted is left to the task group."""
        loop = asyncio.get_running_loop()
        webhooks = self.executor.webhooks
        self._line.emit("ringing", self._leg.call_sid)
        self._spawn(self._progress())
        limit = loop.call_later(self._leg.options.max_call_s, self.interrupt.fire, HangUp("time_limit"))
        try:
            await self.executor.run()
        finally:
            limit.cancel()
            self._line.stop()
        duration_ms = self._line.end / SAMPLES_PER_MS
        self._line.emit("ended", f"{self._record.ended_by} {self._record.end_detail}".rstrip())
        self._spawn(webhooks.status("completed", self.executor.status, duration_ms))
        await self._dismiss()

    async def _progress(self) -> None:
        await self.executor.webhooks.status("initiated", "queued", 0.0)
        await self.executor.webhooks.status("ringing", "ringing", 0.0)

    def _answer(self) -> None:
        self._line.clock.answer()
        self._line.emit("answered")
        self._ticking = self._group.create_task(self._line.run(), name="line")
        self._acting = self._group.create_task(self._act(), name="caller")
        self._spawn(self.executor.webhooks.status("answered", "in-progress", 0.0))

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        self._group.create_task(work, name="callback")

    async def _act(self) -> None:
        """Play the caller; the script is somebody's code, so what it raises is kept until the call is over."""
        try:
            await self._script(self._caller)
            async with asyncio.timeout(self._leg.options.linger_s):
                await self._caller.ended.wait()
        except CallEnded:
            return
        except TimeoutError:
            self._record.script_error = "the script was done, and nobody ended the call"
        except CallerError as error:
            self._record.script_error = str(error)
        except Exception as error:
            self.failure = error
        self.interrupt.fire(HangUp("caller"))

    async def _dismiss(self) -> None:
        self._caller.end()
        if self._acting is not None:
            await asyncio.wait({self._acting}, timeout=_SCRIPT_GRACE_S)
            self._acting.cancel()
        if self._ticking is not None:
            self._ticking.cancel()
