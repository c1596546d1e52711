"""The bridges that are measured: each a process of its own, all of them alive until the measuring ends."""

import asyncio
import os
import shutil
import socket
import ssl
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from archer_bridge.adapters.sql import open_store
from archer_bridge.adapters.sql.seed import DEMO_CUSTOMERS
from archer_bridge.devkit.phone import DEMO_ACCOUNT
from tests.bench.processes import rss_kib

PUBLIC = "https://bridge.example.test"
NO_TLS = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
"""For plain http: reading the machine's certificates takes a fifth of a second a client."""
RELAY, NAIVE = "bare relay", "naive bridge"
PASS, PCM_16000, PCM_24000 = "archer passthrough", "archer pcm_16000", "archer pcm_24000"
RECORDING, TLS, PLAIN = "archer recording", "archer TLS engine", "archer plain sockets"
MINIMUM, DEAREST = "archer pcm_16000 minimum", "archer pcm_44100 recording"
PIPECAT_8K, PIPECAT_16K = "pipecat 8k 1:1", "pipecat 16k default"
MODES: dict[str, dict[str, str]] = {
    PASS: {},
    RECORDING: {"ARCHER_RECORDING__ENABLED": "true"},
    PCM_16000: {"ARCHER_CARTESIA__AUDIO_FORMAT": "pcm_16000"},
    PCM_24000: {"ARCHER_CARTESIA__AUDIO_FORMAT": "pcm_24000"},
    TLS: {},
    PLAIN: {},
    MINIMUM: {"ARCHER_CARTESIA__AUDIO_FORMAT": "pcm_16000"},
    DEAREST: {"ARCHER_CARTESIA__AUDIO_FORMAT": "pcm_44100", "ARCHER_RECORDING__ENABLED": "true"},
}
"""Settings of the product."""
PROGRAM = "from archer_bridge.cli.main import run; run()"
PROGRAMS = {
    PLAIN: "import archer_bridge.adapters.fast_frames as f; f.KNOWN.update(websockets='0.'); " + PROGRAM,
    MINIMUM: "import functools, archer_codecs.builtin as b; "
    "b.Resampler = functools.partial(b.Resampler, phase='minimum'); " + PROGRAM,
}
"""What no setting reaches: the plain sockets, and the codec library's resampler of minimum phase."""
OTHERS = {RELAY: "relay", NAIVE: "naive_bridge"}
RATES = {PIPECAT_8K: 8000, PIPECAT_16K: 16000}
LUMPS = frozenset({PIPECAT_16K})
"""Variants whose resampler turns frames into lumps: no answer belongs to a frame."""


@dataclass
class Variant:
    """One bridge process."""

    name: str
    process: Process
    port: int
    is_product: bool
    engine_pid: int
    rss_idle: float = 0.0
    """KiB before the first call."""
    rss_call: list[float] = field(default_factory=list)
    """KiB a call more than before it, while the first calls after a few that have ended are driven."""

    @property
    def is_frame_for_frame(self) -> bool:
        """Whether each frame is answered with a message of its own."""
        return self.name not in LUMPS


@dataclass(frozen=True, slots=True)
class Engine:
    """The far engine's port and process; the same behind TLS, with its certificate, where that can be had."""

    port: int
    pid: int
    tls_port: int = 0
    tls_pid: int = 0
    certificate: Path | None = None


async def spawn(
    stack: AsyncExitStack, *arguments: str, env: Mapping[str, str] | None = None, python: str = sys.executable
) -> Process:
    """Start a Python process that ends with the stack."""
    process = await asyncio.create_subprocess_exec(
        python, *arguments, stdout=PIPE, stderr=None, env={**os.environ, **(env or {})}
    )

    async def end() -> None:
        if process.returncode is None:
            process.kill()
        await process.wait()

    stack.push_async_callback(end)
    return process


async def printed_port(process: Process) -> int:
    """Return the port that a process prints first."""
    assert process.stdout is not None
    async with asyncio.timeout(30):
        return int(await process.stdout.readline())


