"""`archer serve` as an operator has it: a real process, real ports, real signals."""

import asyncio
import signal
import socket
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest
from starlette.applications import Starlette
from starlette.routing import WebSocketRoute
from starlette.websockets import WebSocket
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from archer_bridge.adapters import server
from archer_bridge.adapters.server import CannotListen, DrainServer, bind, serve_both, server_config
from archer_bridge.adapters.sql import open_store
from archer_bridge.adapters.sql.seed import DEMO_CUSTOMERS
from archer_bridge.devkit.cartesia import SimulatorOptions, create_simulator
from archer_bridge.devkit.dialogue import Action, HangUp, Say
from archer_bridge.devkit.phone import DEMO_ACCOUNT, Caller, CallerScript, CallReport, Phone, PhoneOptions
from archer_bridge.devkit.serving import serving
from archer_bridge.models import CallRow, Outcome
from tests.support.serve_process import ServeProcess, serve_process
from tests.support.world import BRIDGE_NUMBER, DANA, PUBLIC


class Brief:
    """An agent that says hello, and goodbye when a key is pressed."""

    def __init__(self, variables: Mapping[str, str | int | float | bool]) -> None:
        """Needs nothing of the caller."""

    def open(self) -> list[Action]:
        return [Say("Hi.")]

    def heard(self, text: str) -> list[Action]:
        return []

    def pressed(self, digits: str) -> list[Action]:
        return [Say("Bye."), HangUp()]

    def tool_result(self, name: str, result: str, is_error: bool) -> list[Action]:
        return []


@asynccontextmanager
async def bridge(folder: Path, **changes: str) -> AsyncIterator[ServeProcess]:
    """Run a bridge process whose agent is `Brief`, in this process."""
    async with await open_store(database(folder)) as store:
        await store.add_customers(DEMO_CUSTOMERS)
    async with (
        serving(create_simulator(SimulatorOptions(voice="tones", agent=Brief))) as simulator,
        serve_process(folder, CARTESIA_WS_URL=simulator.ws_url, **changes) as process,
    ):
        yield process


def database(folder: Path) -> str:
    return f"sqlite+aiosqlite:///{folder / 'archer.db'}"


async def place(process: ServeProcess, script: CallerScript) -> CallReport:
    port = int((await process.url()).rpartition(":")[2])
    phone = Phone(
        DEMO_ACCOUNT,
        DANA,
        BRIDGE_NUMBER,
        f"{PUBLIC}/webhooks/twilio/incoming",
        connect_to=("127.0.0.1", port),
        options=PhoneOptions(voice="tones"),
    )
    return await phone.call(script)


async def recorded(folder: Path, report: CallReport) -> CallRow:
    async with await open_store(database(folder), read_only=True) as store:
        row = await store.get_call(report.call_sid)
    assert row is not None
    return row


async def status(url: str) -> tuple[int, str]:
    async with httpx.AsyncClient(trust_env=False) as client:
        answer = await client.get(url)
    return answer.status_code, answer.text


async def test_it_starts_and_a_signal_without_calls_ends_it_after_the_proxys_time(tmp_path: Path) -> None:
    async with serve_process(tmp_path, ARCHER_SERVER__MIN_DRAIN_S="1") as process:
        public, admin = await process.url("public"), await process.url("admin")

        assert (await status(f"{public}/healthz"))[0] == 200
        assert (await status(f"{public}/readyz"))[0] == 200
        assert "bridge_calls_active 0.0" in (await status(f"{admin}/metrics"))[1]
        assert (await status(f"{public}/metrics"))[0] == 404

        process.signal()
        await process.event("draining", signal="SIGTERM")

        assert (await status(f"{public}/readyz"))[0] == 503
        assert (await status(f"{public}/healthz"))[0] == 200
        assert "drain_waiting" not in process.names()  # it still serves for the proxy's sake
        assert await process.exit_code() == 0
        assert process.said == []
        assert process.names()[-1] == "service_stopped"


async def test_a_live_call_goes_on_to_its_end(tmp_path: Path) -> None:
    async with bridge(tmp_path) as process:
        public = await process.url()

        async def script(caller: Caller) -> None:
            await caller.agent_speaking()
            process.signal()
            await process.event("drain_waiting", live_calls=1)
            assert (await status(f"{public}/readyz"))[0] == 503
            await caller.press("1#")
            await caller.agent_finished()

        report = await place(process, script)
        loop = asyncio.get_running_loop()
        ended_at = loop.time()
        code = await process.exit_code()
        took_s = loop.time() - ended_at

    assert report.script_error == ""
    assert code == 0
    assert took_s < 5  # not the drain's limit of an hour
    assert (await recorded(tmp_path, report)).outcome is Outcome.COMPLETED
    assert "drain_deadline" not in process.names()


async def test_at_the_deadline_live_calls_end_drained(tmp_path: Path) -> None:
    async with bridge(tmp_path, ARCHER_SERVER__MAX_DRAIN_S="0.2") as process:

        async def script(caller: Caller) -> None:
            await caller.agent_speaking()
            process.signal(signal.SIGINT)
            await process.event("drain_deadline", live_calls=1)
            await process.event("call_ended")
            await caller.hang_up()

        report = await place(process, script)
        code = await process.exit_code()

    assert code == 0
    assert (await recorded(tmp_path, report)).outcome is Outcome.DRAINED


