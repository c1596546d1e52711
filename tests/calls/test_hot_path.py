"""What one frame there and back costs, counted exactly: calls, tasks, futures, reads and writes.

The real core between the real sockets; only the transports are lists, the clock is a counter, and the frames are made
before. One round trip is a frame of Twilio's that becomes a message to the engine, and one of the engine's that becomes
a message to Twilio. What is not a frame (marks, twice a second) is in the count.
"""

import asyncio
import base64
import itertools
import json
import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from types import FrameType
from typing import Any

import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.routing import WebSocketRoute
from starlette.websockets import WebSocket
from uvicorn.server import ServerState
from websockets.client import ClientProtocol
from websockets.uri import parse_uri

from archer_bridge.adapters import frames
from archer_bridge.adapters.fast_client import FastClientSocket
from archer_bridge.adapters.fast_connection import FastConnection
from archer_bridge.adapters.fast_server import FastProtocol, FastSocket
from archer_bridge.calls import lanes
from archer_bridge.calls.limits import CallLimits
from archer_bridge.calls.line import Line
from archer_bridge.engines.agent import AgentEngine, AgentOptions, Briefing
from archer_bridge.protocols import scan
from archer_bridge.protocols.twilio_media import MediaStream
from archer_codecs import resample
from tests.adapters.test_fast_client import accepted
from tests.support.wire import MemoryTransport, settle, text, upgrade

FRAMES = 1000
BEFORE = 50
"""Frames that are not counted: the first ones of a call are looked at more closely."""
SID = "MZ" + "0" * 32
COMPILED = frames.is_compiled and scan.is_compiled and lanes.is_compiled and resample.is_compiled()
PYTHON_CALLS = {"mulaw_8000": 300, "pcm_16000": 300} if COMPILED else {"mulaw_8000": 27_400, "pcm_16000": 42_400}
"""At most in all, by the engine's format: under one in three round trips where there is a C compiler: the marks'."""
C_CALLS = {"mulaw_8000": 2_300, "pcm_16000": 2_300} if COMPILED else {"mulaw_8000": 38_000, "pcm_16000": 58_000}
"""At most: it differs by the Python version."""


@dataclass
class Listener:
    """Stands for the session, which frames do not concern; only readiness is noted."""

    ready: bool = False

    def engine_ready(self, session_id: str) -> None:
        self.ready = True

    def __getattr__(self, name: str) -> Any:
        raise AssertionError(f"{name} has nothing to do with audio")


class Bridge:
    """One call over two connections without a network."""

    def __init__(self, audio_format: str) -> None:
        self.to_twilio, self.to_engine = MemoryTransport(), MemoryTransport()
        for transport in (self.to_twilio, self.to_engine):
            transport.write = transport.written.append  # type: ignore[method-assign]  # as in a loop in C: no Python call
        self.engine_connection = FastConnection(ClientProtocol(parse_uri("ws://engine/")))
        self.engine = AgentEngine(
            AgentOptions("key", "agent", audio_format=audio_format), self._dial, lambda: Briefing({})
        )
        self.listener = Listener()
        self.line: Line | None = None
        self.before = (0, 0, 0)
        app = Starlette(routes=[WebSocketRoute("/ws", self._endpoint)])
        config = uvicorn.Config(
            app, ws_per_message_deflate=False, ws_ping_interval=None, lifespan="off", log_config=None
        )
        config.load()
        self.twilio_connection = FastProtocol(config, ServerState(), {})

    async def _dial(self, url: str, headers: Any) -> FastClientSocket:
        self.to_engine.attach(self.engine_connection)
        shaking = asyncio.create_task(self.engine_connection.shake_hands({}))
        await settle(3)
        self.engine_connection.data_received(accepted(self.to_engine.data))
        await shaking
        return FastClientSocket(self.engine_connection)

    async def _endpoint(self, websocket: WebSocket) -> None:
        await websocket.accept()
        socket = FastSocket(websocket, self.twilio_connection)
        stream = MediaStream()
        stream.receive(json.dumps(START))
        clock: Callable[[], float] = itertools.count(0.0, 0.010).__next__  # every message comes 10 ms after the last
        self.line = Line(
            stream, socket, self.engine,
            limits=CallLimits(), clock=clock, listener=self.listener, make_recorder=None,
            on_turn=lambda _: None, want_pump=lambda _: None,
        )  # fmt: skip
        async with asyncio.TaskGroup() as group:
            group.create_task(self.engine.run(self.line.core.engine_sink))
            await socket.pump(self.line.core.caller_sink)

    async def open(self) -> None:
        """Get both connections and the session ready; forget what that took."""
        self.to_twilio.attach(self.twilio_connection)
        self.twilio_connection.data_received(upgrade())
        await settle()
        self.from_engine({"type": "session_ready", "call_id": "ac_1"})
        self.from_engine({"type": "turn_started", "turn": 1, "role": "assistant"})
        assert self.listener.ready
        for transport in (self.to_twilio, self.to_engine):
            transport.written.clear()

    def from_engine(self, message: dict[str, Any]) -> None:
        self.engine_connection.data_received(text(json.dumps(message), masked=False))

    def close(self) -> None:
        for transport in (self.to_twilio, self.to_engine):
            transport.lose()


