"""The least that any bridge must do: bytes from one socket to another and back, nothing looked at.

python -m tests.bench.relay ENGINE_PORT      prints its port
"""

import asyncio
import sys
from typing import cast

import uvloop


class Side(asyncio.Protocol):
    """One of the two connections; what comes goes to the other one."""

    def __init__(self, other: "Side | None" = None, engine_port: int = 0) -> None:
        self.other = other
        self.engine_port = engine_port
        self.transport: asyncio.Transport | None = None
        self.early: list[bytes] = []

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        if self.other is None:
            self.connecting = asyncio.get_running_loop().create_task(self._connect())
        else:
            self.transport.write(b"".join(self.other.early))
            self.other.other = self

    async def _connect(self) -> None:
        await asyncio.get_running_loop().create_connection(lambda: Side(self), "127.0.0.1", self.engine_port)

    def data_received(self, data: bytes) -> None:
        if self.other is None or self.other.transport is None:
            self.early.append(data)
        else:
            self.other.transport.write(data)

    def connection_lost(self, exc: Exception | None) -> None:
        if self.other is not None and self.other.transport is not None:
            self.other.transport.close()


async def main(engine_port: int) -> None:
    """Serve until the process is ended."""
    server = await asyncio.get_running_loop().create_server(lambda: Side(engine_port=engine_port), "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(main(int(sys.argv[1])))
