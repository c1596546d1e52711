"""What the caller hears while nothing is said: words once, then a soft sign of life, until the agent speaks. Pure.

The filler's audio goes the agent's way, so it is in the ledger and in the recording. The agent's first audio ends it:
what is left of it in Twilio's buffer is cleared, so that it never delays a word.
"""

from dataclasses import dataclass

RATE = 8000
SIGN_EVERY_S = 1.2
"""From the end of one sign of life to the next; no silence of 1.5 s arises while a filler runs."""


@dataclass(frozen=True, slots=True)
class FillerAudio:
    """Mu-law at 8000 Hz: the words, and the tone."""

    words: bytes
    sign: bytes


class Filler:
    """One call's filler. Times are seconds of the call's clock."""

    def __init__(self, audio: FillerAudio) -> None:
        self.played = 0
        """How often a filler was begun."""
        self.is_running = False
        """Whether a filler fills the line now."""
        self.sounds_until = 0.0
        """When the piece given out last has been played."""
        self._audio = audio
        self._say_words = True
        self._next_at = 0.0

    def begin(self, now: float) -> None:
        """Fill from now on; nothing changes while it runs already."""
        if not self.is_running:
            self.is_running = True
            self.played += 1
            self._next_at = max(now, self.sounds_until)

    def stop(self) -> None:
        """Nothing needs filling; what sounds may sound to its end, and the words are not said again."""
        self.is_running = False

    def agent_spoke(self) -> None:
        """The wait is over: the filler was cut, and the next wait may begin with the words."""
        self.is_running = False
        self.sounds_until = 0.0
        self._say_words = True

    def due(self, now: float) -> bytes | None:
        """Return what to play at this beat, if anything."""
        if not self.is_running or now < self._next_at:
            return None
        audio = self._audio.words if self._say_words else self._audio.sign
        self._say_words = False
        self.sounds_until = now + len(audio) / RATE
        self._next_at = self.sounds_until + SIGN_EVERY_S
        return audio
