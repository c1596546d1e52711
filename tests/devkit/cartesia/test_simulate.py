import asyncio
import json
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import pytest
import typer
from typer.testing import CliRunner

from archer_bridge.cli.simulate import simulate_cartesia
from archer_bridge.devkit.cartesia import FAULTS
from archer_bridge.devkit.serving import Served
from tests.devkit.cartesia.agent_client import agent_client

PROGRAM = "import typer; from archer_bridge.cli.simulate import simulate_cartesia; typer.run(simulate_cartesia)"


def cli() -> typer.Typer:
    app = typer.Typer()
    app.command()(simulate_cartesia)
    return app


@asynccontextmanager
async def process(*arguments: str) -> AsyncIterator[asyncio.subprocess.Process]:
    child = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", PROGRAM, "--port", "0", "--voice", "tones", *arguments),
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        yield child
    finally:
        if child.returncode is None:
            child.send_signal(signal.SIGTERM)
        await child.wait()


async def line(child: asyncio.subprocess.Process) -> str:
    assert child.stdout is not None
    return (await child.stdout.readline()).decode()


async def test_it_runs_as_a_process_and_tells_its_events() -> None:
    async with process("--events", "--fault", "close-after=0.2:1000:enough") as child:
        listening = json.loads(await line(child))
        served = Served("127.0.0.1", int(listening["http_url"].rpartition(":")[2]))
        async with agent_client(served) as client:
            await client.start()
            close = await client.closed()
        events = [json.loads(await line(child))["event"]]
        while events[-1] != "closed":
            events.append(json.loads(await line(child))["event"])
        child.send_signal(signal.SIGTERM)
        code = await child.wait()

    assert close == (1000, "enough")
    assert events[:2] == ["connected", "session_started"]
    assert code == 0


async def test_without_events_it_says_where_it_is() -> None:
    async with process() as child:
        said = await line(child)
        url = said.split()[3]
        async with httpx.AsyncClient(trust_env=False) as client:
            status = await client.get(url)

    assert said.startswith("Cartesia simulator on http://127.0.0.1:")
    assert status.json()["ok"] is True


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        pytest.param(["--fault", "explode"], "no such fault", id="fault"),
        pytest.param(["--voice", "choir"], "choir", id="voice"),
        pytest.param(["--host", "203.0.113.1", "--voice", "tones"], "cannot listen on", id="address"),
    ],
)
def test_unusable_arguments_are_told(arguments: list[str], said: str) -> None:
    result = CliRunner().invoke(cli(), arguments)

    assert result.exit_code == 2
    assert said in " ".join(result.output.split())


def test_the_help_lists_every_fault() -> None:
    result = CliRunner().invoke(cli(), ["--help"], env={"COLUMNS": "400"})

    assert [name for name in FAULTS if name not in result.output] == []
