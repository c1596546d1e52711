"""Text to mu-law: an offline voice, brought to the telephone's format and kept for the next time."""

import asyncio
from collections.abc import Callable, Iterable

from archer_bridge.devkit.voices.base import Voice
from archer_codecs import MULAW_8K, Format, plan


class Speaker:
    """A voice on the telephone, opened when it first speaks."""

    def __init__(self, open_voice: Callable[[], Voice]) -> None:
        self._open_voice = open_voice
        self._voice: Voice | None = None
        self._spoken: dict[str, bytes] = {}

    async def prepare(self, lines: Iterable[str]) -> None:
        """Synthesise before the lines are needed, so that pacing never waits for it."""
        for line in lines:
            await self.speak(line)

    async def speak(self, text: str) -> bytes:
        """Return the whole text as mu-law at 8 kHz."""
        if text not in self._spoken:
            self._voice = voice = self._voice or self._open_voice()
            if voice.blocking:
                self._spoken[text] = await asyncio.to_thread(_synthesise, voice, text)
            else:
                self._spoken[text] = _synthesise(voice, text)
        return self._spoken[text]


def _synthesise(voice: Voice, text: str) -> bytes:
    chain = plan(Format("pcm_s16le", voice.rate), MULAW_8K).build()
    parts = [chain.feed(utterance.audio) for utterance in voice.speak(text)]
    return b"".join(parts) + chain.flush()
