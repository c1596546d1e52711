"""`archer serve` as a process of its own, watched through its log: events, not sleeps."""

import asyncio
import json
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from archer_bridge.devkit.phone import DEMO_ACCOUNT
from tests.support.world import PUBLIC


def free_port() -> int:
    """Return a port that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def environment(folder: Path, **changes: str) -> dict[str, str]:
    """Return the demo account's environment, the database in `folder`, none of this machine's settings."""
    ours = ("ARCHER_", "TWILIO_", "CARTESIA_", "OPENAI_", "WEBHOOK_", "DATABASE_")
    return {
        **{name: value for name, value in os.environ.items() if not name.startswith(ours)},
        "ARCHER_ENV_FILE": "",
        "WEBHOOK_BASE_URL": PUBLIC,
        "TWILIO_ACCOUNT_SID": DEMO_ACCOUNT.account_sid,
        "TWILIO_AUTH_TOKEN": DEMO_ACCOUNT.auth_token,
        "CARTESIA_API_KEY": "sk_car_simulator",
        "CARTESIA_AGENT_ID": "agent_archer",
        "CARTESIA_WS_URL": "ws://127.0.0.1:9",  # nobody: a test that calls names its simulator
        "ARCHER_CARTESIA__REST_URL": "http://127.0.0.1:9",
        "DATABASE_URL": f"sqlite:///{folder / 'archer.db'}",
        "ARCHER_SERVER__PORT": "0",
        "ARCHER_SERVER__MIN_DRAIN_S": "0.3",
        "ARCHER_ADMIN__PORT": "0",
        "ARCHER_LOG__FORMAT": "json",
        **changes,
    }


@dataclass
class ServeProcess:
    """One `archer serve`; `events` are the log's JSON lines so far, `said` the lines that are none."""

    process: asyncio.subprocess.Process
    events: list[dict[str, Any]] = field(default_factory=list)
    said: list[str] = field(default_factory=list)
    changed: asyncio.Condition = field(default_factory=asyncio.Condition)
    ended: bool = False

    async def read(self) -> None:
        """Take the process's output until it ends."""
        assert self.process.stdout is not None
        async for raw in self.process.stdout:
            line = raw.decode("utf-8", "replace").rstrip("\n")
            async with self.changed:
                if line.startswith("{"):
                    self.events.append(json.loads(line))
                else:
                    self.said.append(line)
                self.changed.notify_all()
        async with self.changed:
            self.ended = True
            self.changed.notify_all()

    async def event(self, name: str, **facts: Any) -> dict[str, Any]:
        """Return the first event with this name and these facts, past or future."""

        def found() -> list[dict[str, Any]]:
            return [e for e in self.events if e["event"] == name and facts.items() <= e.items()]

        async with self.changed:
            await self.changed.wait_for(lambda: found() or self.ended)
            assert found(), f"no {name} {facts} in {self.names()} {self.said}"
            return found()[0]

    def names(self) -> list[str]:
        """Return the names of the events so far."""
        return [str(event["event"]) for event in self.events]

    async def url(self, listener: str = "public") -> str:
        """Return where a listener is, as soon as it listens."""
        return f"http://127.0.0.1:{(await self.event('listening', listener=listener))['port']}"

    def signal(self, number: int = signal.SIGTERM) -> None:
        """Send a signal."""
        self.process.send_signal(number)

    async def exit_code(self) -> int:
        """Wait for the end."""
        code = await self.process.wait()
        async with self.changed:
            await self.changed.wait_for(lambda: self.ended)
        return code


@asynccontextmanager
async def serve_process(folder: Path, *arguments: str, **changes: str) -> AsyncIterator[ServeProcess]:
    """Run `archer serve` in `folder` until the block is left; `changes` are environment names and values."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "archer_bridge", "serve", *arguments),
        cwd=folder,
        env=environment(folder, **changes),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    served = ServeProcess(process)
    reading = asyncio.create_task(served.read(), name="serve output")
    try:
        yield served
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
        await reading
