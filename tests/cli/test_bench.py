import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from archer_bridge.cli import bench
from archer_bridge.cli.main import app


@pytest.fixture
def commands(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    ran: list[list[str]] = []

    def run(command: list[str], **_: object) -> subprocess.CompletedProcess[bytes]:
        ran.append(command)
        return subprocess.CompletedProcess(command, 3)

    monkeypatch.setattr(subprocess, "run", run)
    return ran


def test_the_benchmark_runs_as_a_process_and_its_code_is_ours(commands: list[list[str]]) -> None:
    result = CliRunner().invoke(app, ["bench"])

    assert result.exit_code == 3
    assert commands == [[sys.executable, "-m", "tests.bench.bench_calls", "--calls", "40", "--rounds", "9"]]


def test_modes_and_files_are_passed_on(commands: list[list[str]], tmp_path: Path) -> None:
    (python := tmp_path / "python").symlink_to(sys.executable)
    options = [
        "--quick",
        "--capacity",
        "--plot",
        f"{tmp_path}/a.svg",
        "--peers",
        str(python),
        "--json",
        f"{tmp_path}/b",
    ]
    CliRunner().invoke(app, ["bench", *options])

    assert commands[0][7:] == options


def test_files_are_named_from_here(commands: list[list[str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    CliRunner().invoke(app, ["bench", "--marker", "--json", "out.json"])

    assert commands[0][7:] == ["--marker", "--json", f"{tmp_path}/out.json"]


def test_without_the_sources_it_says_what_is_missing(
    commands: list[list[str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bench, "SOURCES", tmp_path)
    result = CliRunner().invoke(app, ["bench"])

    assert (result.exit_code, commands) == (2, [])
    assert "source checkout" in result.stderr
