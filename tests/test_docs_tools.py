"""docs/tools.md is true: its files are made and run, and it describes all of `tool_api`."""

import dataclasses
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from archer_bridge import tool_api
from archer_bridge.cli.tools import app
from archer_bridge.tool_api import Tool, ToolContext

PAGE = (Path(__file__).parents[1] / "docs" / "tools.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w+)(?: file=(\S+))?\n(.*?)^```$", PAGE, flags=re.MULTILINE | re.DOTALL)


@pytest.fixture
def folder(tmp_path) -> Path:
    """What somebody has who typed the page in."""
    for _, name, text in BLOCKS:
        if name:
            (tmp_path / name).write_text(text, encoding="utf-8")
    return tmp_path


def run_in(folder: Path, *command: str) -> str:
    settings = ("CARTESIA_", "TWILIO_", "ARCHER_", "DATABASE_URL", "WEBHOOK_")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(settings)}
    done = subprocess.run(
        [sys.executable, *command], cwd=folder, env=environment, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.slow  # starts an interpreter
@pytest.mark.timeout(60)
def test_the_tool_of_the_page_is_enabled_by_its_settings(folder):
    printed = run_in(folder, "-m", "archer_bridge", "tools", "ls")
    row = next(line for line in printed.splitlines() if line.startswith("opening_hours"))

    assert row.split()[1:3] == ["[tools.local]", "enabled"]


@pytest.mark.slow  # starts an interpreter
@pytest.mark.timeout(60)
def test_the_installed_command_finds_the_tool_beside_its_settings(folder):
    script = "import sys; sys.path.remove(''); from archer_bridge.cli.main import run; run()"
    printed = run_in(folder, "-c", script, "tools", "ls")
    row = next(line for line in printed.splitlines() if line.startswith("opening_hours"))

    assert row.split()[1:3] == ["[tools.local]", "enabled"]


@pytest.mark.slow  # a whole call in real time, of three processes
@pytest.mark.timeout(60)
def test_a_call_gets_the_answer_of_the_tool(folder):
    command = next(line for line in PAGE.splitlines() if line.startswith("$ archer call --embedded")).split(" ", 2)[2]
    printed = run_in(folder, "-m", "archer_bridge", *shlex.split(command), "--voice", "tones")

    assert '{"day":"monday","hours":"9 to 5"}' in printed.replace("\n", ""), printed
    assert "As expected: the record says what happened." in printed


@pytest.mark.slow  # starts pytest
@pytest.mark.timeout(60)
def test_the_test_of_the_page_passes(folder):
    printed = run_in(folder, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-o", "asyncio_mode=auto", ".")

    assert "1 passed" in printed


async def test_the_other_blocks_run():
    python = [text for language, name, text in BLOCKS if language == "python" and not name]
    names: dict[str, object] = {}
    for text in python:
        exec(compile(text, "docs/tools.md", "exec"), names)
    from archer_bridge.testing import run_tool

    assert len(python) == 1
    assert isinstance(names["book_callback"], Tool)
    assert await run_tool(names["book_callback"], {"day": "monday"}, verified=True, key="k") == {"booked": "monday"}
    assert names["BOOKED"] == {"k": "monday"}


def test_the_commands_of_the_page_exist():
    commands = re.findall(r"archer tools (\w+)", PAGE)

    assert set(commands) == {command.callback.__name__ for command in app.registered_commands if command.callback}


@pytest.mark.parametrize("name", tool_api.__all__)
def test_every_public_name_is_described(name):
    assert re.search(rf"\b{name}\b", PAGE)


def test_every_option_and_every_part_of_the_context_is_described():
    made_by_the_decorator = {"description", "parameters", "function", "model", "context", "is_async"}
    options = {field.name for field in dataclasses.fields(Tool)} - made_by_the_decorator
    context = {f"ctx.{field.name}" for field in dataclasses.fields(ToolContext)}
    missing = [name for name in sorted(options | context) if f"`{name}" not in PAGE]

    assert missing == []
