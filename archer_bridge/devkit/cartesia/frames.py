"""WebSocket frames of a simulated socket: receive, send, close, and how a session ends."""

import json
import uuid
from collections.abc import Collection, Mapping
from typing import Any

from starlette.websockets import WebSocket, WebSocketDisconnect

from archer_bridge.devkit.cartesia.auth import ApiError, Gate

_MAX_REASON = 123  # RFC 6455 section 5.5: 125 bytes of payload, two of them the code


class SessionOver(Exception):
    """Ends every task of a session; `by` is "client" or "server"."""

    def __init__(self, by: str, code: int, reason: str = "") -> None:
        super().__init__(by, code, reason)
        self.by = by
        self.code = code
        self.reason = reason


async def accept_or_refuse(websocket: WebSocket, gate: Gate, *, grant: str, versions: Collection[str]) -> str | None:
    """Accept the upgrade and return its request id, or refuse it with an HTTP status and return None."""
    try:
        gate.admit(websocket, grant=grant, versions=versions)
    except ApiError as refusal:
        await websocket.send_denial_response(refusal.response(websocket))
        return None
    request_id = str(uuid.uuid4())
    await websocket.accept(headers=[(b"x-request-id", request_id.encode())])
    return request_id


async def receive_frame(websocket: WebSocket) -> str | bytes:
    """Return the client's next frame.

    Raises:
        SessionOver: the client is gone.
    """
    try:
        message = await websocket.receive()
    except (WebSocketDisconnect, RuntimeError) as gone:  # Starlette raises RuntimeError once disconnected
        raise SessionOver("client", 1006) from gone
    if message["type"] == "websocket.disconnect":
        code = message.get("code") or 1005
        # 1012 is how `serving` ends the sockets that are open when it stops
        raise SessionOver("server" if code == 1012 else "client", code, message.get("reason") or "")
    text: str | None = message.get("text")
    return text if text is not None else message["bytes"]


async def send_frame(websocket: WebSocket, frame: str | bytes) -> None:
    """Send a text or binary frame.

    Raises:
        SessionOver: the client is gone.
    """
    try:
        if isinstance(frame, str):
            await websocket.send_text(frame)
        else:
            await websocket.send_bytes(frame)
    except (WebSocketDisconnect, RuntimeError, OSError) as gone:
        raise SessionOver("client", 1006) from gone


async def send_json(websocket: WebSocket, event: Mapping[str, Any]) -> None:
    """Send an event as a text frame.

    Raises:
        SessionOver: the client is gone.
    """
    await send_frame(websocket, json.dumps(event, separators=(",", ":"), ensure_ascii=False))


async def close_socket(websocket: WebSocket, code: int, reason: str = "") -> None:
    """Send a close frame; a reason longer than 123 bytes is cut."""
    cut = reason.encode()[:_MAX_REASON].decode(errors="ignore")
    try:
        await websocket.close(code, cut)
    except (WebSocketDisconnect, RuntimeError, OSError):
        return  # the client closed first: it is closed, which is what was asked for
