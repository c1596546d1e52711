"""The embedded world of `archer call --embedded`: a Cartesia simulator and a bridge, each a process of its own.

The bridge is the real `archer serve` with the demo account's credentials; nothing of the user's keys reaches it.
"""

import asyncio
import json
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from archer_bridge.devkit.phone import DEMO_ACCOUNT, Address
from archer_bridge.errors import ArcherError

PUBLIC_URL = "https://bridge.example.test"
"""Where the simulated Twilio believes the bridge to be; every request really goes to loopback."""
TRANSFER_TO = "+15550100200"
SIMULATOR_KEY = "sk_car_simulator"
AGENT_ID = "agent_archer"
START_WAIT_S = 60.0
SECRETS = ("TWILIO_", "CARTESIA_", "OPENAI_", "WEBHOOK_BASE_URL", "DATABASE_URL", "ARCHER_TWILIO__", "ARCHER_SERVER__")

OnEvent = Callable[[str, Mapping[str, Any]], None]
"""Called with the process's name and one of its events."""


class ProcessDied(ArcherError):
    """A process of the embedded world did not come up."""

    code = "process_died"

    def __init__(self, name: str, lines: list[str]) -> None:
        super().__init__(name, lines)
        self.name = name
        self.lines = lines

    def __str__(self) -> str:
        said = "\n".join(f"  {line}" for line in self.lines[-15:]) or "  (nothing)"
        return f"the {self.name} did not start; it said:\n{said}"


@dataclass(frozen=True, slots=True)
class World:
    """Where everything is."""

    bridge: Address
    simulator_url: str


def free_port() -> int:
    """Return a port that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def bridge_environment(simulator_port: int, bridge_port: int, database: str) -> dict[str, str]:
    """Return an environment with the demo account's credentials and none of the user's."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(SECRETS)}
    return {
        **kept,
        "ARCHER_ENV_FILE": "",
        "WEBHOOK_BASE_URL": PUBLIC_URL,
        "TWILIO_ACCOUNT_SID": DEMO_ACCOUNT.account_sid,
        "TWILIO_AUTH_TOKEN": DEMO_ACCOUNT.auth_token,
        "CARTESIA_API_KEY": SIMULATOR_KEY,
        "CARTESIA_AGENT_ID": AGENT_ID,
        "CARTESIA_WS_URL": f"ws://127.0.0.1:{simulator_port}",
        "DATABASE_URL": database,
        "ARCHER_CARTESIA__REST_URL": f"http://127.0.0.1:{simulator_port}",
        "ARCHER_TWILIO__TRANSFER_TO": TRANSFER_TO,
        "ARCHER_SERVER__HOST": "127.0.0.1",
        "ARCHER_SERVER__PORT": str(bridge_port),
        "ARCHER_SERVER__MIN_DRAIN_S": "0",  # no proxy has to notice that it stops
        "ARCHER_ADMIN__ENABLED": "false",
        "ARCHER_CALLS__PER_NUMBER": "0",  # simulated phones share a few numbers
        "ARCHER_LOG__FORMAT": "json",
        "ARCHER_LOG__LEVEL": "info",
    }


@asynccontextmanager
async def world(
    *, voice: str, database: str, log_file: Path, on_event: OnEvent, simulator_options: Sequence[str] = ()
) -> AsyncIterator[World]:
    """Run both processes until the block is left; `simulator_options` are of `archer simulate-cartesia`."""
    simulator_port, bridge_port = free_port(), free_port()
    environment = bridge_environment(simulator_port, bridge_port, database)
    log_file.parent.mkdir(parents=True, exist_ok=True)
    simulator = ["simulate-cartesia", "--port", str(simulator_port), "--voice", voice, "--events", *simulator_options]
    async with (
        _process("simulator", simulator, environment, on_event, log_file),
        _process("bridge", ["serve"], environment, on_event, log_file),  # after it: it has words spoken at start-up
    ):
        yield World(("127.0.0.1", bridge_port), f"http://127.0.0.1:{simulator_port}")


@asynccontextmanager
async def _process(
    name: str, arguments: list[str], environment: Mapping[str, str], on_event: OnEvent, log_file: Path
) -> AsyncIterator[None]:
    """Run one process until the block is left, from the moment it listens."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "archer_bridge",
        *arguments,
        env=environment,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        start_new_session=True,
        limit=1 << 20,  # one line of log may hold a whole traceback
    )
    lines: list[str] = []
    listening: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    reader = asyncio.create_task(_read(process, name, lines, listening, on_event, log_file), name=f"{name} output")
    try:
        try:
            async with asyncio.timeout(START_WAIT_S):
                await listening
        except TimeoutError:
            raise ProcessDied(name, [*lines, f"(not listening after {START_WAIT_S:g} s)"]) from None
        yield
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGTERM)
        try:
            async with asyncio.timeout(15):
                await process.wait()
        except TimeoutError:
            process.kill()
            await process.wait()
        await reader


async def _read(
    process: asyncio.subprocess.Process,
    name: str,
    lines: list[str],
    listening: asyncio.Future[None],
    on_event: OnEvent,
    log_file: Path,
) -> None:
    assert process.stdout is not None
    with log_file.open("a", encoding="utf-8") as out:
        async for raw in process.stdout:
            line = raw.decode("utf-8", "replace").rstrip("\n")
            out.write(f"{line}\n")
            out.flush()
            try:
                event = json.loads(line)
            except ValueError:
                event = None
            if not isinstance(event, dict):
                lines.append(line)
                continue
            if event.get("event") == "listening" and not listening.done():
                listening.set_result(None)
            on_event(name, event)
    if not listening.done():
        listening.set_exception(ProcessDied(name, lines))
