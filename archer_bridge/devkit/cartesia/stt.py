"""The two speech-to-text sockets: `/stt/turns/websocket` and `/stt/websocket`.

https://docs.cartesia.ai/use-the-api/stt/turns and https://docs.cartesia.ai/api-reference/stt/websocket
"""

import asyncio
import json
from dataclasses import dataclass
from typing import Any

from starlette.datastructures import QueryParams
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
from archer_bridge.devkit.cartesia.sound import STT_ENCODINGS, Listener, can_decode
from archer_bridge.devkit.cartesia.stt_settings import check_turn_settings, query_turn_settings
from archer_bridge.devkit.voices import EarEvent, Heard, Partial, SpeechStarted

TURN_MODELS = ("ink-2", "ink-preview")
MANUAL_MODELS = ("ink-2", "ink-preview", "ink-whisper")
IDLE_REASON = "connection idle timeout"
_MAX_KEYTERMS, _MAX_KEYTERM_CHARS = 100, 1200


async def turns_endpoint(websocket: WebSocket) -> None:
    """Serve one `/stt/turns/websocket`."""
    simulator: CartesiaSimulator = websocket.app.state.simulator
    request_id = await accept_or_refuse(websocket, simulator.gate, grant="stt", versions=VERSIONS)
    if request_id is None:
        return
    wire = _Wire(websocket, request_id)
    try:
        listener = await _listener(simulator, websocket.query_params, TURN_MODELS)
        settings = check_turn_settings(query_turn_settings(websocket.query_params), {})
        await wire.send({"type": "connected"})
        await _TurnSession(wire, listener, settings, eager_end=simulator.options.stt_eager_end).run()
    except ApiError as refusal:
        await wire.refuse(refusal)
    except SessionOver:
        return


async def manual_endpoint(websocket: WebSocket) -> None:
    """Serve one `/stt/websocket`."""
    simulator: CartesiaSimulator = websocket.app.state.simulator
    request_id = await accept_or_refuse(websocket, simulator.gate, grant="stt", versions=VERSIONS)
    if request_id is None:
        return
    wire = _Wire(websocket, request_id)
    try:
        listener = await _listener(simulator, websocket.query_params, MANUAL_MODELS)
        await _ManualSession(wire, listener, simulator.options.stt_idle_s).run()
    except ApiError as refusal:
        await wire.refuse(refusal)
    except SessionOver:
        return


async def _listener(simulator: CartesiaSimulator, query: QueryParams, models: tuple[str, ...]) -> Listener:
    model, encoding, rate = query.get("model"), query.get("encoding"), query.get("sample_rate", "")
    if model not in models:
        raise ApiError(400, f"model must be one of {', '.join(models)}, not {model!r}", error_code="model_not_found")
    if encoding not in STT_ENCODINGS:
        raise _bad_format(f"encoding must be one of {', '.join(STT_ENCODINGS)}, not {encoding!r}")
    if not rate.isdecimal() or not can_decode(encoding, int(rate)):
        raise _bad_format(f"sample_rate {rate!r} is not one the simulator can hear")
    terms = query.getlist("keyterm")
    if len(terms) > _MAX_KEYTERMS or sum(map(len, terms)) > _MAX_KEYTERM_CHARS:
        raise ApiError(400, f"at most {_MAX_KEYTERMS} keyterms of {_MAX_KEYTERM_CHARS} characters together")
    return await simulator.open_listener(encoding, int(rate))


def _bad_format(message: str) -> ApiError:
    return ApiError(400, message, error_code="unsupported_audio_format")


@dataclass(slots=True)
class _Wire:
    """A socket on which every event carries the connection's request id."""

    websocket: WebSocket
    request_id: str

    async def send(self, event: dict[str, Any]) -> None:
        await send_json(self.websocket, {**event, "request_id": self.request_id})

    async def receive(self) -> str | bytes:
        return await receive_frame(self.websocket)

    async def refuse(self, refusal: ApiError) -> None:
        """Say what is wrong, after the upgrade, and close."""
        try:
            await self.error(refusal)
        except SessionOver:
            return
        await close_socket(self.websocket, 1008, refusal.title)

    async def error(self, refusal: ApiError) -> None:
        await self.send({"type": "error", "status_code": refusal.status, **refusal.fields()})


