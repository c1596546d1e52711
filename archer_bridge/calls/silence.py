"""Silence on the line, and what to do about it. Pure: what is known of an instant comes in, a remedy goes out.

Theory of operation. Somebody waits for the agent when it owes words: the engine is not ready yet, the caller's turn
ended and no audio followed, an agent turn is open and its audio ran out, the caller's turn was begun and never
ended, or the caller spoke and the engine did not so much as notice. After `dead_air_s` of that a filler begins; after
twice as long the agent's session is given up. One that broke off is filled for at once. While a tool runs nothing is
given up, for tools have timeouts of their own, and the wait counts from the tool's end; a tool that is slow begins the
filler early. The filler begins into silence only, does not talk over the caller, and goes on until the agent's audio is
there or nobody waits any more. A sign of life, which any message of the engine is, puts giving it up off, once over.
"""

from typing import Final

import msgspec

from archer_bridge.calls.filler import Filler

PAUSE_S = 0.6
"""Agents pause this long between sentences; a filler begins no earlier after the agent's last sound."""
TALKING_S = 0.4
"""The caller still talks when the last voiced audio is no older than this."""
TALKED_OVER_S = 2.0
"""A caller who does not stop talking keeps the filler back for this long at most."""
REMARK_S = 0.8
"""This much voice that the engine passes over in silence is a remark unheard; less may be a cough, …"""
FORGET = 0.1
"""… and so may many over a long time: this share of the time that passes is taken off."""


class Moment(msgspec.Struct, frozen=True, gc=False):
    """What is known of a call at one instant; times are seconds of the call's clock."""

    now: float
    is_ready: bool
    """The engine listens."""
    is_lost: bool
    """The engine broke off, and another session is being opened."""
    is_sounding: bool
    """Something, the agent or a filler, plays at the caller's end or is about to."""
    agent_audio_at: float | None
    """When the engine last gave audio."""
    agent_turn_open: bool
    caller_turn_open: bool
    owed_since: float | None
    """When the caller's last turn ended, or the engine became ready, if no audio has come since."""
    engine_messages: int
    """How many messages the engine has sent."""
    voice_ended_at: float | None
    """The end of the caller's last voiced audio."""
    tools_running: int


class Remedy(msgspec.Struct, frozen=True, gc=False):
    """What to do now."""

    audio: bytes | None = None
    """Filler to play."""
    begun: str = ""
    """Why a filler has begun just now."""
    lost: str = ""
    """Why the agent is given up."""


NOTHING: Final = Remedy()


class Silence:
    """One call's watch over silence."""

    def __init__(self, filler: Filler, *, began: float, dead_air_s: float) -> None:
        self._filler = filler
        self._dead_air_s = dead_air_s
        self._slow = ""
        self._tools_running = 0
        self._tools_ended_at = began
        self._quiet_since = began
        """The agent's last sound, as the caller hears it."""
        self._agent_audio_at: float | None = None
        self._messages = 0
        self._message_at = began
        """When the engine was last seen to send anything."""
        self._looked_at = began
        self._voice_ended_at = began
        self._voiced_s = 0.0
        """How much the caller has spoken since the engine's last message."""
        self._unnoticed_since: float | None = None

    def tool_is_slow(self, why: str) -> None:
        """A tool passed its soft limit, or asks for patience itself."""
        self._slow = why

    def look(self, moment: Moment) -> Remedy:
        """Say what to do at this instant; call it ten times a second."""
        self._follow(moment)
        since = self._waiting_since(moment)
        if since is None and not self._slow:
            self._filler.stop()
            return NOTHING
        waited_s = 0.0 if since is None else moment.now - since
        stalled_s = 0.0 if since is None else moment.now - max(since, self._message_at)
        is_stalled = stalled_s >= 2 * self._dead_air_s or waited_s >= 4 * self._dead_air_s
        if is_stalled and moment.is_ready and not moment.tools_running:
            return Remedy(lost=f"the agent said nothing for {waited_s:.1f} s")
        begun = "" if self._filler.is_running else self._why_fill(moment, waited_s)
        if begun:
            self._filler.begin(moment.now)
        may_sound = self._filler.is_running and not self._is_occupied(moment)
        return Remedy(self._filler.due(moment.now) if may_sound else None, begun)

    def _follow(self, moment: Moment) -> None:
        if moment.agent_audio_at != self._agent_audio_at:
            self._agent_audio_at = moment.agent_audio_at
            self._filler.agent_spoke()
        if self._is_agent_sounding(moment):
            self._quiet_since = moment.now
        if self._tools_running and not moment.tools_running:
            self._tools_ended_at = moment.now
        self._tools_running = moment.tools_running
        if not moment.tools_running:
            self._slow = ""
        self._listen(moment)

    def _listen(self, moment: Moment) -> None:
        """Notice whether the engine takes notice of the caller, and whether it lives."""
        if moment.engine_messages != self._messages:
            self._message_at = moment.now
        if moment.engine_messages != self._messages or self._is_agent_sounding(moment):
            self._messages = moment.engine_messages
            self._voiced_s = 0.0
            self._unnoticed_since = None
        passed_s = moment.now - self._looked_at
        self._voiced_s = max(0.0, self._voiced_s - FORGET * passed_s)
        if moment.voice_ended_at is not None and moment.voice_ended_at > self._voice_ended_at:
            self._voiced_s += min(moment.voice_ended_at - self._voice_ended_at, passed_s)
            self._voice_ended_at = moment.voice_ended_at
            if self._voiced_s >= REMARK_S and not self._filler.is_running:
                self._unnoticed_since = moment.voice_ended_at
        self._looked_at = moment.now

    def _is_agent_sounding(self, moment: Moment) -> bool:
        return moment.is_sounding and moment.now > self._filler.sounds_until

    def _waiting_since(self, moment: Moment) -> float | None:
        """Return since when the caller waits for the agent; None when nobody waits."""
        if moment.caller_turn_open and self._voice_ended_at > (moment.agent_audio_at or 0.0):
            known = [self._voice_ended_at]  # the engine listens; what it owed before is overtaken
        else:
            known = [since for since in (moment.owed_since, self._unnoticed_since) if since is not None]
            if not moment.is_ready or moment.agent_turn_open:
                known.append(self._quiet_since)
        return max(min(known), self._quiet_since, self._tools_ended_at) if known else None

    def _why_fill(self, moment: Moment, waited_s: float) -> str:
        if self._is_occupied(moment):
            return ""
        if moment.now - self._quiet_since >= PAUSE_S and (self._slow or moment.is_lost):
            return self._slow or "engine_lost"
        return "dead_air" if waited_s >= self._dead_air_s else ""

    def _is_occupied(self, moment: Moment) -> bool:
        """Whether somebody talks now."""
        if self._is_agent_sounding(moment):
            return True
        talks = moment.voice_ended_at is not None and moment.now - moment.voice_ended_at < TALKING_S
        return talks and moment.now - max(self._quiet_since, self._filler.sounds_until) < TALKED_OVER_S
