"""The filler's audio: in the agent's voice where one can be had, else tones only. Fetched once, kept on disk.

Nobody waits for it: calls have tones until the words are there.
"""

import asyncio
import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import structlog

from archer_bridge.adapters.cartesia_rest import CartesiaApiError, CartesiaRest
from archer_bridge.calls.filler import FillerAudio
from archer_codecs import MULAW_8K, PCM16_8K, plan

log = structlog.get_logger(__name__)

WORDS = "One moment, please."
MODEL = "sonic-3.6"
FOLDER = Path("var/fillers")
RATE = 8000
SHORTEST, LONGEST = RATE // 4, RATE * 5
"""Bytes; anything else is not these few words."""
RETRIES_S = (30.0, 300.0)
"""Pauses before the vendor is asked again."""


def sign_of_life() -> bytes:
    """Return two soft falling notes, 240 ms at about -30 dBFS, as mu-law: heard, but not mistaken for speech."""
    notes = [_note(frequency) for frequency in (660.0, 550.0)]
    samples = np.concatenate(notes)
    chain = plan(PCM16_8K, MULAW_8K).build()
    return chain.feed(samples.astype("<i2").tobytes()) + chain.flush()


def _note(frequency: float) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    time = np.arange(RATE * 120 // 1000) / RATE
    fade = np.sin(np.pi * np.arange(time.size) / time.size)
    note: np.ndarray[tuple[int], np.dtype[np.float64]] = np.rint(1400 * fade * np.sin(2 * np.pi * frequency * time))
    return note


class FillerShelf:
    """What calls take their filler from; `audio` gets its words once `load` has found them."""

    def __init__(
        self,
        rest: CartesiaRest | None,
        voice_id: str,
        *,
        folder: Path = FOLDER,
        retries_s: Sequence[float] = RETRIES_S,
    ) -> None:
        sign = sign_of_life()
        self.audio = FillerAudio(sign, sign)
        self._rest = rest
        self._voice_id = voice_id
        self._folder = folder
        self._retries_s = retries_s

    async def load(self) -> None:
        """Get the words, from disk or from the vendor; without a voice, or when that fails, tones say it all."""
        if self._rest is None or not self._voice_id:
            return
        name = hashlib.sha256(f"{MODEL}|{self._voice_id}|{WORDS}".encode()).hexdigest()[:16]
        path = self._folder / f"{name}.ulaw"
        words = await asyncio.to_thread(_kept, path)
        if words is None:
            words = await self._fetch(self._rest)
            if words is None:
                return
            await asyncio.to_thread(_keep, path, words)
        self.audio = FillerAudio(words, self.audio.sign)
        log.info("filler_words_ready", ms=len(words) * 1000 // RATE)

    async def _fetch(self, rest: CartesiaRest) -> bytes | None:
        for pause_s in (0.0, *self._retries_s):
            await asyncio.sleep(pause_s)
            try:
                async with rest:
                    words = await rest.speak(WORDS, voice_id=self._voice_id, model_id=MODEL)
            except CartesiaApiError as error:
                log.warning("filler_words_missing", error=str(error), note="tones only")
                continue
            if SHORTEST <= len(words) <= LONGEST:
                return words
            log.warning("filler_words_missing", error=f"{len(words)} bytes of audio", note="tones only")
        return None


def _kept(path: Path) -> bytes | None:
    try:
        words = path.read_bytes()
    except OSError:
        return None
    return words if SHORTEST <= len(words) <= LONGEST else None


def _keep(path: Path, audio: bytes) -> None:
    """Keep the words for the next start; without, they are fetched again."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_suffix(".part")
        part.write_bytes(audio)
        part.replace(path)
    except OSError as error:
        log.warning("filler_words_not_kept", path=str(path), error=str(error))
