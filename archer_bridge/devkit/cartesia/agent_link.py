"""One accepted agent socket: sends events through the faults, reads events, closes."""

import asyncio
import base64
import json
from collections.abc import Mapping
from typing import Any, NoReturn

from starlette.websockets import WebSocket

from archer_bridge.devkit.cartesia.events import Counters
from archer_bridge.devkit.cartesia.faults import Faults
from archer_bridge.devkit.cartesia.frames import SessionOver, close_socket, receive_frame, send_frame
from archer_bridge.devkit.cartesia.options import SimulatorOptions
from archer_bridge.devkit.serving import connection_reset


class AgentLink:
    """The socket as a session sees it.

    A `raw_session` coroutine gets one of these and has full control: `receive` gives the client's frames,
    `send`, `send_text` and `send_bytes` put anything on the wire, `close` and `reset` end it. Frames the
    client sends while nobody receives stay unread in the socket, which holds the client back.
    """

    def __init__(self, websocket: WebSocket, *, agent_id: str, call_id: str, options: SimulatorOptions) -> None:
        self.agent_id = agent_id
        self.call_id = call_id
        self.faults: Faults = options.faults
        self.stalled = False
        self._is_closing = False
        self._websocket = websocket
        self._options = options
        self._counters: Counters = websocket.app.state.simulator.counters
        self._sent = 0

    async def receive(self) -> str | bytes:
        """Return the next frame of the client.

        Raises:
            SessionOver: the client is gone.
        """
        return await receive_frame(self._websocket)

    async def receive_event(self) -> dict[str, Any]:
        """Return the next JSON event of the client, unchecked.

        Raises:
            SessionOver: the client is gone.
            ValueError: it is not a JSON object.
        """
        event = json.loads(await self.receive())
        if not isinstance(event, dict):
            raise ValueError(f"expected a JSON object, got {event!r}")
        return event

    async def send(self, event: Mapping[str, Any], *, last: bool = False) -> None:
        """Send one event; after the `last` one nothing more goes out but the close frame."""
        fields = dict(event)
        if self._options.unknown_fields:
            fields["x_new_field"] = {"since": "2027-01-01", "list": [1, None, "two"]}
        await self._put(json.dumps(fields, separators=(",", ":"), ensure_ascii=False), last=last)
        self._sent += 1
        if self._options.unknown_events and self._sent % 5 == 1 and self._sent > 1:
            await self.send_text(f'{{"type":"x_new_event","detail":{{"n":{self._sent}}}}}')

    async def send_audio(self, data: bytes) -> None:
        """Send audio in the session's format."""
        await self.send({"type": "audio_output", "audio": base64.b64encode(data).decode()})
        self._counters.audio_bytes_out += len(data)

    async def send_error(self, code: str, message: str, *, fatal: bool) -> None:
        """Send an `error` event."""
        await self.send({"type": "error", "code": code, "message": message, "fatal": fatal})

    async def send_text(self, text: str) -> None:
        """Send any text frame.

        Raises:
            SessionOver: the client is gone.
        """
        await self._put(text)

    async def send_bytes(self, data: bytes) -> None:
        """Send any binary frame; the protocol has none.

        Raises:
            SessionOver: the client is gone.
        """
        await self._put(data)

    async def start(self, audio: Mapping[str, str] | None = None) -> dict[str, Any]:
        """For raw sessions: await the first event, answer `session_ready`, and return that first event."""
        first = await self.receive_event()
        await self.send_ready(audio or first["audio"])
        return first

    async def send_ready(self, audio: Mapping[str, str]) -> None:
        """Send `session_ready`."""
        await self.send(
            {
                "type": "session_ready",
                "call_id": self.call_id,
                "agent_id": self.agent_id,
                "agent_version_id": "av_simulated",
                "audio": {"output_delivery": "speaking_pace", **audio},
            }
        )

    async def close(self, code: int = 1000, reason: str = "") -> None:
        """Send a close frame; a reason longer than 123 bytes is cut."""
        self._is_closing = True
        await close_socket(self._websocket, code, reason)

    async def fail(self, code: str, message: str, *, close_code: int) -> NoReturn:
        """Send a fatal error event, close, and end the session.

        Raises:
            SessionOver: always.
        """
        await self.send({"type": "error", "code": code, "message": message, "fatal": True}, last=True)
        await self.hang_up(close_code, message)

    async def hang_up(self, code: int, reason: str) -> NoReturn:
        """Close and end the session; a stalled vendor does not even close.

        Raises:
            SessionOver: always.
        """
        while self.stalled:
            await self.receive()
        await self.close(code, reason)
        raise SessionOver("server", code, reason)

    def reset(self) -> None:
        """Reset the TCP connection."""
        connection_reset(self._websocket.scope)()

    async def _put(self, frame: str | bytes, *, last: bool = False) -> None:
        if self.stalled or self._is_closing:
            return  # a task that has not noticed yet has nothing to send any more
        self._is_closing = last
        await send_frame(self._websocket, frame)
        await asyncio.sleep(0)  # a burst must not starve the reader of this very loop
