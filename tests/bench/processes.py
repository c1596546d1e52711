"""What the kernel knows of a process, and what the machine is."""

import os
import platform
import re
import subprocess
from importlib.metadata import version
from pathlib import Path


def cpu_ns(pid: int) -> int:
    """Return the CPU time of all threads of a process."""
    return sum(int(path.read_text().split()[0]) for path in Path(f"/proc/{pid}/task").glob("*/schedstat"))


def wait_ns(pid: int) -> int:
    """Return how long a process's first thread, which has the event loop, was ready to run and had no core."""
    return int(Path(f"/proc/{pid}/schedstat").read_text().split()[1])


def stolen_s() -> float:
    """Return for how long, so far, the machine's host kept back cores that wanted to run: `steal` in proc(5).

    All cores together; counted in ticks, a hundredth of a second each mostly.
    """
    return int(Path("/proc/stat").read_text().split()[8]) / os.sysconf("SC_CLK_TCK")


def rss_kib(pid: int) -> float:
    """Return resident memory."""
    return float(re.findall(r"VmRSS:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())[0])


PEER_LIBRARIES = ("pipecat-ai", "soxr", "uvicorn", "websockets", "uvloop", "numpy")


def peer_versions(python: Path) -> str:
    """Return what the peers' Python has of pipecat; empty if that cannot be told."""
    program = (
        f"from importlib.metadata import version as v; print(*[n + ' ' + v(n) for n in {PEER_LIBRARIES}], sep=', ')"
    )
    try:
        done = subprocess.run([python, "-c", program], capture_output=True, text=True, check=False)
    except OSError:
        return ""
    return done.stdout.strip()


def machine(calls: str) -> str:
    """Return what this is measured on."""
    libraries = ("uvicorn", "starlette", "websockets", "uvloop", "msgspec", "pybase64", "numpy")
    return (
        f"{calls} calls, CPython {platform.python_version()}, {os.cpu_count()} cores, {platform.system()} "
        f"{platform.release()}, load {os.getloadavg()[0]:.1f} before; "
        + ", ".join(f"{name} {version(name)}" for name in libraries)
    )
