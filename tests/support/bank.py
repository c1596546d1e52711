"""A bank that keeps its own journal of what was really charged, and the tool that orders charges from it.

It refuses nothing: an order that comes twice is charged twice, so that the journal shows every mistake of ours.
"""

import asyncio
import json
import socketserver
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Annotated, Any

from archer_bridge.tool_api import ToolContext, ToolRow, ToolStore, tool

port = 0
"""Where the bank listens; set in the process that pays."""
reached: Callable[[str], None] = lambda step: None  # noqa: E731  # replaced by whoever wants to die at a step
"""Called with the name of each step that the tool has come to."""


class Bank:
    """The journal: how often each order was charged."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._quiet = threading.Condition(self._lock)
        self._charged: Counter[str] = Counter()
        self._open = 0

    def came(self) -> None:
        """Count a connection."""
        with self._lock:
            self._open += 1

    def went(self) -> None:
        """Count the end of one."""
        with self._quiet:
            self._open -= 1
            self._quiet.notify_all()

    def wait_quiet(self, seconds: float = 10.0) -> None:
        """Wait until what the dead have sent is worked off."""
        with self._quiet:
            assert self._quiet.wait_for(lambda: self._open == 0, seconds), "a connection to the bank stays open"

    def charge(self, order: str) -> int:
        """Charge; return how often this order has been charged by now."""
        with self._lock:
            self._charged[order] += 1
            return self._charged[order]

    def times(self, order: str) -> int:
        """Return how often the order was charged."""
        with self._lock:
            return self._charged[order]

    def journal(self) -> Counter[str]:
        """Return a copy of everything."""
        with self._lock:
            return self._charged.copy()


class _Desk(socketserver.StreamRequestHandler):
    """One connection: one request a line; a line that was cut is no request."""

    bank: Bank

    def handle(self) -> None:
        try:
            for line in self.rfile:
                if not line.endswith(b"\n"):
                    return
                asked = json.loads(line)
                times = self.bank.charge(asked["charge"]) if "charge" in asked else self.bank.times(asked["find"])
                self.wfile.write(b'{"times":%d}\n' % times)
        except ConnectionError:
            return  # whoever asked is dead, which is what the bank is here for


class _Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 128
    bank: Bank

    def process_request(self, request: Any, client_address: Any) -> None:
        self.bank.came()  # here, not in the new thread: connections are counted in the order they were made
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        super().shutdown_request(request)
        self.bank.went()


@contextmanager
def open_bank() -> Iterator[tuple[Bank, int]]:
    """Run a bank in this process; yields it and its port."""
    bank = Bank()
    with _Server(("127.0.0.1", 0), type("Desk", (_Desk,), {"bank": bank})) as server:
        server.bank = bank
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        try:
            yield bank, server.server_address[1]
        finally:
            server.shutdown()


async def _say(request: dict[str, str]) -> int:
    """Send one request in two halves and return the bank's count."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    line = json.dumps(request).encode() + b"\n"
    try:
        writer.write(line[: len(line) // 2])
        await writer.drain()
        if "charge" in request:
            reached("half of the order sent")
        writer.write(line[len(line) // 2 :])
        await writer.drain()
        if "charge" in request:
            reached("order sent, answer not awaited")
        return int(json.loads(await reader.readline())["times"])
    finally:
        writer.close()


async def _find_out(store: ToolStore, row: ToolRow) -> dict[str, Any] | None:
    """Ask the bank whether the order was charged."""
    order = json.loads(row.arguments_json)["order"]
    return {"charged": order} if await _say({"find": order}) else None


@tool(side_effect=True, timeout_s=20, business_key=lambda ctx, given: given["order"], reconcile=_find_out)
async def charge(ctx: ToolContext, order: Annotated[str, "what is paid"]) -> dict[str, str]:
    """Charge an order at the bank."""
    reached("tool begun, nothing sent")
    await _say({"charge": order})
    reached("charged, tool not returned")
    return {"charged": order}
