"""What a call costs: the product in its modes, beside a bare byte relay and the bridge as it is written first.

    python -m tests.bench.bench_calls [--quick] [--calls 40] [--rounds 9] [--json FILE]

All variants are alive all the time, one is driven at a time, in random order within each round; ratios are made within
a round, and their median, 10th and 90th percentile are printed. CPU is what the kernel's scheduler counted for all of a
process's threads. A segment is rejected when frames were lost, the generator was late, or the bridge was saturated. The
product is `archer serve` as it is deployed: signatures, tokens, SQLite record, ledger, tools and log in place.
"""

import argparse
import asyncio
import json
import os
import platform
import random
import re
import socket
import ssl
import sys
import tempfile
import time
from asyncio.subprocess import PIPE, Process
from collections import defaultdict
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

import httpx
import uvloop
from twilio.request_validator import RequestValidator

from archer_bridge.adapters.sql import open_store
from archer_bridge.adapters.sql.seed import DEMO_CUSTOMERS
from archer_bridge.devkit.phone import DEMO_ACCOUNT
from tests.bench.load import Leg, Measured, drive, median_and_range, open_leg, start_message

PUBLIC = "https://bridge.example.test"
SOCKET = "wss://bridge.example.test/ws/cartesia"
NO_TLS = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
"""For plain http: reading the machine's certificates takes a fifth of a second a client."""
SIGN = RequestValidator(DEMO_ACCOUNT.auth_token).compute_signature
MODES = {
    "archer passthrough": {},
    "archer recording": {"ARCHER_RECORDING__ENABLED": "true"},
    "archer pcm_16000": {"ARCHER_CARTESIA__AUDIO_FORMAT": "pcm_16000"},
    "archer pcm_24000": {"ARCHER_CARTESIA__AUDIO_FORMAT": "pcm_24000"},
    "archer plain sockets": {},
}
RELAY, NAIVE, PASS = "bare relay", "naive bridge", "archer passthrough"
LATE_S, BUSY = 0.005, 0.7
GOALS = (
    ("CPU, passthrough / relay", PASS, RELAY, "us", 1.45),
    ("CPU, pcm_16000 / relay", "archer pcm_16000", RELAY, "us", 2.0),
    ("CPU, passthrough / naive", PASS, NAIVE, "us", 0.32),
    ("CPU, pcm_16000 / naive", "archer pcm_16000", NAIVE, "us", 0.42),
    ("latency p50, passthrough / relay", PASS, RELAY, "p50", 1.5),
    ("latency p99, passthrough / relay", PASS, RELAY, "p99", 2.0),
    ("CPU, recording / passthrough", "archer recording", PASS, "us", 1.15),
)
"""What is compared, and the goal."""


@dataclass
class Variant:
    """One bridge process."""

    name: str
    process: Process
    port: int
    is_product: bool
    rss_idle: float = 0.0
    rss_call: list[float] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Segment:
    """One driven segment: microseconds of CPU a frame's round trip, added milliseconds, and why it does not count."""

    us: float
    p50: float
    p99: float
    load: float
    rejected: str


def cpu_ns(pid: int) -> int:
    """Return the CPU time of all threads of a process."""
    return sum(int(path.read_text().split()[0]) for path in Path(f"/proc/{pid}/task").glob("*/schedstat"))


