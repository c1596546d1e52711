"""`/tts/websocket` and `POST /tts/bytes`.

https://docs.cartesia.ai/api-reference/tts/websocket
"""

import asyncio
import json
import struct
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.websockets import WebSocket

from archer_bridge.devkit.cartesia.auth import VERSIONS, ApiError
from archer_bridge.devkit.cartesia.frames import (
    SessionOver,
    accept_or_refuse,
    close_socket,
    receive_frame,
    send_json,
)
from archer_bridge.devkit.cartesia.simulator import CartesiaSimulator
from archer_bridge.devkit.cartesia.sound import utterances
from archer_bridge.devkit.cartesia.stt import IDLE_REASON
from archer_bridge.devkit.cartesia.tts_context import SpeechContext
from archer_bridge.devkit.cartesia.tts_request import SpeechSettings, read_request, read_settings, read_transcript

# RIFF format tags (mmreg.h) and bytes a sample
_WAVE_TAGS = {"pcm_s16le": (1, 2), "pcm_f32le": (3, 4), "pcm_alaw": (6, 1), "pcm_mulaw": (7, 1)}


async def tts_endpoint(websocket: WebSocket) -> None:
    """Serve one text-to-speech socket."""
    simulator: CartesiaSimulator = websocket.app.state.simulator
    if await accept_or_refuse(websocket, simulator.gate, grant="tts", versions=VERSIONS) is None:
        return
    try:
        async with asyncio.TaskGroup() as group:
            await _SpeechSocket(websocket, simulator, group).run()
    except* SessionOver:
        pass  # either side closed: that is how a socket ends


async def tts_bytes(request: Request) -> Response:
    """`POST /tts/bytes`: all the audio in one answer, raw or WAV."""
    simulator: CartesiaSimulator = request.app.state.simulator
    simulator.gate.admit(request, grant="tts", versions=VERSIONS)
    try:
        body = await request.json()
    except ValueError as problem:
        raise ApiError(400, f"the body is not JSON: {problem}") from problem
    if not isinstance(body, dict):
        raise ApiError(400, "the body must be a JSON object")
    settings = read_settings(body, containers=("raw", "wav"))
    encoder = settings.encoder(simulator.voice.rate)
    data = bytearray()
    async for utterance in utterances(simulator.voice, read_transcript(body)):
        data += encoder.feed(utterance.audio)
    data += encoder.flush()
    if body["output_format"]["container"] == "wav":
        return Response(_wave_header(settings, len(data)) + bytes(data), media_type="audio/wav")
    return Response(bytes(data), media_type="application/octet-stream")


def _wave_header(settings: SpeechSettings, size: int) -> bytes:
    tag, width = _WAVE_TAGS[settings.encoding]
    rate = settings.rate
    fmt = struct.pack("<4sIHHIIHH", b"fmt ", 16, tag, 1, rate, rate * width, width, 8 * width)
    return struct.pack("<4sI4s", b"RIFF", 4 + len(fmt) + 8 + size, b"WAVE") + fmt + struct.pack("<4sI", b"data", size)


class _SpeechSocket:
    """One socket with its contexts; an id may be used for one context only."""

    def __init__(self, websocket: WebSocket, simulator: CartesiaSimulator, group: asyncio.TaskGroup) -> None:
        self._websocket = websocket
        self._simulator = simulator
        self._group = group
        self._active: dict[str, SpeechContext] = {}
        self._ended: set[str] = set()
        self._active_at = asyncio.get_running_loop().time()

    async def run(self) -> None:
        """Read requests until the socket ends.

        Raises:
            SessionOver: always.
        """
        idle_s = self._simulator.options.tts_idle_s
        while True:
            try:
                async with asyncio.timeout_at(self._active_at + idle_s):
                    frame = await receive_frame(self._websocket)
            except TimeoutError:
                if self._active or asyncio.get_running_loop().time() < self._active_at + idle_s:
                    self._touch()
                    continue
                await close_socket(self._websocket, 1000, IDLE_REASON)
                raise SessionOver("server", 1000, IDLE_REASON) from None
            self._touch()
            await self._take(frame)

    async def _take(self, frame: str | bytes) -> None:
        context_id: str | None = None
        try:
            body = _read_json(frame)
            context_id = body.get("context_id")
            if not isinstance(context_id, str) or not context_id:
                context_id = None
                raise ApiError(400, "context_id is required")
            if body.get("cancel"):
                self._cancel(context_id)
            else:
                self._generate(context_id, body)
        except ApiError as refusal:
            await self._error(refusal, context_id)

    def _generate(self, context_id: str, body: dict[str, Any]) -> None:
        request = read_request(body)
        context = self._active.get(context_id)
        if context is not None:
            context.push(request)
            return
        if context_id in self._ended:
            raise ApiError(400, f"context {context_id!r} has ended; use a new one")
        limit = self._simulator.options.tts_concurrency
        if limit is not None and len(self._active) >= limit:
            raise ApiError(429, f"{limit} contexts are active, which is the limit")
        context = SpeechContext(
            context_id,
            request,
            voice=self._simulator.voice,
            options=self._simulator.options,
            send=self._send,
        )
        self._active[context_id] = context
        self._group.create_task(self._run(context_id, context), name=f"tts-{context_id}")

    def _cancel(self, context_id: str) -> None:
        if context_id in self._active:
            self._active[context_id].cancel()

    async def _run(self, context_id: str, context: SpeechContext) -> None:
        try:
            await context.run()
        finally:
            del self._active[context_id]
            self._ended.add(context_id)

    async def _send(self, event: dict[str, Any]) -> None:
        self._touch()
        await send_json(self._websocket, event)

    async def _error(self, refusal: ApiError, context_id: str | None) -> None:
        known = {} if context_id is None else {"context_id": context_id}
        event = {"type": "error", "done": True, "status_code": refusal.status, **refusal.fields(), **known}
        await self._send(event)

    def _touch(self) -> None:
        self._active_at = asyncio.get_running_loop().time()


def _read_json(frame: str | bytes) -> dict[str, Any]:
    if isinstance(frame, bytes):
        raise ApiError(400, "expected a JSON text frame, got a binary frame")
    try:
        body = json.loads(frame)
    except ValueError as problem:
        raise ApiError(400, f"the frame is not JSON: {problem}") from problem
    if not isinstance(body, dict):
        raise ApiError(400, "the frame must be a JSON object")
    return body