@dataclass(slots=True)
class _TurnSession:
    wire: _Wire
    listener: Listener
    settings: dict[str, float]
    eager_end: bool
    is_open: bool = False
    sent_text: str = ""

    async def run(self) -> None:
        while True:
            frame = await self.wire.receive()
            if isinstance(frame, bytes):
                await self._hear(await self.listener.feed(frame))
            elif await self._obey(frame):
                await close_socket(self.wire.websocket, 1000)
                return

    async def _obey(self, text: str) -> bool:
        """Carry out a text command; True for close."""
        try:
            command = json.loads(text)
        except ValueError as problem:
            await self.wire.error(ApiError(400, f"a text frame must be JSON: {problem}"))
            return False
        match command:
            case {"type": "close"}:
                await self._hear(await self.listener.flush())
                return True
            case {"type": "config", "turn": dict(turn)}:
                try:
                    self.settings = check_turn_settings(turn, self.settings)
                except ApiError as refusal:
                    await self.wire.error(refusal)
            case {"type": "config"}:
                pass  # a config that changes nothing
            case _:
                await self.wire.error(ApiError(400, "a command must be of type config or close"))
        return False

    async def _hear(self, events: list[EarEvent]) -> None:
        for event in events:
            if not self.is_open:
                self.is_open, self.sent_text = True, ""
                await self.wire.send({"type": "turn.start"})
            match event:
                case SpeechStarted():
                    pass  # it opened the turn
                case Partial(text=text):
                    await self._update(text)
                case Heard(text=text):
                    await self._end(text)

    async def _update(self, text: str) -> None:
        # transcripts are cumulative and never revised: a partial that corrects an earlier one is not sent
        if text != self.sent_text and text.startswith(self.sent_text):
            self.sent_text = text
            await self.wire.send({"type": "turn.update", "transcript": text})

    async def _end(self, text: str) -> None:
        self.is_open = False
        if text and self.eager_end:
            await self.wire.send({"type": "turn.eager_end", "transcript": text})
        await self.wire.send({"type": "turn.end", "transcript": text})


@dataclass(slots=True)
class _ManualSession:
    wire: _Wire
    listener: Listener
    idle_s: float
    has_final: bool = False

    async def run(self) -> None:
        while True:
            try:
                async with asyncio.timeout(self.idle_s):
                    frame = await self.wire.receive()
            except TimeoutError:
                await close_socket(self.wire.websocket, 1000, IDLE_REASON)
                return
            if isinstance(frame, bytes):
                await self._hear(await self.listener.feed(frame))
            elif await self._obey(frame.strip()):
                await close_socket(self.wire.websocket, 1000)
                return

    async def _obey(self, command: str) -> bool:
        match command:
            case "finalize":
                await self._hear(await self.listener.flush())
                await self.wire.send({"type": "flush_done"})
            case "close" | "done":  # "done" is the older word for it
                await self._hear(await self.listener.flush())
                await self.wire.send({"type": "done"})
                return True
            case _:
                await self.wire.error(ApiError(400, f"a text frame must be finalize or close, not {command[:40]!r}"))
        return False

    async def _hear(self, events: list[EarEvent]) -> None:
        for event in events:
            if isinstance(event, Heard) and event.text:
                text = f" {event.text}" if self.has_final else event.text
                self.has_final = True
                await self._transcript(text, is_final=True, duration_s=(event.end_ms - event.start_ms) / 1000)
            elif isinstance(event, Partial) and event.text:
                text = f" {event.text}" if self.has_final else event.text
                await self._transcript(text, is_final=False, duration_s=None)

    async def _transcript(self, text: str, *, is_final: bool, duration_s: float | None) -> None:
        event: dict[str, Any] = {"type": "transcript", "is_final": is_final, "text": text, "language": "en"}
        if duration_s is not None:
            event["duration"] = round(duration_s, 3)
        await self.wire.send(event)