def rss_kib(pid: int) -> float:
    """Return resident memory."""
    return float(re.findall(r"VmRSS:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())[0])


async def spawn(stack: AsyncExitStack, *arguments: str, env: dict[str, str] | None = None) -> Process:
    """Start a Python process that ends with the stack."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, *arguments, stdout=PIPE, stderr=None, env={**os.environ, **(env or {})}
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
    async with asyncio.timeout(20):
        return int(await process.stdout.readline())


async def product(stack: AsyncExitStack, name: str, folder: Path, engine_port: int) -> Variant:
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
        "CARTESIA_WS_URL": f"ws://127.0.0.1:{engine_port}",
        "ARCHER_CARTESIA__REST_URL": f"http://127.0.0.1:{engine_port}",
        "DATABASE_URL": database,
        "ARCHER_SERVER__PORT": str(port),
        "ARCHER_SERVER__MAX_CALLS": "2000",
        "ARCHER_CALLS__PER_NUMBER": "0",
        "ARCHER_ADMIN__ENABLED": "false",
        "ARCHER_RECORDING__FOLDER": str(folder / "recordings"),
        "ARCHER_LOG__LEVEL": "error",
        **MODES[name],
    }
    program = "from archer_bridge.cli.main import run; run()"
    if name == "archer plain sockets":
        program = "import archer_bridge.adapters.fast_frames as f; f.KNOWN.update(websockets='0.'); " + program
    process = await spawn(stack, "-c", program, "serve", env=env)
    async with httpx.AsyncClient(trust_env=False, verify=NO_TLS) as client, asyncio.timeout(30):
        while True:
            try:
                await client.get(f"http://127.0.0.1:{port}/health/live")
                break
            except httpx.TransportError:
                await asyncio.sleep(0.1)
    return Variant(name, process, port, True, rss_kib(process.pid))


async def open_calls(variant: Variant, calls: int, measured: Measured, *, begins: str = "") -> list[Leg]:
    """Place the calls; the product's have a webhook, a signature and a token each. Their SIDs start with `begins`."""
    url = f"http://127.0.0.1:{variant.port}/webhooks/twilio/incoming"
    signed = f"X-Twilio-Signature: {SIGN(SOCKET, {})}\r\n"

    async def one(client: httpx.AsyncClient) -> Leg:
        call_sid, token = f"CA{begins}{random.getrandbits(128):032x}"[:34], ""
        if variant.is_product:
            form = {
                "CallSid": call_sid, "AccountSid": DEMO_ACCOUNT.account_sid, "From": "+15550100001",
                "To": "+15550199999", "CallStatus": "ringing", "Direction": "inbound",
            }  # fmt: skip
            headers = {"X-Twilio-Signature": SIGN(f"{PUBLIC}/webhooks/twilio/incoming", form)}
            twiml = (await client.post(url, data=form, headers=headers)).text
            found = re.search(r'name="token" value="([^"]+)"', twiml)
            if found is None:
                raise RuntimeError(f"{variant.name} did not answer the call: {twiml[:300]}")
            token = found[1]
        return await open_leg(variant.port, start_message(call_sid, token), signed, measured)

    async with httpx.AsyncClient(trust_env=False, timeout=30, verify=NO_TLS) as client:
        return [await one(client) for _ in range(calls)]


async def segment(variant: Variant, calls: int, *, warm_s: float, measure_s: float, late_s: float = LATE_S) -> Segment:
    """Drive one variant for a while."""
    measured = Measured()
    legs = await open_calls(variant, calls, measured)
    await asyncio.sleep(0.5)  # sessions get ready
    edges: list[tuple[float, int]] = []

    async def edge() -> None:
        edges.append((time.perf_counter(), cpu_ns(variant.process.pid)))

    await drive(legs, warm_s=warm_s, measure_s=measure_s, edge=edge)
    if variant.is_product:
        variant.rss_call.append((rss_kib(variant.process.pid) - variant.rss_idle) / calls)
    for leg in legs:
        leg.transport.abort()
    (began, cpu_before), (ended, cpu_after) = edges
    used = cpu_after - cpu_before
    load = used / 1e9 / (ended - began)
    late = measured.percentile(measured.lateness, 0.99) / 1000
    rejected = ""
    if not 0.995 <= measured.received / measured.sent <= 1.005:
        rejected = f"{measured.received} of {measured.sent} frames came back"
    elif late > late_s:
        rejected = f"the generator was {late * 1000:.1f} ms late"
    elif load > BUSY:
        rejected = f"the bridge used {load:.0%} of a core"
    p50, p99 = (measured.percentile(measured.latencies, share) for share in (0.5, 0.99))
    return Segment(used / 1000 / max(1, measured.sent), p50, p99, load, rejected)


async def run(arguments: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Start everything, measure, return the figures."""
    rounds: list[dict[str, Segment]] = []
    late_s = float("inf") if arguments.busy else LATE_S
    async with AsyncExitStack() as stack:
        engine_port = await printed_port(await spawn(stack, "-m", "tests.bench.far_engine"))
        variants = []
        for name, module in ((RELAY, "relay"), (NAIVE, "naive_bridge")):
            process = await spawn(stack, "-m", f"tests.bench.{module}", str(engine_port))
            variants.append(Variant(name, process, await printed_port(process), False, rss_kib(process.pid)))
        for name in MODES:
            (home := folder / name.replace(" ", "-")).mkdir()
            variants.append(await product(stack, name, home, engine_port))
        for number in range(arguments.rounds):
            results: dict[str, Segment] = {}
            for variant in random.sample(variants, len(variants)):
                result = await segment(
                    variant, arguments.calls, warm_s=arguments.warm, measure_s=arguments.seconds, late_s=late_s
                )
                print(f"  {number + 1} {variant.name:22s} {result.us:7.1f} us  {result.rejected}", file=sys.stderr)
                results[variant.name] = result
                await asyncio.sleep(0.5)  # its calls end
            rounds.append(results)
        return figures(rounds, variants)


def figures(rounds: list[dict[str, Segment]], variants: list[Variant]) -> dict[str, Any]:
    """Return the table's content."""
    names = [variant.name for variant in variants]
    good = [{name: result for name, result in results.items() if not result.rejected} for results in rounds]
    rows: dict[str, Any] = {}
    for name in names:
        kept = [results[name] for results in good if name in results]
        row: dict[str, Any] = {"segments": len(kept)}
        for figure in ("us", "p50", "p99", "load"):
            row[figure] = median_and_range([getattr(result, figure) for result in kept])
        row["us_to_relay"] = ratio(good, name, RELAY, "us")
        row["us_to_naive"] = ratio(good, name, NAIVE, "us")
        rows[name] = row
    memory: defaultdict[str, dict[str, float]] = defaultdict(dict)
    for variant in variants:
        memory[variant.name]["idle_mib"] = variant.rss_idle / 1024
        if variant.rss_call:
            memory[variant.name]["kib_a_call"] = min(variant.rss_call)
    goals = {text: (*ratio(good, one, other, figure), goal) for text, one, other, figure, goal in GOALS}
    return {"variants": rows, "goals": goals, "memory": memory}


def ratio(rounds: list[dict[str, Segment]], one: str, other: str, figure: str) -> tuple[float, float, float]:
    """Return the median and range of the ratios made within rounds."""
    pairs = [(r[one], r[other]) for r in rounds if one in r and other in r]
    return median_and_range([getattr(a, figure) / getattr(b, figure) for a, b in pairs])


def machine(calls: int) -> str:
    """Return what this was measured on."""
    libraries = ("uvicorn", "starlette", "websockets", "uvloop", "msgspec", "pybase64", "numpy")
    return (
        f"{calls} calls, CPython {platform.python_version()}, {os.cpu_count()} cores, {platform.system()} "
        f"{platform.release()}, load {os.getloadavg()[0]:.1f} before; "
        + ", ".join(f"{name} {version(name)}" for name in libraries)
    )


def show(result: dict[str, Any]) -> str:
    """Return the tables."""
    lines = [result["machine"], ""]
    lines += ["| variant | segments | us/frame | / relay | / naive | p50 ms | p99 ms | core % |"]
    lines += ["|---|---|---|---|---|---|---|---|"]
    for name, row in result["variants"].items():
        relay, naive = row["us_to_relay"], row["us_to_naive"]
        lines.append(
            f"| {name} | {row['segments']} | {row['us'][0]:.1f} | {relay[0]:.2f} [{relay[1]:.2f}..{relay[2]:.2f}] "
            f"| {naive[0]:.2f} [{naive[1]:.2f}..{naive[2]:.2f}] | {row['p50'][0]:.2f} | {row['p99'][0]:.2f} "
            f"| {row['load'][0] * 100:.0f} |"
        )
    lines += ["", "| figure | goal | median | p10..p90 | |", "|---|---|---|---|---|"]
    for text, (median, low, high, goal) in result["goals"].items():
        met = "met" if median <= goal else "within the noise" if median <= goal * 1.15 or low <= goal else "not met"
        met = met if median == median else "not measured"  # NaN is not itself
        lines.append(f"| {text} | <= {goal} | {median:.2f} | {low:.2f}..{high:.2f} | {met} |")
    lines += ["", "| variant | idle MiB | KiB a call |", "|---|---|---|"]
    for name, memory in result["memory"].items():
        lines.append(f"| {name} | {memory['idle_mib']:.0f} | {memory.get('kib_a_call', float('nan')):.0f} |")
    return "\n".join(lines)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--calls", type=int, default=40)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--seconds", type=float, default=1.4, help="of one measured segment")
    parser.add_argument("--warm", type=float, default=0.5, help="seconds driven before it")
    parser.add_argument("--quick", action="store_true", help="three rounds: a first impression")
    parser.add_argument("--busy", action="store_true", help="accept a late generator: the CPU figures only count")
    parser.add_argument("--json", type=Path, help="write the figures here, too")
    arguments = parser.parse_args()
    if arguments.quick:
        arguments.rounds = min(arguments.rounds, 3)
    about = machine(arguments.calls)
    with tempfile.TemporaryDirectory(prefix="archer-bench-") as folder:
        result = {"machine": about, **uvloop.run(run(arguments, Path(folder)))}
    print(show(result))
    if arguments.json:
        arguments.json.write_text(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
