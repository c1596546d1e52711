"""Twilio's side of the bridge's socket, over a real loopback connection."""

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest
from starlette.applications import Starlette
from starlette.routing import WebSocketRoute
from starlette.websockets import WebSocket
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from archer_bridge.adapters.asgi_socket import AsgiSocket
from archer_bridge.adapters.outbox import LIMIT
from archer_bridge.devkit.serving import serving
from archer_bridge.ports import Closed
from tests.support.virtual import virtual


@dataclass
class Bridge:
    """The handler's results, and the peer."""

    peer: ClientConnection
    done: asyncio.Event = field(default_factory=asyncio.Event)
    got: list[str | bytes] = field(default_factory=list)
    closed: Closed | None = None


@asynccontextmanager
async def open_bridge(handler: Callable[[AsgiSocket, Bridge], Awaitable[None]]) -> AsyncIterator[Bridge]:
    """Run `handler` for one connected peer; no task may be left behind."""
    bridges: asyncio.Queue[Bridge] = asyncio.Queue()
    failures: list[BaseException] = []

    async def endpoint(websocket: WebSocket) -> None:
        await websocket.accept()
        bridge = await bridges.get()
        here = AsgiSocket(websocket)
        try:
            await handler(here, bridge)
        except Exception as error:
            failures.append(error)
        finally:
            await here.close()  # as every user does at last; harmless where the handler closed
            bridge.done.set()

    app = Starlette(routes=[WebSocketRoute("/", endpoint)])
    async with serving(app) as served:
        peer = await connect(served.ws_url, proxy=None, compression=None, ping_interval=None, close_timeout=1)
        bridge = Bridge(peer)
        bridges.put_nowait(bridge)
        try:
            yield bridge
        finally:
            peer.transport.abort()
    assert failures == []
    assert [task.get_name() for task in asyncio.all_tasks() if "writer" in task.get_name()] == []


async def pump_all(here: AsgiSocket, bridge: Bridge) -> None:
    bridge.closed = await here.pump(bridge.got.append)


@virtual
async def test_messages_arrive_in_order_both_ways() -> None:
    async def echo(here: AsgiSocket, bridge: Bridge) -> None:
        def back(message: str | bytes) -> None:
            assert isinstance(message, str)
            bridge.got.append(message)
            here.write(message.encode())

        bridge.closed = await here.pump(back)

    sent = [f"message {n} é" for n in range(100)]
    async with open_bridge(echo) as bridge:
        for message in sent:
            await bridge.peer.send(message)
        heard = [await bridge.peer.recv() for _ in sent]
        await bridge.peer.close(4001, "bye")
        await bridge.done.wait()

        assert sent == heard == bridge.got
        assert Closed(4001, "bye") == bridge.closed


@pytest.mark.parametrize(
    ("leave", "codes"),
    [
        pytest.param(lambda peer: peer.close(1000, ""), {1000}, id="normal"),
        pytest.param(lambda peer: peer.close(3999, "x"), {3999}, id="private-code"),
        # uvicorn reports a connection that broke as 1005
        pytest.param(lambda peer: asyncio.sleep(0, peer.transport.abort()), {1005, 1006}, id="reset"),
    ],
)
@virtual
async def test_the_peers_close_code_is_reported(
    leave: Callable[[ClientConnection], Awaitable[None]], codes: set[int]
) -> None:
    async with open_bridge(pump_all) as bridge:
        await leave(bridge.peer)
        await bridge.done.wait()

        assert bridge.closed is not None
        assert bridge.closed.code in codes


@virtual
async def test_binary_and_empty_messages_are_given_on_by_pump_and_skipped_by_receive() -> None:
    async def both(here: AsgiSocket, bridge: Bridge) -> None:
        bridge.got.append(await here.receive() or "closed")
        await pump_all(here, bridge)

    async with open_bridge(both) as bridge:
        for message in (b"\x00\xff", "first text", b"\x01", "", "end"):
            await bridge.peer.send(message)
        await bridge.peer.close()
        await bridge.done.wait()

        assert bridge.got == ["first text", b"\x01", "", "end"]


