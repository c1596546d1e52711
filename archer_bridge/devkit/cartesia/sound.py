"""Sound in and out of the simulator: wire formats, a voice off the event loop, an ear off the event loop."""

import asyncio
from collections.abc import AsyncIterator, Mapping

import numpy as np

from archer_bridge.devkit.voices import Ear, EarEvent, Utterance, Voice
from archer_codecs import (
    ALAW_8K,
    MULAW_8K,
    PCM16_8K,
    PCM16_16K,
    PCM16_24K,
    PCM16_44K1,
    CodecError,
    Format,
    plan,
)

AGENT_FORMATS: Mapping[str, Format] = {
    "mulaw_8000": MULAW_8K,
    "pcm_16000": PCM16_16K,
    "pcm_24000": PCM16_24K,
    "pcm_44100": PCM16_44K1,
}
"""The agent socket's `input_format` values."""

_WIDE = {"pcm_s32le": "<i4", "pcm_f16le": "<f2", "pcm_f32le": "<f4"}
_NARROW = {"pcm_s16le": PCM16_8K, "pcm_mulaw": MULAW_8K, "pcm_alaw": ALAW_8K}
STT_ENCODINGS = (*_NARROW, *_WIDE)
TTS_ENCODINGS = (*_NARROW, "pcm_f32le")


class Decoder:
    """Turns audio of any STT encoding into int16 mono at 8 kHz; pieces may be cut anywhere.

    Raises:
        CodecError: no way from this rate to 8 kHz.
    """

    def __init__(self, encoding: str, rate: int) -> None:
        self._wide = np.dtype(_WIDE[encoding]) if encoding in _WIDE else None
        narrow = _NARROW.get(encoding, PCM16_8K)
        self._chain = plan(Format(narrow.encoding, rate), PCM16_8K).build()
        self._rest = b""

    def feed(self, data: bytes) -> bytes:
        """Return what can be decoded so far."""
        return self._chain.feed(self._narrowed(data))

    def flush(self) -> bytes:
        """Return what the filters still hold; the decoder is spent."""
        return self._chain.flush()

    def _narrowed(self, data: bytes) -> bytes:
        if self._wide is None:
            return data
        data = self._rest + data
        whole = len(data) - len(data) % self._wide.itemsize
        self._rest = data[whole:]
        samples = np.frombuffer(data[:whole], self._wide).astype(np.float64)
        scale = 1 / 65536 if self._wide.kind == "i" else 32767.0
        with np.errstate(all="ignore"):  # a float may be infinite, or no number at all
            scaled = np.nan_to_num(samples * scale)
        return np.clip(np.rint(scaled), -32768, 32767).astype("<i2").tobytes()


class Encoder:
    """Turns int16 mono at `voice_rate` into any TTS encoding.

    Raises:
        CodecError: no way between the rates.
    """

    def __init__(self, voice_rate: int, encoding: str, rate: int) -> None:
        self._as_float = encoding == "pcm_f32le"
        narrow = _NARROW.get(encoding, PCM16_8K)
        self._chain = plan(Format(PCM16_8K.encoding, voice_rate), Format(narrow.encoding, rate)).build()

    def feed(self, audio: bytes) -> bytes:
        """Return what can be encoded so far."""
        return self._widened(self._chain.feed(audio))

    def flush(self) -> bytes:
        """Return what the filters still hold; the encoder is spent."""
        return self._widened(self._chain.flush())

    def _widened(self, audio: bytes) -> bytes:
        if not self._as_float:
            return audio
        return (np.frombuffer(audio, "<i2") / np.float32(32768)).astype("<f4").tobytes()


def can_decode(encoding: str, rate: int) -> bool:
    """Whether sound of this STT encoding and rate can be heard."""
    try:
        Decoder(encoding, rate)
    except (CodecError, ValueError):
        return False
    return True


async def utterances(voice: Voice, text: str) -> AsyncIterator[Utterance]:
    """Speak `text`; a blocking voice computes in a worker thread, one sentence at a time."""
    sentences = iter(voice.speak(text))
    while True:
        if voice.blocking:
            utterance = await asyncio.to_thread(next, sentences, None)
        else:
            utterance = next(sentences, None)
        if utterance is None:
            return
        yield utterance


class Listener:
    """Feeds an ear what comes off the wire; a blocking ear computes in a worker thread."""

    def __init__(self, ear: Ear, encoding: str, rate: int) -> None:
        self._ear = ear
        self._source = (encoding, rate)
        self._decoder = Decoder(encoding, rate)
        self._fed_bytes = 0

    @property
    def fed_ms(self) -> float:
        """How much audio the ear has got, in milliseconds: the clock of its events."""
        return PCM16_8K.ms_for(self._fed_bytes)

    async def feed(self, data: bytes) -> list[EarEvent]:
        """Listen to audio in the source encoding."""
        return await self._hear(self._decoder.feed(data))

    async def flush(self) -> list[EarEvent]:
        """Close an open utterance; more audio may follow."""
        events = await self._hear(self._decoder.flush())
        self._decoder = Decoder(*self._source)
        if self._ear.blocking:
            return events + await asyncio.to_thread(self._ear.flush)
        return events + self._ear.flush()

    async def _hear(self, audio: bytes) -> list[EarEvent]:
        if not audio:
            return []
        self._fed_bytes += len(audio)
        if self._ear.blocking:
            return await asyncio.to_thread(self._ear.feed, audio)
        return self._ear.feed(audio)
