"""An engine that outlives its sessions: when one breaks off, another one goes on from what the call remembers.

The vendor cannot resume a session, so a new one is begun and told what happened (`Recall`). The first session is the
caller's to wait for; each later one has to be ready in `within_s` of the loss, whatever number of tries that takes, so
that the caller soon hears the agent or the fallback. What ends a call for good is not tried again: the agent hung up
(1000), it says that we did wrong (1008), it refuses us, or it breaks off too often.
"""

import asyncio
import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from archer_bridge.errors import EngineError
from archer_bridge.models import ToolFinished
from archer_bridge.ports import Closed, EngineEvent, EngineLost, Memory, Recall

FINAL = frozenset({1000, 1008})
PAUSES_S = (0.2, 0.5, 1.0)
"""Before each try of a reconnection, a fifth more or less."""
STALLS_APART_S = 30.0
"""A session that falls silent sooner than this after another one did is the last."""


class Session(Protocol):
    """One session of an engine."""

    is_ready: bool

    @property
    def format_name(self) -> str:
        """The audio format both ways."""

    async def run(self, on_event: Callable[[EngineEvent], None]) -> Closed:
        """Begin the session and report its events until it ends; raises EngineError when it does not begin."""

    def give_up(self, reason: str) -> None:
        """Let `run` return soon."""

    def send_audio(self, data: bytes, text: bytes | None) -> None:
        """Hand over caller audio; what comes before the session is ready is kept, briefly."""

    def send_digit(self, digit: str) -> None:
        """Hand over one key press."""

    def send_tool_result(self, finished: ToolFinished) -> None:
        """Answer a tool call of this session; others are ignored."""

    async def close(self) -> None:
        """End the session; safe to call at any time and more than once."""


@dataclass(frozen=True, slots=True)
class ResumeLimits:
    """How hard a call tries to keep its agent; see [cartesia] in config.toml."""

    within_s: float = 2.2
    """From a loss to a new session that is ready."""
    at_most: int = 3
    """New sessions, …"""
    per_s: float = 60.0
    """… in so much time."""


MakeSession = Callable[[Callable[[], Recall | None], float | None], Session]
"""Makes a session from what it must know, asked when it is created, and the loop time by which it must be ready."""


class ResumingEngine:
    """One call's sessions, one after another; implements `ports.Engine`."""

    def __init__(self, make: MakeSession, limits: ResumeLimits, *, recall: Recall | None = None) -> None:
        """`recall`: the call had another engine before, in another process."""
        self._make = make
        self._limits = limits
        self._losses: list[float] = []
        self._stalled_at: float | None = None
        self._leaving: list[asyncio.Task[None]] = []
        self._is_closed = False
        self._session = make(lambda: recall, None)
        self.format_name = self._session.format_name
        self.send_audio = self._session.send_audio
        """The session's own method: it is called 50 times a second."""

    async def run(self, on_event: Callable[[EngineEvent], None], memory: Memory) -> Closed:
        """Run session after session until one ends for good.

        Raises:
            EngineError: the first one did not begin, or none followed in time.
        """
        closed = await self._session.run(on_event)
        while self._may_go_on(closed) and memory.wants_more():
            self._losses.append(asyncio.get_running_loop().time())
            on_event(EngineLost(f"{closed.code} {closed.reason}".strip()))
            closed = await self._run_another(on_event, memory)
        return closed

    def _may_go_on(self, closed: Closed) -> bool:
        now = asyncio.get_running_loop().time()
        while self._losses and now - self._losses[0] >= self._limits.per_s:
            del self._losses[0]
        return not self._is_closed and closed.code not in FINAL and len(self._losses) < self._limits.at_most

    async def _run_another(self, on_event: Callable[[EngineEvent], None], memory: Memory) -> Closed:
        loop = asyncio.get_running_loop()
        ready_by = loop.time() + self._limits.within_s
        for attempt, pause_s in enumerate(PAUSES_S, 1):
            self._replace(self._make(memory.recall, ready_by))
            await asyncio.sleep(pause_s * random.uniform(0.8, 1.2))
            try:
                return await self._session.run(on_event)
            except EngineError as error:
                if not error.retryable or attempt == len(PAUSES_S) or loop.time() + PAUSES_S[attempt] >= ready_by:
                    raise
        raise AssertionError("the last try returns or raises")

    def _replace(self, session: Session) -> None:
        """Let caller audio go to the new session from now on, which keeps it; the old one ends by itself."""
        leaving = asyncio.get_running_loop().create_task(self._session.close(), name="engine leaving")
        self._leaving.append(leaving)
        leaving.add_done_callback(self._leaving.remove)
        self._session = session
        self.send_audio = session.send_audio

    def restart(self, reason: str) -> bool:
        """Give the present session up for another one; False when it is not ready, or there will be none."""
        now = asyncio.get_running_loop().time()
        again = self._stalled_at is not None and now - self._stalled_at < STALLS_APART_S
        if again or not self._session.is_ready or not self._may_go_on(Closed(1006)):
            return False
        self._stalled_at = now
        self._session.give_up(reason)
        return True

    def send_digit(self, digit: str) -> None:
        """Hand over one key press."""
        self._session.send_digit(digit)

    def send_tool_result(self, finished: ToolFinished) -> None:
        """Answer a tool call, if the session that asked still lives."""
        self._session.send_tool_result(finished)

    async def close(self) -> None:
        """End the present session, and wait for those that are leaving."""
        self._is_closed = True
        await self._session.close()
        if self._leaving:
            await asyncio.wait(self._leaving)
