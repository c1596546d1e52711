"""Sockets that never prove themselves: beside live calls, and what each costs a real process."""

import asyncio
import base64
import os
import resource
from pathlib import Path

from archer_bridge.devkit.phone import Caller, PhoneOptions
from archer_bridge.web.stream import UNAUTHENTICATED_LIMIT
from tests.security.proofs.findings import Finding, Size
from tests.support.serve_process import ServeProcess, serve_process
from tests.support.streams import open_stream, upgrade_headers
from tests.support.world import world

MOST_KIB = 25
WARM_UP = 32
AT_ONCE = 20
"""Sockets opened at the same time, while the others wait."""
SETTLE_S = 1.0
"""For the process to be done with those it refused."""


async def strangers(size: Size, folder: Path) -> list[Finding]:
    """Signed sockets that never prove themselves, beside calls that are live."""
    loop = asyncio.get_running_loop()

    async def listen(caller: Caller) -> None:
        await caller.wait(9)
        await caller.hang_up()

    async with world(folder, ARCHER_SERVER__MAX_CALLS="200") as here:
        calls = [asyncio.create_task(here.call(listen, options=PhoneOptions(voice="tones"))) for _ in range(size.calls)]
        while here.simulator.counters.connections < size.calls:
            await asyncio.sleep(0.1)
        began, vendor = loop.time(), here.simulator.counters.connections
        opened = await asyncio.gather(*(open_stream(here) for _ in range(size.sockets)), return_exceptions=True)
        sockets = [socket for socket in opened if not isinstance(socket, BaseException)]
        await asyncio.gather(*(socket.wait_closed() for socket in sockets))
        took, refused = loop.time() - began, size.sockets - len(sockets)
        extra = here.simulator.counters.connections - vendor
        await asyncio.gather(*calls)
        rows = await here.store.list_calls(limit=1000)
    lost = sum(row.numbers.get("frames_missing", 0) + sum(row.numbers.get("bad_frames", {}).values()) for row in rows)
    frames = sum(row.numbers.get("frames_in", 0) for row in rows)
    return [
        Finding(
            f"{size.sockets} unproved sockets: accepted",
            f"<= {UNAUTHENTICATED_LIMIT}",
            f"{len(sockets)}, {refused} refused",
            len(sockets) <= UNAUTHENTICATED_LIMIT,
        ),
        Finding("all closed", "<= 6 s", f"{took:.1f} s of the call's clock", took <= 6),
        Finding(
            "vendor connections and rows for them",
            "0 and 0",
            f"{extra} and {len(rows) - size.calls}",
            (extra, len(rows)) == (0, size.calls),
        ),
        Finding(
            f"frames lost by {size.calls} live calls",
            "0",
            f"{lost} of {frames}",
            lost == 0 and frames >= 400 * size.calls,
        ),
    ]


async def memory(size: Size, folder: Path) -> list[Finding]:
    """What an unproved socket costs `archer serve`: its resident memory with and without them."""
    _allow_files(size.sockets + 200)
    # Long enough to be counted; the limit on their number is the product's own.
    async with serve_process(folder, ARCHER_CALLS__START_TIMEOUT_S="120") as served:
        port = int((await served.url()).rpartition(":")[2])
        for _ in range(WARM_UP // 8):
            _close([await _knock(port) for _ in range(8)])
        await asyncio.sleep(SETTLE_S)
        before = _resident_kib(served)
        answered = []
        for _ in range(-(-size.sockets // AT_ONCE)):
            answered += await asyncio.gather(*(_knock(port) for _ in range(AT_ONCE)))
        await asyncio.sleep(SETTLE_S)
        after = _resident_kib(served)
        held = sum(status == b"101" for _, status in answered)
        silent = await asyncio.gather(*(asyncio.open_connection("127.0.0.1", port) for _ in range(size.sockets)))
        await asyncio.sleep(SETTLE_S)
        idle = (_resident_kib(served) - after) / len(silent)
        _close(answered)
        for _, writer in silent:
            writer.close()
    each = (after - before) / held
    return [
        Finding(
            f"resident memory of each of {held} unproved sockets ({len(answered)} came)",
            f"<= {MOST_KIB} KiB",
            f"{each:.1f} KiB",
            each <= MOST_KIB and held == min(len(answered), UNAUTHENTICATED_LIMIT),
        ),
        Finding(
            f"of each of {len(silent)} connections that say nothing",
            f"<= {MOST_KIB} KiB",
            f"{idle:.1f} KiB",
            idle <= MOST_KIB,
        ),
    ]


async def _knock(port: int) -> tuple[asyncio.StreamWriter, bytes]:
    """Open a signed socket by hand, which costs this process little; return it with the answer's status."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    headers = {
        "Host": "bridge.example.test",
        "Upgrade": "websocket",
        "Connection": "Upgrade",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": base64.b64encode(os.urandom(16)).decode(),
        **upgrade_headers(),
    }
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    writer.write(f"GET /ws/cartesia HTTP/1.1\r\n{lines}\r\n".encode())
    return writer, (await reader.readuntil(b"\r\n\r\n")).split()[1]


def _close(sockets: list[tuple[asyncio.StreamWriter, bytes]]) -> None:
    for writer, _ in sockets:
        writer.close()


def _resident_kib(served: ServeProcess) -> int:
    """Return VmRSS of a process, in KiB (proc(5))."""
    lines = Path(f"/proc/{served.process.pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS:"))


def _allow_files(count: int) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 2 * count
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(wanted, hard) if hard > 0 else wanted, hard))
