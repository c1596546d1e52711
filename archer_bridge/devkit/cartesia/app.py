"""The simulator as one ASGI application."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket

from archer_bridge.devkit.cartesia.agent_socket import agent_endpoint
from archer_bridge.devkit.cartesia.auth import ApiError
from archer_bridge.devkit.cartesia.options import SimulatorOptions
from archer_bridge.devkit.cartesia.rest import ROUTES
from archer_bridge.devkit.cartesia.simulator import CartesiaSimulator
from archer_bridge.devkit.cartesia.stt import manual_endpoint, turns_endpoint
from archer_bridge.devkit.cartesia.tts import tts_bytes, tts_endpoint


def create_simulator(options: SimulatorOptions | None = None) -> Starlette:
    """Make the application; its handle is `app.state.simulator`.

    The voice is opened in the lifespan. Serve it with `devkit.serving.serving`: resets and denials need it.
    """
    simulator = CartesiaSimulator(options or SimulatorOptions())

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        await simulator.open_voice()
        yield

    app = Starlette(
        routes=[
            *ROUTES,
            Route("/tts/bytes", tts_bytes, methods=["POST"]),
            WebSocketRoute("/v1/agents/websocket/{agent_id}", agent_endpoint),
            WebSocketRoute("/stt/turns/websocket", turns_endpoint),
            WebSocketRoute("/stt/websocket", manual_endpoint),
            WebSocketRoute("/tts/websocket", tts_endpoint),
            WebSocketRoute("/{path:path}", _no_such_socket),
        ],
        exception_handlers={ApiError: _refuse, HTTPException: _refuse_plainly},
        lifespan=lifespan,
    )
    app.state.simulator = simulator
    return app


def _refuse(request: Request, error: Exception) -> Response:
    assert isinstance(error, ApiError)
    return error.response(request)


def _refuse_plainly(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return ApiError(error.status_code, error.detail).response(request)


async def _no_such_socket(websocket: WebSocket) -> None:
    refusal = ApiError(404, f"no WebSocket at {websocket.url.path}")
    await websocket.send_denial_response(refusal.response(websocket))