async def start_engine(stack: AsyncExitStack, folder: Path, *, module: str = "far_engine", tls: bool = False) -> Engine:
    """Start the far engine, and with `tls` a second one behind a certificate made for it."""
    process = await spawn(stack, "-m", f"tests.bench.{module}")
    plain = Engine(await printed_port(process), process.pid)
    if not tls:
        return plain
    if (openssl := shutil.which("openssl")) is None:
        print(f"SKIPPED: {TLS}: the openssl command, which makes its certificate, is not here", file=sys.stderr)
        return plain
    certificate, key = folder / "engine.pem", folder / "engine.key"
    made = await asyncio.create_subprocess_exec(
        openssl, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=127.0.0.1",
        "-addext", "subjectAltName=IP:127.0.0.1", "-out", str(certificate), "-keyout", str(key), stderr=DEVNULL,
    )  # fmt: skip
    if await made.wait():
        raise RuntimeError(f"openssl made no certificate, code {made.returncode}")
    process = await spawn(stack, "-m", f"tests.bench.{module}", "--tls", str(certificate), str(key))
    return Engine(plain.port, plain.pid, await printed_port(process), process.pid, certificate)


async def start(
    stack: AsyncExitStack, names: Sequence[str], folder: Path, engine: Engine, *, peers: Path | None
) -> list[Variant]:
    """Start these variants; those that cannot be had here are left out and said so."""
    variants = []
    for name in names:
        if name in OTHERS:
            process = await spawn(stack, "-m", f"tests.bench.{OTHERS[name]}", str(engine.port))
            variants.append(Variant(name, process, await printed_port(process), False, engine.pid))
        elif name in RATES:
            if peers is not None and (peer := await _peer(stack, name, engine, str(peers))) is not None:
                variants.append(peer)
        elif name != TLS or engine.tls_port:
            (home := folder / name.replace(" ", "-")).mkdir()
            variants.append(await product(stack, name, home, engine))
    if peers is None and RATES.keys() & set(names):
        print("SKIPPED: pipecat: `make bench-peers` installs and measures it", file=sys.stderr)
    for variant in variants:
        variant.rss_idle = rss_kib(variant.process.pid)
    return variants


async def _peer(stack: AsyncExitStack, name: str, engine: Engine, python: str) -> Variant | None:
    arguments = ("-m", "tests.bench.pipecat_bridge", str(engine.port), str(RATES[name]))
    try:
        process = await spawn(stack, *arguments, python=python)
        return Variant(name, process, await printed_port(process), False, engine.pid)
    except (ValueError, OSError):  # it ended without a port, having said why, or there is no such Python
        print(f"SKIPPED: {name}: pipecat does not start with {python}", file=sys.stderr)
        return None


async def product(stack: AsyncExitStack, name: str, folder: Path, engine: Engine) -> Variant:
    """Start `archer serve` on a fresh database."""
    database = f"sqlite+aiosqlite:///{folder / 'archer.db'}"
    store = await open_store(database, owner_id="bench")
    await store.add_customers(DEMO_CUSTOMERS)
    await store.close()
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    env = {
        "WEBHOOK_BASE_URL": PUBLIC,
        "TWILIO_ACCOUNT_SID": DEMO_ACCOUNT.account_sid,
        "TWILIO_AUTH_TOKEN": DEMO_ACCOUNT.auth_token,
        "CARTESIA_API_KEY": "sk_car_bench",
        "CARTESIA_AGENT_ID": "agent_bench",
        "CARTESIA_WS_URL": f"ws://127.0.0.1:{engine.port}",
        "ARCHER_CARTESIA__REST_URL": f"http://127.0.0.1:{engine.port}",
        "DATABASE_URL": database,
        "ARCHER_SERVER__PORT": str(port),
        "ARCHER_SERVER__MAX_CALLS": "2000",
        "ARCHER_CALLS__PER_NUMBER": "0",
        "ARCHER_ADMIN__ENABLED": "false",
        "ARCHER_RECORDING__FOLDER": str(folder / "recordings"),
        "ARCHER_LOG__LEVEL": "error",
        **MODES[name],
    }
    if name == TLS:
        env |= {"CARTESIA_WS_URL": f"wss://127.0.0.1:{engine.tls_port}", "SSL_CERT_FILE": str(engine.certificate)}
    process = await spawn(stack, "-c", PROGRAMS.get(name, PROGRAM), "serve", env=env)
    async with httpx.AsyncClient(trust_env=False, verify=NO_TLS) as client, asyncio.timeout(30):
        while True:
            try:
                await client.get(f"http://127.0.0.1:{port}/health/live")
                break
            except httpx.TransportError:
                await asyncio.sleep(0.1)
    return Variant(name, process, port, True, engine.tls_pid if name == TLS else engine.pid)
