"""Twilio's socket over plain ASGI: works on any server, one writer task."""

import asyncio
from collections.abc import Callable
from contextlib import suppress

from starlette.websockets import WebSocket, WebSocketDisconnect, WebSocketState

from archer_bridge.adapters.outbox import DOES_NOT_READ, Outbox
from archer_bridge.ports import Closed

CLOSE_WAIT_S = 2.0
"""How long a close waits for what is queued, and then for the close itself to be taken."""


class AsgiSocket:
    """An accepted Starlette WebSocket as a `ports.TextSocket`."""

    def __init__(self, websocket: WebSocket) -> None:
        self._websocket = websocket
        self._outbox: Outbox | None = None
        """Made for the first message: a socket that has not proved itself is sent none, and costs us little."""
        self._reading: asyncio.Timeout | None = None

    async def receive(self) -> str | None:
        """Return the next text message, or None once the socket is closed; binary ones are skipped."""
        while True:
            message = await self.next_message()
            if isinstance(message, Closed):
                return None
            if isinstance(message, str):
                return message

    async def next_message(self) -> str | bytes | Closed:
        """Return the next message of either kind, or how the socket was closed."""
        try:
            message = await self._websocket.receive()
        except (RuntimeError, WebSocketDisconnect) as error:  # read after the end
            return Closed(getattr(error, "code", 1006), "")
        if message["type"] == "websocket.disconnect":
            return Closed(message.get("code") or 1006, message.get("reason") or "")
        text = message.get("text")
        return str(text) if text is not None else bytes(message.get("bytes") or b"")

    def write(self, message: bytes, droppable: bool = False) -> None:
        """Queue one message."""
        self._opened_outbox().put(message, droppable=droppable)

    def _opened_outbox(self) -> Outbox:
        if self._outbox is None:
            self._outbox = Outbox(self._send, self._give_up, name="twilio writer")
        return self._outbox

    async def _send(self, message: bytes) -> None:
        await self._websocket.send({"type": "websocket.send", "text": message.decode()})

    def _give_up(self) -> None:
        if self._reading is not None:
            self._reading.reschedule(asyncio.get_running_loop().time())

    async def pump(self, on_message: Callable[[str | bytes], None]) -> Closed:
        """Read until the socket closes, or its peer stops reading what we send."""
        if self._outbox is not None and self._outbox.overflowed:
            return DOES_NOT_READ
        patience = self._reading = asyncio.timeout(None)  # due when the peer is given up
        try:
            async with patience:
                while not isinstance(message := await self.next_message(), Closed):
                    on_message(message)
                return message
        except TimeoutError:
            if not patience.expired():
                raise
            return DOES_NOT_READ
        finally:
            self._reading = None

    async def close(self, code: int = 1000, reason: str = "") -> None:
        """Send what is queued, then close; a peer that does not read cannot hold this up."""
        await self._opened_outbox().finish(CLOSE_WAIT_S)  # and take nothing more
        if self._websocket.application_state is not WebSocketState.DISCONNECTED:
            with suppress(RuntimeError, WebSocketDisconnect, TimeoutError):  # the peer was faster, or never reads
                async with asyncio.timeout(CLOSE_WAIT_S):
                    await self._websocket.close(code, reason)
