"""The faults of a stream that happen at a moment: slow reader, dead network, reset, a second socket."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed

from archer_bridge.devkit.phone.handshake import Door, HandshakeFailed, open_socket, reset
from archer_bridge.devkit.phone.options import Span, StreamFaults
from archer_bridge.devkit.phone.outbox import Outbox
from archer_bridge.devkit.phone.report import StreamEnd
from archer_bridge.devkit.phone.wire import CONNECTED

_LOST = 31903
_WATCH_S = 5.0
"""How long the second socket is watched for being closed."""


class Trouble:
    """Makes the moments of one stream's faults happen; `end` is how they ended it."""

    def __init__(self, faults: StreamFaults, door: Door, outbox: Outbox, second_start: Callable[[], str]) -> None:
        self._faults = faults
        self._door = door
        self._outbox = outbox
        self._second_start = second_start
        self.end: StreamEnd | None = None
        self.second_socket = ""

    def make(self, socket: ClientConnection) -> list[Coroutine[Any, Any, None]]:
        """Return one coroutine a fault; their times count from when they are started."""
        faults = self._faults
        made: list[Coroutine[Any, Any, None]] = []
        if faults.slow_reader is not None:
            made.append(self._read_slowly(socket, faults.slow_reader))
        if faults.half_dead_at_ms is not None:
            made.append(self._go_half_dead(socket, faults.half_dead_at_ms))
        if faults.abrupt_at_ms is not None:
            made.append(self._reset(socket, faults.abrupt_at_ms))
        if faults.second_socket_at_ms is not None:
            made.append(self._open_second(faults.second_socket_at_ms))
        return made

    async def _read_slowly(self, socket: ClientConnection, span: Span) -> None:
        await asyncio.sleep(span.at_ms / 1000)
        socket.transport.pause_reading()
        await asyncio.sleep(span.for_ms / 1000)
        socket.transport.resume_reading()

    async def _go_half_dead(self, socket: ClientConnection, at_ms: float) -> None:
        await asyncio.sleep(at_ms / 1000)
        self._outbox.cut()
        socket.transport.pause_reading()
        await asyncio.sleep(self._faults.half_dead_for_s)
        self.end = StreamEnd("tcp_lost", None, _LOST, f"{_LOST}: the network was dead (fault half_dead_at_ms)")
        socket.transport.abort()

    async def _reset(self, socket: ClientConnection, at_ms: float) -> None:
        await asyncio.sleep(at_ms / 1000)
        self._outbox.cut()
        self.end = StreamEnd("tcp_lost", None, _LOST, f"{_LOST}: the socket was reset (fault abrupt_at_ms)")
        reset(socket)

    async def _open_second(self, at_ms: float) -> None:
        await asyncio.sleep(at_ms / 1000)
        try:
            second = await open_socket(self._door)
        except HandshakeFailed as failure:
            self.second_socket = f"refused: {failure.detail}"
            return
        try:
            await second.send(CONNECTED)
            await second.send(self._second_start())
            async with asyncio.timeout(_WATCH_S):
                while True:
                    await second.recv()
        except ConnectionClosed as closed:
            code = closed.rcvd.code if closed.rcvd is not None else "no code"
            self.second_socket = f"closed: {code}"
        except TimeoutError:
            self.second_socket = "stayed open"
        finally:
            await second.close()
