"""Ten times a second: has the goodbye been heard, does somebody wait in silence, is anybody still there?"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

from structlog.typing import FilteringBoundLogger

from archer_bridge.calls.ending import Ending
from archer_bridge.calls.filler import Filler
from archer_bridge.calls.limits import CallLimits
from archer_bridge.calls.line import Line
from archer_bridge.calls.silence import Silence
from archer_bridge.models import Outcome


@dataclass(slots=True)
class Watch:
    """One call's regular look at its line; what it finds goes to the ending, or is played as a filler."""

    line: Line
    ending: Ending
    filler: Filler
    limits: CallLimits
    is_ready: Callable[[], bool]
    """Whether the engine listens."""
    tools_running: Callable[[], int]
    note: Callable[[str, dict[str, str]], None]
    """Puts one event on the call's timeline."""
    log: FilteringBoundLogger
    _silence: Silence = field(init=False)
    _began: float = field(init=False)

    def __post_init__(self) -> None:
        self._began = asyncio.get_running_loop().time()
        self._silence = Silence(self.filler, began=self._began, dead_air_s=self.limits.dead_air_s)

    def check(self, now: float) -> None:
        """Look once."""
        if self.ending.is_given:
            return
        self.line.check(now)
        limits, farewell = self.limits, self.ending.farewell
        if farewell is None:
            self._mind_silence(now)
        elif self.line.is_over(farewell, now):
            self.ending.farewell_over()
        if now - self.line.core.last_caller_at > limits.idle_timeout_s:
            self.ending.give(Outcome.CALLER_HANGUP, f"nothing from Twilio for {limits.idle_timeout_s:g} s")
        elif now - self._began > limits.max_duration_s:
            self.ending.give(Outcome.MAX_DURATION, f"longer than {limits.max_duration_s:g} s")

    def filler_asked(self, why: str) -> None:
        """A tool is slow, or asks for patience itself."""
        self._silence.tool_is_slow(why[:64])
        if self.ending.farewell is None and not self.ending.is_given:
            self._mind_silence(asyncio.get_running_loop().time())

    def _mind_silence(self, now: float) -> None:
        moment = self.line.moment(now, is_ready=self.is_ready(), tools_running=self.tools_running())
        remedy = self._silence.look(moment)
        if remedy.lost:
            self.note("dead_air", {"reason": remedy.lost})
            self.ending.give(Outcome.VENDOR_LOST, remedy.lost)
        if remedy.begun:
            self.log.info("filler", why=remedy.begun)
            self.note("filler", {"why": remedy.begun})
        if remedy.audio is not None:
            self.line.core.play_filler(remedy.audio, now)
