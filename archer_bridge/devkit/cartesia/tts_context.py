"""One context of a text-to-speech socket: text in, chunks of audio out, in order.

Theory of operation. `push` turns requests into jobs: text to generate, a flush to acknowledge, or the end.
Text waits in a buffer until a sentence is complete, the buffer delay has passed, a flush comes, or no more
input follows; with a delay of zero it is generated as it comes. The worker does the jobs one by one and
sends what they produce faster than real time. Cancelling drops the jobs that have not begun. A context
ends after its last job, or a while after its last audio when no new job comes.

https://docs.cartesia.ai/use-the-api/tts-websocket/contexts
"""

import asyncio
import base64
import re
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from archer_bridge.devkit.cartesia.auth import ApiError
from archer_bridge.devkit.cartesia.options import SimulatorOptions
from archer_bridge.devkit.cartesia.sound import utterances
from archer_bridge.devkit.cartesia.tts_request import GenerationRequest
from archer_bridge.devkit.voices import Utterance, Voice

Send = Callable[[dict[str, Any]], Awaitable[None]]

_PARTIAL = 206
_CHUNK_MS = 100.0
_SENTENCES = re.compile(r".*[.!?](?=\s)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class _Generate:
    text: str
    flush_id: int | None = None


@dataclass(frozen=True, slots=True)
class _FlushDone:
    flush_id: int


@dataclass(frozen=True, slots=True)
class _End:
    pass


class SpeechContext:
    """Made with its first request; `run` in a task, `push` and `cancel` from the reader."""

    def __init__(
        self, context_id: str, first: GenerationRequest, *, voice: Voice, options: SimulatorOptions, send: Send
    ) -> None:
        self._id = context_id
        self._first = first
        self._encoder = first.settings.encoder(voice.rate)
        self._voice = voice
        self._options = options
        self._send = send
        self._jobs: deque[_Generate | _FlushDone | _End] = deque()
        self._changed = asyncio.Event()
        self._buffer = ""
        self._buffered_at = 0.0
        self._last_audio_at: float | None = None
        self._flushes = 0
        self._audio_s = 0.0
        self._closed = False
        self.push(first)

    def push(self, request: GenerationRequest) -> None:
        """Take one more request.

        Raises:
            ApiError: 400, no more input may follow, or a setting differs from the first request's.
        """
        if self._closed:
            raise ApiError(400, f"context {self._id!r} takes no more input")
        if request.settings != self._first.settings:
            raise ApiError(400, f"context {self._id!r} was started with other settings: {self._first.settings}")
        if not self._buffer:
            self._buffered_at = asyncio.get_running_loop().time()
        self._buffer += request.transcript
        if not request.more_follows:
            self._release(len(self._buffer))
            self._finish()
        elif request.flush:
            self._flushes += 1
            self._release(len(self._buffer), flush_id=self._flushes)
            self._jobs.append(_FlushDone(self._flushes))
        elif self._first.buffer_delay_s == 0:
            self._release(len(self._buffer))
        elif sentences := _SENTENCES.match(self._buffer):
            self._release(sentences.end())
        self._changed.set()

    def cancel(self) -> None:
        """Drop what has not begun; what is being generated is sent to its end."""
        self._buffer = ""
        self._jobs.clear()
        self._finish()

    async def run(self) -> None:
        """Do the jobs until the context ends, then say so.

        Raises:
            SessionOver: the client is gone.
        """
        while True:
            match await self._next_job():
                case _Generate(text=text, flush_id=flush_id):
                    await self._generate(text, flush_id)
                case _FlushDone(flush_id=flush_id):
                    await self._event("flush_done", flush_id=flush_id, flush_done=True)
                case _End():
                    break
        tail = self._encoder.flush()
        if tail:
            await self._chunk(tail, None)
        await self._event("done", done=True)

    def _finish(self) -> None:
        self._closed = True
        self._jobs.append(_End())
        self._changed.set()

    def _release(self, length: int, *, flush_id: int | None = None) -> None:
        text, self._buffer = self._buffer[:length], self._buffer[length:]
        if text.strip():
            self._jobs.append(_Generate(text, flush_id))

    async def _next_job(self) -> "_Generate | _FlushDone | _End":
        while not self._jobs:
            self._changed.clear()
            due = self._next_due()
            try:
                async with asyncio.timeout_at(due):
                    await self._changed.wait()
            except TimeoutError:
                if self._buffer:
                    self._release(len(self._buffer))
                    self._buffer = ""
                else:
                    self._finish()
        return self._jobs.popleft()

    def _next_due(self) -> float | None:
        """When buffered text must be generated, or the context expires; None is never."""
        if self._buffer:
            return self._buffered_at + self._first.buffer_delay_s
        if self._last_audio_at is not None:
            return self._last_audio_at + self._options.tts_context_expiry_s
        return None

    async def _generate(self, text: str, flush_id: int | None) -> None:
        loop = asyncio.get_running_loop()
        began, began_audio_s = loop.time(), self._audio_s
        async for utterance in utterances(self._voice, text):
            if self._first.timestamps:
                await self._timestamps(utterance, flush_id)
            step = int(_CHUNK_MS * utterance.rate / 1000) * 2
            for at in range(0, len(utterance.audio), step):
                audio = utterance.audio[at : at + step]
                self._audio_s += len(audio) / 2 / utterance.rate
                due = began + (self._audio_s - began_audio_s) / self._options.tts_speed
                await asyncio.sleep(max(0.0, due - loop.time()))
                data = self._encoder.feed(audio)
                if data:
                    await self._chunk(data, flush_id)

    async def _chunk(self, data: bytes, flush_id: int | None) -> None:
        fields: dict[str, Any] = {} if flush_id is None else {"flush_id": flush_id}
        encoded = base64.b64encode(data).decode()
        await self._event("chunk", data=encoded, step_time=_CHUNK_MS / self._options.tts_speed, **fields)
        self._last_audio_at = asyncio.get_running_loop().time()

    async def _timestamps(self, utterance: Utterance, flush_id: int | None) -> None:
        words = {
            "words": [word.text for word in utterance.words],
            "start": [round(self._audio_s + word.start_ms / 1000, 4) for word in utterance.words],
            "end": [round(self._audio_s + word.end_ms / 1000, 4) for word in utterance.words],
        }
        fields: dict[str, Any] = {} if flush_id is None else {"flush_id": flush_id}
        await self._event("timestamps", word_timestamps=words, **fields)

    async def _event(self, kind: str, *, done: bool = False, **fields: Any) -> None:
        await self._send({"type": kind, "context_id": self._id, "done": done, "status_code": _PARTIAL, **fields})