@virtual
async def test_receive_and_pump_after_the_end_say_so() -> None:
    async def again(here: AsgiSocket, bridge: Bridge) -> None:
        await pump_all(here, bridge)
        bridge.got.append(str(await here.receive()))
        await pump_all(here, bridge)
        here.write(b"nobody hears this")
        await here.close()

    async with open_bridge(again) as bridge:
        await bridge.peer.close()
        await bridge.done.wait()

        assert bridge.got == ["None"]
        assert Closed(1006) == bridge.closed


@virtual
async def test_what_is_queued_is_sent_before_the_close() -> None:
    async def say_and_close(here: AsgiSocket, bridge: Bridge) -> None:
        for n in range(100):
            here.write(b"%d" % n)
        await asyncio.gather(here.close(1008, "refused"), here.close(1000, "twice at once"))
        await here.close(1011, "and again")
        here.write(b"after the close")

    async with open_bridge(say_and_close) as bridge:
        heard = [await bridge.peer.recv() for _ in range(100)]
        with pytest.raises(ConnectionClosed) as closed:
            await bridge.peer.recv()
        await bridge.done.wait()

        assert [str(n) for n in range(100)] == heard
        assert closed.value.rcvd is not None
        assert (closed.value.rcvd.code, closed.value.rcvd.reason) == (1008, "refused")


def stop_reading(peer: ClientConnection) -> None:
    raw = peer.transport.get_extra_info("socket")
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    peer.transport.pause_reading()


@virtual
async def test_a_peer_that_does_not_read_is_given_up() -> None:
    async def flood(here: AsgiSocket, bridge: Bridge) -> None:
        async def write() -> None:
            while not bridge.done.is_set():
                here.write(b"x" * 20_000)
                await asyncio.sleep(0.01)

        async with asyncio.TaskGroup() as group:
            writing = group.create_task(write())
            await pump_all(here, bridge)  # the peer sends nothing: only the overflow ends this
            await here.close(1013, "slow")  # bounded, although not even the close fits into the buffers
            writing.cancel()

    async with open_bridge(flood) as bridge:
        stop_reading(bridge.peer)
        await bridge.done.wait()

        assert Closed(1013, "the peer does not read") == bridge.closed


@virtual
async def test_a_flood_before_the_reader_starts_is_found_by_it() -> None:
    async def flood(here: AsgiSocket, bridge: Bridge) -> None:
        for _ in range(LIMIT + 1):
            here.write(b"x")  # the writer had no turn yet
        await pump_all(here, bridge)

    async with open_bridge(flood) as bridge:
        await bridge.done.wait()

        assert Closed(1013, "the peer does not read") == bridge.closed


@virtual
async def test_a_cancelled_reader_can_still_close() -> None:
    async def cancelled(here: AsgiSocket, bridge: Bridge) -> None:
        reader = asyncio.create_task(here.pump(bridge.got.append))
        await asyncio.sleep(0.01)
        reader.cancel()
        await asyncio.wait({reader})
        assert reader.cancelled()
        here.write(b"goodbye")
        await here.close()

    async with open_bridge(cancelled) as bridge:
        assert await bridge.peer.recv() == "goodbye"
        await bridge.done.wait()


@virtual
async def test_a_cancelled_close_leaves_no_writer_and_can_be_repeated() -> None:
    async def cancelled(here: AsgiSocket, bridge: Bridge) -> None:
        for _ in range(200):
            here.write(b"x" * 60_000)
        closing = asyncio.create_task(here.close(1000, "first"))
        await asyncio.sleep(0.01)
        closing.cancel()
        await asyncio.wait({closing})
        await here.close(1011, "second")

    async with open_bridge(cancelled) as bridge:
        stop_reading(bridge.peer)
        await bridge.done.wait()


@virtual
async def test_a_bug_in_the_handler_is_not_taken_for_a_slow_peer() -> None:
    async def buggy(here: AsgiSocket, bridge: Bridge) -> None:
        def fail(message: str | bytes) -> None:
            raise TimeoutError("from the handler")

        with pytest.raises(TimeoutError, match="from the handler"):
            await here.pump(fail)

    async with open_bridge(buggy) as bridge:
        await bridge.peer.send("x")
        await bridge.done.wait()
