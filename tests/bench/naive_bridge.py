"""The bridge as it is written first: Starlette, `websockets`, json, base64, audioop, two queues and three tasks a call.

    python -m tests.bench.naive_bridge ENGINE_PORT      prints its port

Kept to be measured beside the product. It converts mu-law to PCM 16 kHz and back (audioop's linear interpolation, which
lets images and aliases through), checks nothing and records nothing.
"""

import asyncio
import base64
import json
import socket
import sys
import warnings

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)
    import audioop

import uvicorn
import uvloop
from starlette.applications import Starlette
from starlette.routing import WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect
from websockets.asyncio.client import connect

ENGINE_PORT = int(sys.argv[1]) if __name__ == "__main__" else 0


async def bridge(websocket: WebSocket) -> None:
    """Carry one call."""
    await websocket.accept()
    to_engine: asyncio.Queue[bytes] = asyncio.Queue()
    to_twilio: asyncio.Queue[bytes] = asyncio.Queue()
    sid = ""
    async with connect(f"ws://127.0.0.1:{ENGINE_PORT}/", compression=None, proxy=None) as engine:
        await engine.send(
            json.dumps({"type": "session_create", "audio": {"input_format": "pcm_16000"}, "dynamic_variables": {}})
        )

        async def send_to_engine() -> None:
            state = None
            while True:
                pcm = audioop.ulaw2lin(await to_engine.get(), 2)
                pcm, state = audioop.ratecv(pcm, 2, 1, 8000, 16000, state)
                await engine.send(json.dumps({"type": "audio_input", "audio": base64.b64encode(pcm).decode()}))

        async def read_engine() -> None:
            state = None
            async for message in engine:
                event = json.loads(message)
                if event["type"] == "audio_output":
                    pcm = base64.b64decode(event["audio"])
                    pcm, state = audioop.ratecv(pcm, 2, 1, 16000, 8000, state)
                    await to_twilio.put(audioop.lin2ulaw(pcm, 2))

        async def send_to_twilio() -> None:
            while True:
                payload = base64.b64encode(await to_twilio.get()).decode()
                await websocket.send_text(
                    json.dumps({"event": "media", "streamSid": sid, "media": {"payload": payload}})
                )

        tasks = [asyncio.create_task(step()) for step in (send_to_engine, read_engine, send_to_twilio)]
        try:
            while True:
                event = json.loads(await websocket.receive_text())
                if event["event"] == "start":
                    sid = event["streamSid"]
                elif event["event"] == "media":
                    await to_engine.put(base64.b64decode(event["media"]["payload"]))
        except WebSocketDisconnect:
            pass  # the caller hung up
        finally:
            for task in tasks:
                task.cancel()


async def main() -> None:
    """Serve until the process is ended."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=2048)
    listener.setblocking(False)
    app = Starlette(routes=[WebSocketRoute("/ws/cartesia", bridge)])
    server = uvicorn.Server(uvicorn.Config(app, ws_per_message_deflate=False, log_level="error", lifespan="off"))
    print(listener.getsockname()[1], flush=True)
    await server.serve(sockets=[listener])


if __name__ == "__main__":
    uvloop.run(main())
