"""A pipecat pipeline between Twilio and the far engine: the peer, as lean as its settings allow.

    .venv-peers/bin/python -m tests.bench.pipecat_bridge ENGINE_PORT RATE      prints its port

Runs in an environment of its own that has pipecat and nothing of the product. `Pipeline([transport.input(), engine,
transport.output()])` with `FastAPIWebsocketTransport` and `TwilioFrameSerializer`: no observers, metrics, turn tracking
or idle watch, 20 ms output chunks, no silence of its own, and an engine client without queues (`enable_direct_mode`).
RATE is the pipeline's in hertz: at 8000 nothing is resampled and frames go one to one, at 16000 its stream resampler
(soxr VHQ) works in both directions, as it does by default.
"""

import asyncio
import base64
import json
import socket
import sys
from typing import Any

import uvicorn
import uvloop
from loguru import logger  # type: ignore[import-not-found]
from pipecat.frames.frames import CancelFrame, EndFrame, Frame, InputAudioRawFrame, OutputAudioRawFrame, StartFrame  # type: ignore[import-not-found]
from pipecat.pipeline.pipeline import Pipeline  # type: ignore[import-not-found]
from pipecat.pipeline.worker import PipelineParams, PipelineWorker  # type: ignore[import-not-found]
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor  # type: ignore[import-not-found]
from pipecat.serializers.twilio import TwilioFrameSerializer  # type: ignore[import-not-found]
from pipecat.transports.websocket.fastapi import FastAPIWebsocketParams, FastAPIWebsocketTransport  # type: ignore[import-not-found]
from pipecat.workers.runner import WorkerRunner  # type: ignore[import-not-found]
from starlette.applications import Starlette
from starlette.routing import WebSocketRoute
from starlette.websockets import WebSocket
from websockets.asyncio.client import ClientConnection, connect


class Engine(FrameProcessor):  # type: ignore[misc]  # pipecat is not there where types are checked
    """The engine's session: caller audio goes out, agent audio comes in."""

    def __init__(self, socket: ClientConnection, rate: int) -> None:
        super().__init__(enable_direct_mode=True)
        self._socket = socket
        self._rate = rate
        self._reading: asyncio.Task[None] | None = None

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        await super().process_frame(frame, direction)
        if isinstance(frame, InputAudioRawFrame):
            audio = base64.b64encode(frame.audio).decode()
            await self._socket.send(json.dumps({"type": "audio_input", "audio": audio}))
            return
        await self.push_frame(frame, direction)
        if isinstance(frame, StartFrame):
            self._reading = self.create_task(self._read())
        elif isinstance(frame, EndFrame | CancelFrame) and self._reading is not None:
            await self.cancel_task(self._reading)

    async def _read(self) -> None:
        async for message in self._socket:
            event = json.loads(message)
            if event["type"] == "audio_output":
                await self.push_frame(OutputAudioRawFrame(base64.b64decode(event["audio"]), self._rate, 1))


def transport_of(websocket: WebSocket, stream_sid: str) -> FastAPIWebsocketTransport:
    """Return the transport of one call."""
    hang_up = TwilioFrameSerializer.InputParams(auto_hang_up=False)
    return FastAPIWebsocketTransport(
        websocket,
        FastAPIWebsocketParams(
            serializer=TwilioFrameSerializer(stream_sid, params=hang_up),
            audio_in_enabled=True,
            audio_out_enabled=True,
            audio_out_10ms_chunks=2,
            audio_out_auto_silence=False,
        ),
    )


async def bridge(websocket: WebSocket, engine_port: int, rate: int) -> None:
    """Carry one call."""
    await websocket.accept()
    start: dict[str, Any] = {"event": "connected"}
    while start["event"] != "start":
        start = json.loads(await websocket.receive_text())
    async with connect(f"ws://127.0.0.1:{engine_port}/", compression=None, proxy=None) as engine:
        await engine.send(json.dumps({"type": "session_create", "audio": {"input_format": f"pcm_{rate}"}}))
        transport = transport_of(websocket, start["streamSid"])
        worker = PipelineWorker(
            Pipeline([transport.input(), Engine(engine, rate), transport.output()]),
            params=PipelineParams(audio_in_sample_rate=rate, audio_out_sample_rate=rate),
            enable_rtvi=False,
            enable_turn_tracking=False,
            idle_timeout_secs=None,
            check_dangling_tasks=False,
        )

        @transport.event_handler("on_client_disconnected")  # type: ignore[untyped-decorator]  # as above
        async def hung_up(_: FastAPIWebsocketTransport, __: WebSocket) -> None:
            await worker.cancel()

        runner = WorkerRunner(handle_sigint=False, check_dangling_tasks=False)
        await runner.add_workers(worker)
        await runner.run()


async def main(engine_port: int, rate: int) -> None:
    """Serve until the process is ended."""
    logger.remove()
    logger.add(sys.stderr, level="ERROR")

    async def endpoint(websocket: WebSocket) -> None:
        await bridge(websocket, engine_port, rate)

    listener = socket.create_server(("127.0.0.1", 0), backlog=2048)
    listener.setblocking(False)
    app = Starlette(routes=[WebSocketRoute("/ws/cartesia", endpoint)])
    server = uvicorn.Server(uvicorn.Config(app, ws_per_message_deflate=False, log_level="error", lifespan="off"))
    print(listener.getsockname()[1], flush=True)
    await server.serve(sockets=[listener])


if __name__ == "__main__":
    uvloop.run(main(int(sys.argv[1]), int(sys.argv[2])))
