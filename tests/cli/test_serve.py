"""`archer serve`'s own options; what the running process does is in tests/adapters/test_server.py."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import typer

from archer_bridge.adapters.sql import upgrade
from archer_bridge.cli.serve import checked_settings, reloaded_app
from tests.support.serve_process import environment, free_port, serve_process


@pytest.fixture
def _demo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, restored_log: None) -> None:
    for name in os.environ:
        if name.startswith(("ARCHER_", "TWILIO_", "CARTESIA_", "WEBHOOK_", "DATABASE_")):
            monkeypatch.delenv(name)
    for name, value in environment(tmp_path).items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)


async def test_options_win_over_the_settings(tmp_path: Path) -> None:
    port = free_port()
    toml = tmp_path / "mine.toml"
    toml.write_text("[server]\nport = 1\nmax_calls = 7\n[admin]\nenabled = false\n")
    options = ("--config", str(toml), "--host", "127.0.0.1", "--port", str(port))
    async with serve_process(tmp_path, *options) as process:
        url = await process.url()
        process.signal()
        code = await process.exit_code()

    assert url.endswith(f":{port}")
    assert code == 0
    assert [event["listener"] for event in process.events if event["event"] == "listening"] == ["public"]


async def test_a_config_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    async with serve_process(tmp_path, "--config", "none.toml") as process:
        code = await process.exit_code()

    assert code == 2
    assert "none.toml: no such file" in "\n".join(process.said)
    assert "archer doctor" in process.said[-1]


@pytest.mark.usefixtures("_demo")
def test_settings_are_checked_for_serving(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert checked_settings().server.public_url == "https://bridge.example.test"
    monkeypatch.delenv("CARTESIA_AGENT_ID")
    with pytest.raises(typer.Exit) as caught:
        checked_settings()

    assert caught.value.exit_code == 2
    assert "CARTESIA_AGENT_ID is not set" in capsys.readouterr().err


@pytest.mark.usefixtures("_demo")
def test_the_reloader_gets_a_fresh_app() -> None:
    assert {"/healthz", "/ws/cartesia"} <= {getattr(route, "path", "") for route in reloaded_app().routes}


NOT_FOR_SERVING = ("aiohttp", "alembic", "rich", "sqlalchemy.ext.asyncio", "sqlalchemy.orm", "twilio.rest")
"""What most processes never use, and 30 MiB."""


@pytest.mark.slow  # an interpreter is started, and a schema made
async def test_a_service_at_rest_has_loaded_nothing_it_does_not_use(tmp_path: Path) -> None:
    program = (
        "import asyncio, json, sys; from archer_bridge.cli.serve import checked_settings\n"
        "async def main():\n"
        "    settings = checked_settings()\n"
        "    from archer_bridge.app import create_app\n"
        "    app = create_app(settings)\n"
        "    async with app.router.lifespan_context(app):\n"
        f"        print(json.dumps([m for m in {NOT_FOR_SERVING!r} if m in sys.modules]))\n"
        "asyncio.run(main())"
    )
    await upgrade(f"sqlite:///{tmp_path / 'archer.db'}")
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, env=environment(tmp_path), cwd=tmp_path, capture_output=True, text=True, check=False)

    assert json.loads(done.stdout or "null") == [], done.stderr
