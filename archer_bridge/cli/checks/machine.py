"""The machine: interpreter, compiled parts, limits."""

import importlib
import importlib.util
import resource
import sys
from importlib.metadata import version

from archer_bridge.adapters import frames
from archer_bridge.calls import lanes
from archer_bridge.cli.checks.verdict import Verdict, fail, ok, warn
from archer_bridge.config import Settings
from archer_bridge.protocols import scan
from archer_codecs import g711, resample

OLDEST = (3, 11)
FILES_OF_A_CALL = 3
"""The caller's socket, the agent's, and a recording."""
FILES_BESIDES = 64


def python(settings: Settings) -> Verdict:
    """Whether this interpreter is one the bridge runs on."""
    found = f"Python {sys.version.split()[0]} ({sys.executable})"
    if sys.version_info < OLDEST:
        return fail(found, "use Python 3.11 or newer: make PYTHON=python3.13 test")
    return ok(found)


def event_loop(settings: Settings) -> Verdict:
    """Whether `archer serve` has uvloop."""
    if importlib.util.find_spec("uvloop") is None:
        return warn("uvloop is not installed: fewer calls fit into one process", "pip install uvloop")
    return ok(f"uvloop {version('uvloop')}")


def websockets_speedups(settings: Settings) -> Verdict:
    """Whether websockets' compiled part is there; in pure Python unmasking a frame is many times slower."""
    found = f"websockets {version('websockets')}"
    try:
        importlib.import_module("websockets.speedups")
    except ImportError:
        fix = "reinstall it from a wheel: pip install --force-reinstall websockets"
        return warn(f"{found} without its compiled part: every frame costs many times more", fix)
    return ok(f"{found}, compiled")


def kernels(settings: Settings) -> Verdict:
    """Whether the bridge's own compiled parts are there; their twins in Python do the same, and take longer."""
    parts = {
        "WebSocket frames": frames.is_compiled,
        "audio messages": scan.is_compiled,
        "express lanes": lanes.is_compiled,
        "mu-law": g711.is_compiled,
        "resampling": resample.is_compiled(),
    }
    if slow := [part for part, is_compiled in parts.items() if not is_compiled]:
        fix = "install a C compiler with Python's headers (Debian: apt install gcc python3-dev), then the bridge again"
        return warn(f"not compiled: {', '.join(slow)}: each call takes more CPU", fix)
    return ok(f"compiled: {', '.join(parts)}")


def open_files(settings: Settings) -> Verdict:
    """Whether the limit of open files allows as many calls as the settings do."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = settings.server.max_calls * FILES_OF_A_CALL + FILES_BESIDES
    if soft == resource.RLIM_INFINITY:
        return ok("no limit")
    if soft < needed:
        fix = f"ulimit -n {needed} (LimitNOFILE={needed} in a systemd unit), or lower server.max_calls"
        return warn(f"{soft} allowed, {settings.server.max_calls} calls may need {needed}", fix)
    return ok(f"{soft} allowed, enough for {settings.server.max_calls} calls")
