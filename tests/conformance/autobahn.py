"""The Autobahn test suite against both of our WebSocket ends, with production flags.

`python -m tests.conformance.autobahn [--cases 1.*,2.*] [--suite FOLDER]`. The suite is Python 2: it needs a Python 2.7
and `pip install --target FOLDER autobahntestsuite==0.8.2` by it; without one this says so and exits with 75.

Server: our ASGI end on uvicorn as `archer serve` configures it. Client: the dialler that reaches Cartesia, but with the
suite's sockets. Cases 12 and 13 are permessage-deflate, which both ends have switched off, and 9.* are messages of
megabytes, which both refuse by design: they are left out.
"""

import argparse
import asyncio
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from starlette.applications import Starlette
from starlette.routing import WebSocketRoute
from starlette.websockets import WebSocket
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from archer_bridge.adapters.client_socket import MAX_MESSAGE
from archer_bridge.adapters.server import server_config

SKIPPED = 75
"""BSD's EX_TEMPFAIL: nothing was proved."""
GOOD = frozenset({"OK", "NON-STRICT", "INFORMATIONAL", "UNIMPLEMENTED"})
KNOWN = frozenset({"7.1.5"})
"""The `websockets` library documents that it does not fail a connection on data after a close frame."""
RUN = "import sys, site; site.addsitedir({folder!r}); from autobahntestsuite.wstest import run; run()"


def python2() -> Path | None:
    """Return a Python 2.7, if there is one."""
    candidates = [shutil.which("python2.7"), *Path.home().glob(".pyenv/versions/2.7*/bin/python")]
    return next((Path(found) for found in candidates if found and _runs(str(found))), None)


def _runs(python: str) -> bool:
    """Whether it really does: a version manager's shim may exist and fail."""
    return subprocess.run([python, "-c", "import ssl"], capture_output=True, check=False).returncode == 0


async def echo(websocket: WebSocket) -> None:
    """Say everything back."""
    await websocket.accept()
    while (message := await websocket.receive())["type"] == "websocket.receive":
        if message.get("text") is not None:
            await websocket.send_text(message["text"])
        else:
            await websocket.send_bytes(message["bytes"])


def serve(port: int) -> None:
    """Run the echo app as `archer serve` would; a process of its own."""
    import uvicorn

    app = Starlette(routes=[WebSocketRoute("/", echo)])
    config = server_config(app)
    config.host, config.port = "127.0.0.1", port
    uvicorn.Server(config).run()


async def be_client(port: int) -> None:
    """Play every case of a fuzzing server, then have it write the reports."""
    options: dict[str, object] = {
        "compression": None,
        "proxy": None,
        "ping_interval": None,
        "open_timeout": None,
        "max_size": MAX_MESSAGE,
    }
    async with connect(f"ws://127.0.0.1:{port}/getCaseCount", **options) as socket:  # type: ignore[arg-type]
        count = int(await socket.recv())
    for number in range(1, count + 1):
        try:
            async with connect(f"ws://127.0.0.1:{port}/runCase?case={number}&agent=archer", **options) as socket:  # type: ignore[arg-type]
                async for message in socket:
                    await socket.send(message)
        except ConnectionClosed:
            pass
    async with connect(f"ws://127.0.0.1:{port}/updateReports?agent=archer", **options):  # type: ignore[arg-type]
        pass


def free_port() -> int:
    """Return a port that was free a moment ago."""
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


async def until_open(port: int) -> None:
    """Return once something listens."""
    async with asyncio.timeout(30):
        while True:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
            except OSError:
                await asyncio.sleep(0.1)
                continue
            writer.close()
            return


def verdict(name: str, folder: Path) -> list[str]:
    """Print one direction's result; return the cases that failed."""
    cases = {}
    for agent in json.loads((folder / "index.json").read_text(encoding="utf-8")).values():
        cases.update({case: result["behavior"] for case, result in agent.items()})
    failed = sorted(case for case, behavior in cases.items() if behavior not in GOOD)
    print(f"{name}: {len(cases)} cases, {dict(Counter(cases.values()))}, failed: {failed or 'none'}", flush=True)
    return [case for case in failed if case not in KNOWN]


def main() -> int:
    """Run both directions."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", default="*", help="comma-separated; for both directions")
    parser.add_argument("--suite", type=Path, default=Path(os.environ.get("AUTOBAHN_SUITE", "var/autobahn")))
    parser.add_argument("--serve", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        serve(options.serve)
        return 0
    python = python2()
    if python is None or not (options.suite / "autobahntestsuite").is_dir():
        print(f"SKIPPED: needs a Python 2.7 (found: {python}) and the suite in {options.suite}; see --help", flush=True)
        return SKIPPED
    command = [str(python), "-c", RUN.format(folder=str(options.suite.resolve()))]
    with tempfile.TemporaryDirectory() as name:
        failed = _as_server(command, options.cases.split(","), Path(name)) + _as_client(
            command, options.cases.split(","), Path(name)
        )
    print("passed" if not failed else f"FAILED: {failed}")
    return 1 if failed else 0


def _spec(path: Path, content: dict[str, object], cases: Sequence[str], without: Sequence[str]) -> list[str]:
    rest = {"cases": list(cases), "exclude-cases": list(without), "exclude-agent-cases": {}}
    path.write_text(json.dumps({**content, **rest}), encoding="utf-8")
    return ["-s", str(path)]


def _as_server(command: list[str], cases: Sequence[str], folder: Path) -> list[str]:
    port = free_port()
    command_line = [sys.executable, "-m", "tests.conformance.autobahn", "--serve", str(port)]
    server = subprocess.Popen(command_line, stderr=subprocess.DEVNULL)  # a traceback for each bad text
    try:
        asyncio.run(until_open(port))
        spec = {"outdir": str(folder / "server"), "servers": [{"agent": "archer", "url": f"ws://127.0.0.1:{port}"}]}
        arguments = _spec(folder / "client.json", spec, cases, ["9.*", "12.*", "13.*"])
        subprocess.run(
            [*command, "-m", "fuzzingclient", *arguments], check=True, stdout=subprocess.DEVNULL, timeout=300
        )
    finally:
        server.terminate()
        server.wait(15)
    return verdict("server", folder / "server")


def _as_client(command: list[str], cases: Sequence[str], folder: Path) -> list[str]:
    port = free_port()
    spec: dict[str, object] = {"outdir": str(folder / "ours"), "url": f"ws://127.0.0.1:{port}"}
    arguments = _spec(folder / "server.json", spec, cases, ["9.*", "12.*", "13.*"])
    server = subprocess.Popen([*command, "-m", "fuzzingserver", *arguments], stdout=subprocess.DEVNULL)
    try:
        asyncio.run(until_open(port))
        asyncio.run(be_client(port))
    finally:
        server.terminate()
        server.wait(15)
    return verdict("client", folder / "ours")


if __name__ == "__main__":
    sys.exit(main())