async def test_a_second_signal_ends_it_at_once(tmp_path: Path) -> None:
    async with bridge(tmp_path) as process:

        async def script(caller: Caller) -> None:
            await caller.agent_speaking()
            process.signal()
            await process.event("drain_waiting")
            process.signal()
            await process.event("call_ended")
            await caller.hang_up()

        report = await place(process, script)
        code = await process.exit_code()

    assert code == 0
    assert (await recorded(tmp_path, report)).outcome is Outcome.DRAINED


# ---- what keeps it from starting -----------------------------------------------------------------------------


async def test_settings_problems_are_all_listed_before_a_port_opens(tmp_path: Path) -> None:
    wrong = {
        "TWILIO_AUTH_TOKEN": "",
        "WEBHOOK_BASE_URL": "ftp://x",
        "ARCHER_SERVER__NO_SUCH": "1",
        "ARCHER_CALLS__IDLE_TIMEOUT_S": "-1",
    }
    async with serve_process(tmp_path, **wrong) as process:
        code = await process.exit_code()

    said = "\n".join(process.said)
    assert code == 2
    assert said.startswith(("3 configuration problems:\n  - ", "4 configuration problems:\n  - "))
    for name in ("ARCHER_SERVER__NO_SUCH", "server.public_url", "calls.idle_timeout_s"):
        assert name in said
    assert process.events == []
    assert DEMO_ACCOUNT.auth_token not in said


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        pytest.param({"ARCHER_TOOLS__ENABLED": '["end_call", "no_such_tool"]'}, "no_such_tool", id="missing-tool"),
        pytest.param(
            {"ARCHER_TOOLS__ENABLED": '["broken"]', "ARCHER_TOOLS__LOCAL": '{"broken": "broken_plugin:tool"}'},
            "broken",
            id="broken-tool",
        ),
        pytest.param({"DATABASE_URL": "sqlite:////proc/none/archer.db"}, "/proc/none/archer.db", id="database"),
    ],
)
async def test_what_is_broken_is_named_in_a_sentence(changes: dict[str, str], said: str, tmp_path: Path) -> None:
    (tmp_path / "broken_plugin.py").write_text("raise RuntimeError('a bug at import')\n")
    async with serve_process(tmp_path, PYTHONPATH=str(tmp_path), **changes) as process:
        code = await process.exit_code()

    assert code == 1
    assert said in "\n".join(process.said)
    assert "Traceback" not in "\n".join(process.said)
    assert "listening" not in process.names()


@pytest.mark.parametrize("section", ["SERVER", "ADMIN"])
async def test_a_taken_port_is_named_with_its_setting(section: str, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        async with serve_process(tmp_path, **{f"ARCHER_{section}__PORT": str(port)}) as process:
            code = await process.exit_code()

    assert code == 1
    assert process.said == [
        f"cannot listen on 127.0.0.1:{port}: Address already in use; "
        f"stop what listens there, or set {section.lower()}.host and {section.lower()}.port"
    ]
    assert "service_started" not in process.names()


# ---- in this process -----------------------------------------------------------------------------------------


def test_a_host_that_does_not_exist_is_told() -> None:
    with pytest.raises(CannotListen) as caught:
        bind("no-such-host.invalid", 8000, "server")

    assert "cannot listen on no-such-host.invalid:8000: " in str(caught.value)


def test_every_address_of_a_name_is_bound() -> None:
    sockets = bind("localhost", 0, "server")
    hosts = {one.getsockname()[0] for one in sockets}
    for one in sockets:
        one.close()

    assert "127.0.0.1" in hosts
    assert hosts <= {"127.0.0.1", "::1"}


@asynccontextmanager
async def running(app: Starlette) -> AsyncIterator[tuple[DrainServer, str]]:
    """Run our server in this loop."""
    sockets = bind("127.0.0.1", 0, "server")
    here = DrainServer(server_config(app), name="public")
    task = asyncio.create_task(serve_both(here, sockets, None, []))
    try:
        yield here, f"ws://127.0.0.1:{sockets[0].getsockname()[1]}"
    finally:
        here.should_exit = True
        await task


async def ended(peer: ClientConnection) -> ConnectionClosed:
    """Read to the end."""
    try:
        while True:
            await peer.recv()
    except ConnectionClosed as closed:
        return closed


async def test_a_frame_over_the_limit_is_1009() -> None:
    async def listen(websocket: WebSocket) -> None:
        await websocket.accept()
        await websocket.receive()

    app = Starlette(routes=[WebSocketRoute("/", listen)])
    async with running(app) as (_, url), connect(url, proxy=None) as peer:
        await peer.send("x" * (server.WS_MAX_SIZE + 1))
        with pytest.raises(ConnectionClosed) as closed:
            await peer.recv()

        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 1009
        assert "permessage-deflate" not in str(peer.response.headers if peer.response else "")


async def test_a_peer_that_never_reads_the_close_is_let_go(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "ABORT_AFTER_S", 0.1)
    filled = asyncio.Event()

    async def flood(websocket: WebSocket) -> None:
        await websocket.accept()
        try:
            async with asyncio.timeout(0.5):
                while True:
                    await websocket.send_text("x" * 60_000)
        except TimeoutError:
            filled.set()

    async with running(Starlette(routes=[WebSocketRoute("/", flood)])) as (here, url):
        peer = await connect(url, proxy=None, ping_interval=None)
        peer.transport.pause_reading()
        await filled.wait()
        while here.server_state.connections:
            await asyncio.sleep(0.01)
        peer.transport.resume_reading()
        closed = await ended(peer)

        assert closed.rcvd is None  # the connection was cut, not closed
