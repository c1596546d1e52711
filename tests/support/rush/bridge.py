"""`archer serve` as a process that may be killed, drained and looked into from outside."""

import asyncio
import json
import os
import resource
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from prometheus_client.parser import text_string_to_metric_families

from tests.support.rush.tools import ENABLED
from tests.support.rush.wire import fetch
from tests.support.serve_process import environment, free_port

BOOT_S = 30.0
TICKS = os.sysconf("SC_CLK_TCK")
ROOT = Path(__file__).parents[3]
SETTINGS = {
    **ENABLED,
    "ARCHER_SERVER__MAX_CALLS": "400",
    "ARCHER_CALLS__PER_NUMBER": "0",
    "ARCHER_CALLS__TOKEN_TTL_S": "10",
    "ARCHER_CALLS__START_TIMEOUT_S": "4",
    "ARCHER_LOG__LEVEL": "info",
    "ARCHER_CALLS__IDLE_TIMEOUT_S": "3",
    "ARCHER_CALLS__GOODBYE_WAIT_S": "5",
    "ARCHER_CALLS__DEAD_AIR_S": "1",
    "ARCHER_CARTESIA__CONNECT_TIMEOUT_S": "0.7",
    "ARCHER_CARTESIA__BREAKER_OPEN_S": "1",
    "ARCHER_TWILIO__TRANSFER_TO": "+15550107777",
}
"""Every wait shortened, so that a call with a fault lasts seconds."""


@dataclass(frozen=True, slots=True)
class Footprint:
    """What the process holds at one moment."""

    tasks: int
    descriptors: int
    threads: int
    rss_mib: float
    cpu_s: float
    """Processor time it has used."""


class BridgeProcess:
    """One bridge on fixed ports; its log is a file."""

    def __init__(self, folder: Path, database: str, vendor_port: int, *, name: str = "bridge", **changes: str) -> None:
        self.name = name
        self.instance = changes.get("ARCHER_SERVER__INSTANCE", "")
        """What it calls itself in the record; empty: a name of its own choice."""
        self.address = ("127.0.0.1", free_port())
        self.admin = ("127.0.0.1", free_port())
        self.log = folder / f"{name}.log"
        self._folder = folder
        self._environment = environment(
            folder,
            **{
                **SETTINGS,
                "PYTHONPATH": str(ROOT),
                "DATABASE_URL": database,
                "CARTESIA_WS_URL": f"ws://127.0.0.1:{vendor_port}",
                "ARCHER_SERVER__PORT": str(self.address[1]),
                "ARCHER_ADMIN__PORT": str(self.admin[1]),
                **changes,
            },
        )
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """The process's id."""
        assert self._process is not None
        return self._process.pid

    async def start(self) -> float:
        """Start, and return the seconds until it answered."""
        loop = asyncio.get_running_loop()
        began = loop.time()
        with self.log.open("ab") as out:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "archer_bridge", "serve"],
                cwd=self._folder, env=self._environment, stdin=subprocess.DEVNULL, stdout=out, stderr=out,
            )  # fmt: skip
        while (await fetch(self.address, "/healthz"))[0] != 200:
            if self._process.poll() is not None or loop.time() - began > BOOT_S:
                raise RuntimeError(f"the bridge did not start:\n{self.log.read_text()[-3000:]}")
            await asyncio.sleep(0.05)
        return loop.time() - began

    async def kill(self) -> None:
        """SIGKILL."""
        assert self._process is not None
        self._process.send_signal(signal.SIGKILL)
        await asyncio.to_thread(self._process.wait)

    def terminate(self) -> None:
        """SIGTERM."""
        assert self._process is not None
        self._process.send_signal(signal.SIGTERM)

    async def gone(self, timeout_s: float = 120.0) -> int:
        """Wait for the end; return the exit code."""
        assert self._process is not None
        return await asyncio.to_thread(self._process.wait, timeout_s)

    def tidy(self) -> None:
        """Leave no process behind."""
        if self._process is not None and self._process.poll() is None:
            self._process.kill()
            self._process.wait()

    def limit_files(self, size: int) -> None:
        """Let no file of the process grow beyond `size` bytes."""
        _, hard = resource.prlimit(self.pid, resource.RLIMIT_FSIZE)
        resource.prlimit(self.pid, resource.RLIMIT_FSIZE, (size if size >= 0 else hard, hard))

    async def metrics(self) -> dict[str, float]:
        """Return every sample of `/metrics`: name with its labels, as text, to value."""
        _, text = await fetch(self.admin, "/metrics")
        return {
            sample.name + (json.dumps(sample.labels) if sample.labels else ""): sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
        }

    async def footprint(self) -> Footprint:
        """Return what the process holds now."""
        found = await self.metrics()
        status = dict(
            line.split(":", 1) for line in Path(f"/proc/{self.pid}/status").read_text().splitlines() if ":" in line
        )
        return Footprint(
            int(found["bridge_tasks"]),
            len(os.listdir(f"/proc/{self.pid}/fd")),
            int(status["Threads"]),
            round(int(status["VmRSS"].split()[0]) / 1024, 1),
            sum(map(int, Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()[11:13])) / TICKS,
        )

    def events(self) -> Iterator[dict[str, Any]]:
        """Yield the log's JSON lines."""
        with self.log.open(encoding="utf-8", errors="replace") as lines:
            for line in lines:
                if line.startswith("{") and line.endswith("}\n"):
                    yield json.loads(line)

    def complaints(self) -> list[str]:
        """Return the lines of the log that no fault excuses: bugs of ours."""
        wanted = ("Traceback", "never retrieved", "was destroyed but it is pending", '"call_failed"', "drain_failed")
        with self.log.open(encoding="utf-8", errors="replace") as lines:
            found = [f"{line[:200]} … {line.rstrip()[-200:]}" for line in lines if any(word in line for word in wanted)]
        return [line for line in found if '"tool_crashed"' not in line]  # the tools' own doing


@contextmanager
def tidied(*bridges: BridgeProcess) -> Iterator[None]:
    """Leave no process behind, however the block ends."""
    try:
        yield
    finally:
        for bridge in bridges:
            bridge.tidy()


def environment_seed() -> int:
    """Return a seed nobody chose."""
    return int.from_bytes(os.urandom(3), "big")