START = {
    "event": "start",
    "streamSid": SID,
    "sequenceNumber": "1",
    "start": {
        "accountSid": "AC0",
        "callSid": "CA0",
        "streamSid": SID,
        "mediaFormat": {"encoding": "audio/x-mulaw", "sampleRate": 8000, "channels": 1},
    },
}


def twilio_frame(number: int) -> bytes:
    media = {
        "track": "inbound",
        "chunk": str(number),
        "timestamp": str(number * 20),
        "payload": base64.b64encode(bytes([number % 256]) * 160).decode(),
    }
    return text(json.dumps({"event": "media", "sequenceNumber": str(number + 2), "media": media, "streamSid": SID}))


def engine_frame(number: int, audio_format: str) -> bytes:
    size = {"mulaw_8000": 160, "pcm_16000": 640}[audio_format]
    audio = base64.b64encode(bytes([number % 256]) * size).decode()
    return text(json.dumps({"type": "audio_output", "audio": audio}), masked=False)


async def measure(audio_format: str) -> tuple[Counter[str], Counter[str], Bridge]:
    """Send the frames through; return how often what happened, and which Python functions were called."""
    loop = asyncio.get_running_loop()
    bridge = Bridge(audio_format)
    await bridge.open()
    assert bridge.line is not None
    up = [twilio_frame(number) for number in range(BEFORE + FRAMES)]
    down = [engine_frame(number, audio_format) for number in range(BEFORE + FRAMES)]
    counts: Counter[str] = Counter()
    functions: Counter[str] = Counter()
    writes = {"twilio": bridge.to_twilio.written, "engine": bridge.to_engine.written}
    read_twilio, read_engine = bridge.twilio_connection.data_received, bridge.engine_connection.data_received

    def profile(frame: FrameType, event: str, arg: object) -> None:
        if event == "call":
            functions[frame.f_code.co_qualname] += 1
        elif event == "c_call" and arg is not sys.setprofile:
            counts["c_calls"] += 1

    make_future = loop.create_future

    def create_future() -> asyncio.Future[Any]:
        counts["futures"] += 1
        return make_future()

    loop.create_future = create_future  # type: ignore[method-assign]
    tasks = len(asyncio.all_tasks())
    for number in range(BEFORE):
        read_twilio(up[number])
        read_engine(down[number])
    for written in writes.values():
        written.clear()
    bridge.before = bridge.line.uplink.frames, bridge.line.downlink.messages, bridge.line.playout.marks_sent
    pairs = list(zip(up[BEFORE:], down[BEFORE:], strict=True))
    sys.setprofile(profile)
    for from_twilio, from_engine in pairs:
        read_twilio(from_twilio)
        read_engine(from_engine)
    sys.setprofile(None)
    loop.create_future = make_future  # type: ignore[method-assign]
    counts["tasks"] = len(asyncio.all_tasks()) - tasks
    counts["python_calls"] = functions.total()
    counts["twilio_writes"], counts["engine_writes"] = len(writes["twilio"]), len(writes["engine"])
    return counts, functions, bridge


@pytest.mark.parametrize("audio_format", ["mulaw_8000", "pcm_16000"])
async def test_a_frame_there_and_back_takes_these_steps(audio_format: str) -> None:
    counts, functions, bridge = await measure(audio_format)
    assert bridge.line is not None
    after = bridge.line.uplink.frames, bridge.line.downlink.messages, bridge.line.playout.marks_sent
    frames_in, messages_out, marks = (now - then for now, then in zip(after, bridge.before, strict=True))
    bridge.close()
    await settle()

    assert (frames_in, messages_out) == (FRAMES, FRAMES)
    assert counts["tasks"] == 0
    assert counts["futures"] == 0
    assert counts["engine_writes"] == FRAMES  # and one read each: four system calls that carry audio
    assert counts["twilio_writes"] == messages_out + marks
    assert counts["python_calls"] <= PYTHON_CALLS[audio_format], functions.most_common()
    assert counts["c_calls"] <= C_CALLS[audio_format]
