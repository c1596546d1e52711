"""`archer`: what there is, quickly."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from archer_bridge import __version__
from archer_bridge.cli.main import COMMANDS, app

HEAVY = ("numpy", "twilio", "sqlalchemy", "starlette", "uvicorn", "websockets", "pydantic", "aiohttp", "structlog")


def archer(*arguments: str) -> tuple[int, str]:
    result = CliRunner().invoke(app, list(arguments), env={"COLUMNS": "100"}, prog_name="archer")
    return result.exit_code, result.output


@pytest.mark.parametrize("arguments", [["--help"], []], ids=["help", "nothing"])
def test_every_command_is_listed_with_its_line(arguments: list[str]) -> None:
    _, output = archer(*arguments)

    for name, (_, line) in COMMANDS.items():
        assert name in output
        assert line in output


@pytest.mark.parametrize("name", list(COMMANDS))
def test_every_command_has_help(name: str) -> None:
    code, output = archer(name, "--help")

    assert code == 0
    assert f"Usage: archer {name}" in output


def test_an_unknown_command_is_told() -> None:
    code, output = archer("explode")

    assert code == 2
    assert "No such command 'explode'" in output


def test_an_unknown_option_is_told() -> None:
    code, output = archer("serve", "--fast")

    assert code == 2
    assert "No such option" in output


def test_the_version() -> None:
    assert archer("--version") == (0, f"archer-bridge {__version__}\n")


def test_the_help_needs_nothing_heavy() -> None:
    program = (
        "import json, sys; from archer_bridge.cli.main import app; from typer.testing import CliRunner;"
        f"CliRunner().invoke(app, ['--help']); print(json.dumps([m for m in {HEAVY!r} if m in sys.modules]))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)

    assert json.loads(done.stdout) == []


def test_it_runs_as_a_module(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "archer_bridge", "--version"], capture_output=True, text=True, cwd=tmp_path
    )

    assert (done.returncode, done.stdout) == (0, f"archer-bridge {__version__}\n")
