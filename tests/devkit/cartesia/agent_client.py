"""A caller on the agent socket, made of a raw WebSocket client, for tests."""

import asyncio
import base64
import contextlib
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from archer_bridge.devkit.cartesia import (
    DEFAULT_API_KEY,
    PRESET_AGENT_ID,
    CartesiaSimulator,
    SimulatorOptions,
    create_simulator,
)
from archer_bridge.devkit.serving import Served, serving
from archer_bridge.devkit.voices import ToneVoice, heard_text
from archer_codecs import MULAW_8K, PCM16_8K, plan
from tests.devkit.cartesia.schema import problems

FRAME_MS = 20
SILENCE = b"\xff"
VERSION = "2026-08-14"
CREATE = {"type": "session_create", "audio": {"input_format": "mulaw_8000"}}


class AgentClient:
    """Sends what it is told and checks every event against the documented schema."""

    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket
        self.events: list[dict[str, Any]] = []

    async def send(self, event: Any) -> None:
        await self.socket.send(event if isinstance(event, str | bytes) else json.dumps(event))

    async def next(self) -> dict[str, Any]:
        event: dict[str, Any] = json.loads(await self.socket.recv())
        assert problems(event) == []
        self.events.append(event)
        return event

    async def until(self, kind: str, **facts: Any) -> dict[str, Any]:
        """Read events up to the first one of this type with these facts."""
        while True:
            event = await self.next()
            if event["type"] == kind and all(event[key] == facts[key] for key in facts):
                return event

    async def closed(self) -> tuple[int | None, str | None]:
        """Read events to the end; return close code and reason."""
        with contextlib.suppress(ConnectionClosed):
            while True:
                await self.next()
        return self.socket.close_code, self.socket.close_reason

    async def start(self, **create: Any) -> dict[str, Any]:
        await self.send({**CREATE, **create})
        return await self.until("session_ready")

    async def speak(self, text: str, *, after_ms: float = 700) -> None:
        """Say `text` in real time, then be silent for `after_ms`."""
        audio = b"".join(utterance.audio for utterance in ToneVoice(speaker="caller").speak(text))
        data = plan(PCM16_8K, MULAW_8K).build().feed(audio)
        await self.play(data + SILENCE * MULAW_8K.bytes_for(after_ms))

    async def play(self, data: bytes) -> None:
        """Send caller audio in 20 ms frames, by absolute deadlines."""
        loop = asyncio.get_running_loop()
        began, size = loop.time(), MULAW_8K.bytes_for(FRAME_MS)
        for at in range(0, len(data), size):
            await asyncio.sleep(began + at / size * FRAME_MS / 1000 - loop.time())
            await self.send({"type": "audio_input", "audio": base64.b64encode(data[at : at + size]).decode()})

    def named(self, kind: str) -> list[dict[str, Any]]:
        return [event for event in self.events if event["type"] == kind]

    def audio(self) -> bytes:
        return b"".join(base64.b64decode(event["audio"]) for event in self.named("audio_output"))

    def heard(self) -> str:
        """What the agent's audio says."""
        return heard_text(plan(MULAW_8K, PCM16_8K).build().feed(self.audio()))


@asynccontextmanager
async def simulator(**options: Any) -> AsyncIterator[tuple[Served, CartesiaSimulator]]:
    """Serve a simulator with the tones voice."""
    app = create_simulator(SimulatorOptions(**{"voice": "tones", **options}))
    async with serving(app) as served:
        yield served, app.state.simulator


@asynccontextmanager
async def agent_client(
    served: Served,
    *,
    agent_id: str = PRESET_AGENT_ID,
    headers: dict[str, str] | None = None,
    query: str = f"?cartesia_version={VERSION}",
) -> AsyncIterator[AgentClient]:
    """Connect to the agent socket; the key goes in X-API-Key unless `headers` say otherwise."""
    url = f"{served.ws_url}/v1/agents/websocket/{agent_id}{query}"
    sent = {"X-API-Key": DEFAULT_API_KEY} if headers is None else headers
    async with connect(
        url, additional_headers=sent, compression=None, ping_interval=None, proxy=None, max_size=2**22
    ) as socket:
        yield AgentClient(socket)
