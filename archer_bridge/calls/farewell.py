"""When a call that is to end may end: after its last word was heard. Pure."""

from archer_bridge.models import Effect

GRACE_S = 4.0
"""The agent may still begin its goodbye this long after the tool's answer."""
SPOKEN_S = 3.0
"""Words given this shortly before the request were the goodbye, most likely, …"""
SHORT_GRACE_S = 1.5
"""… and this long is enough to see that no more follow."""
BREATH_S = 0.3
"""Between the last word heard and the line closing."""
UNPROVED_S = 1.5
"""Audio that must have played by the clock, whose mark has not come back: it is waited for this long."""

HALTED_S = 5.0
"""An agent that stops in the middle of its goodbye for so long will not end it."""


class Farewell:
    """Waits for the goodbye: a turn that begins after the request, ends, and is heard; or enough silence."""

    def __init__(self, effect: Effect, *, since: float, longest_s: float) -> None:
        self.effect = effect
        self._since = since
        self._longest_s = longest_s
        self._moved_at = since
        self._quiet_since: float | None = None
        self._halted_at: float | None = None
        """Since when the agent has the word and does not speak."""
        self._engine_gone = False

    def engine_is_gone(self) -> None:
        """No more words can come: what is unheard is all there is."""
        self._engine_gone = True

    def is_over(self, now: float, *, turn_open: bool, playing: bool, proved: bool, last_audio_at: float | None) -> bool:
        """Whether the line may be closed now.

        Args:
            now: seconds of the call's clock.
            turn_open: the engine has begun an agent turn and not ended it.
            playing: agent audio waits here or plays at the caller's end, by the clock.
            proved: every byte sent is acknowledged by a mark.
            last_audio_at: when the engine last gave audio.
        """
        if playing:
            self._moved_at = now
        if now - self._moved_at >= self._longest_s:
            return True
        if playing or (turn_open and not self._engine_gone):
            self._quiet_since = None
            if playing or self._halted_at is None:
                self._halted_at = now
            return now - self._halted_at >= HALTED_S
        self._halted_at = None
        if self._quiet_since is None:
            self._quiet_since = now
        wait = self._wait(last_audio_at)
        return now - self._quiet_since >= (wait if proved else max(wait, UNPROVED_S))

    def _wait(self, last_audio_at: float | None) -> float:
        if self._engine_gone or (last_audio_at is not None and last_audio_at >= self._since):
            return BREATH_S
        spoke_before = last_audio_at is not None and last_audio_at >= self._since - SPOKEN_S
        return SHORT_GRACE_S if spoke_before else GRACE_S
