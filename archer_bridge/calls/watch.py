"""Ten times a second: has the goodbye been heard, does somebody wait in silence, is anybody still there?"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

from structlog.typing import FilteringBoundLogger

from archer_bridge.calls.ending import Ending
from archer_bridge.calls.engine_life import EngineLife
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
    life: EngineLife
    tools_running: Callable[[], int]
    note: Callable[[str, dict[str, str]], None]
    """Puts one event on the call's timeline."""
    log: FilteringBoundLogger
    began: float
    """When the call's first stream began, on the loop's clock."""
    _silence: Silence = field(init=False)

    def __post_init__(self) -> None:
        now = asyncio.get_running_loop().time()
        self._silence = Silence(self.filler, began=now, dead_air_s=self.limits.dead_air_s)

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
            self.ending.broke_off(f"nothing from Twilio for {limits.idle_timeout_s:g} s")
        elif now - self.began > limits.max_duration_s:
            self.ending.give(Outcome.MAX_DURATION, f"longer than {limits.max_duration_s:g} s")

    def filler_asked(self, why: str) -> None:
        """A tool is slow, or asks for patience itself."""
        self._silence.tool_is_slow(why[:64])
        if self.ending.farewell is None and not self.ending.is_given:
            self._mind_silence(asyncio.get_running_loop().time())

    def _mind_silence(self, now: float) -> None:
        life = self.life
        moment = self.line.moment(
            now, is_ready=life.is_ready.is_set(), is_lost=life.is_lost, tools_running=self.tools_running()
        )
        remedy = self._silence.look(moment)
        if remedy.lost:
            life.silent(remedy.lost)
        if remedy.begun:
            self.log.info("filler", why=remedy.begun)
            self.note("filler", {"why": remedy.begun})
        if remedy.audio is not None:
            self.line.core.speech.play_filler(remedy.audio, now)
