"""Checks of the machine."""

import importlib.util
import resource
import sys

import pytest

from archer_bridge.cli.checks import machine
from archer_bridge.cli.checks.verdict import Status, Verdict
from archer_bridge.config import Settings


def test_this_interpreter_is_good():
    found = machine.python(Settings())

    assert (Status.OK, f"Python {sys.version.split()[0]} ({sys.executable})") == (found.status, found.found)


def test_an_old_interpreter_is_not(monkeypatch):
    monkeypatch.setattr(sys, "version_info", (3, 10, 4))

    assert machine.python(Settings()).status is Status.FAIL


def test_uvloop_is_missed(monkeypatch):
    before = machine.event_loop(Settings()).status
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)

    assert (before, machine.event_loop(Settings()).status) == (Status.OK, Status.WARN)


def test_the_compiled_part_of_websockets_is_missed(monkeypatch):
    before = machine.websockets_speedups(Settings()).status
    monkeypatch.setitem(sys.modules, "websockets.speedups", None)

    assert (before, machine.websockets_speedups(Settings()).status) == (Status.OK, Status.WARN)


@pytest.mark.parametrize(
    ("soft", "expected"),
    [
        (
            256,
            Verdict(
                Status.WARN,
                "256 allowed, 100 calls may need 364",
                "ulimit -n 364 (LimitNOFILE=364 in a systemd unit), or lower server.max_calls",
            ),
        ),
        (364, Verdict(Status.OK, "364 allowed, enough for 100 calls")),
        (resource.RLIM_INFINITY, Verdict(Status.OK, "no limit")),
    ],
)
def test_the_limit_of_open_files(monkeypatch, soft, expected):
    monkeypatch.setattr(resource, "getrlimit", lambda which: (soft, soft))

    assert expected == machine.open_files(Settings())


def test_parts_that_are_not_compiled_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    for part in ("frames", "scan", "lanes", "g711"):
        monkeypatch.setattr(getattr(machine, part), "is_compiled", True)
    monkeypatch.setattr(machine.resample, "is_compiled", lambda: True)
    whole = machine.kernels(Settings())
    monkeypatch.setattr(machine.scan, "is_compiled", False)
    monkeypatch.setattr(machine.resample, "is_compiled", lambda: False)
    lacking = machine.kernels(Settings())

    assert (whole.status, lacking.status) == (Status.OK, Status.WARN)
    assert "not compiled: audio messages, resampling:" in lacking.found
    assert "python3-dev" in lacking.fix
