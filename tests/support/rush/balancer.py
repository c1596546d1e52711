"""HAProxy as deploy/ ships it, in front of bridges on this machine's own ports."""

import asyncio
import re
import shutil
import subprocess
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from tests.support.rush.wire import fetch
from tests.support.serve_process import free_port

SHIPPED = Path(__file__).parents[3] / "deploy" / "haproxy.cfg"


def no_haproxy() -> str:
    """Return why there is none here; empty when there is one."""
    return "" if shutil.which("haproxy") else "haproxy is not installed (apt-get install haproxy)"


def configuration(port: int, servers: Sequence[tuple[str, int]]) -> str:
    """Return the shipped configuration with our ports, and without the limit on one source: all calls come from one."""
    text = SHIPPED.read_text()
    text = text.replace("bind 127.0.0.1:8080", f"bind 127.0.0.1:{port}")
    text = re.sub(r"(?m)^    (tcp-request connection reject|http-request deny deny_status 429).*\n", "", text)
    lines = "".join(f"    server bridge{n} {host}:{at}\n" for n, (host, at) in enumerate(servers, 1))
    return re.sub(r"(?m)^    server bridge1 .*\n", lines, text)


@asynccontextmanager
async def haproxy(folder: Path, servers: Sequence[tuple[str, int]]) -> AsyncIterator[tuple[str, int]]:
    """Run it until the block is left; yield where it listens."""
    port = free_port()
    file = folder / "haproxy.cfg"
    file.write_text(configuration(port, servers))
    with (folder / "haproxy.log").open("wb") as out:
        process = subprocess.Popen(["haproxy", "-db", "-f", str(file)], stdout=out, stderr=out)
    try:
        async with asyncio.timeout(10):
            while (await fetch(("127.0.0.1", port), "/readyz"))[0] != 200:
                assert process.poll() is None, (folder / "haproxy.log").read_text()
                await asyncio.sleep(0.05)
        yield "127.0.0.1", port
    finally:
        process.kill()
        process.wait()
