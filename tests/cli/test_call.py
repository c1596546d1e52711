"""`archer call`: placed for real, in a world of its own processes or against a running bridge."""

import asyncio
import os
import subprocess
import sys
import wave
from pathlib import Path

import pytest
from typer.testing import CliRunner

from archer_bridge.cli.main import app
from archer_bridge.cli.own_script import mulaw
from archer_bridge.devkit.phone import DEMO_ACCOUNT
from archer_bridge.devkit.scenarios import list_scenarios
from tests.support.serve_process import environment, serve_process
from tests.support.world import PUBLIC

SHORT = """
description = "A stranger hangs up at once."
from = "+15550100099"

[expect]
outcome = "{outcome}"
tools = []
arrangement = false

[[steps]]
hang_up = true
"""


def archer(folder: Path, *arguments: str, **changes: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "archer_bridge", *arguments],
        cwd=folder,
        env={**environment(folder), "COLUMNS": "100", **changes},
        capture_output=True,
        text=True,
        timeout=50,
    )


def said(done: subprocess.CompletedProcess[str]) -> str:
    return " ".join((done.stdout + done.stderr).split())


@pytest.mark.slow  # it starts three processes
@pytest.mark.timeout(60)
def test_an_embedded_call_needs_nothing_and_leaves_its_record_and_recording(tmp_path: Path) -> None:
    (tmp_path / "stranger.toml").write_text(SHORT.format(outcome="unknown_caller"))
    done = archer(tmp_path, "call", "--embedded", "--voice", "tones", "--scenario", "stranger.toml")
    output = said(done)

    assert done.returncode == 0, output
    assert "stranger: A stranger hangs up at once." in output
    assert "line answered" in output
    assert "outcome unknown_caller" in output
    assert "As expected: the record says what happened." in output
    assert "Traceback" not in output
    assert (tmp_path / "var/archer.db").is_file()
    (recording,) = (tmp_path / "var/calls").glob("CA*.wav")
    assert f"var/calls/{recording.name}" in output
    with wave.open(str(recording)) as file:
        assert (file.getnchannels(), file.getframerate()) == (2, 8000)
    shown = archer(tmp_path, "calls", "show", recording.stem, DATABASE_URL="sqlite:///var/archer.db")
    assert "unknown_caller" in shown.stdout


@pytest.mark.slow  # it starts three processes
@pytest.mark.timeout(60)
def test_a_call_that_did_not_end_as_expected_is_exit_1(tmp_path: Path) -> None:
    path = tmp_path / "wrong.toml"
    path.write_text(SHORT.format(outcome="completed"))
    done = archer(tmp_path, "call", "--embedded", "--voice", "tones", "--scenario", str(path))

    assert done.returncode == 1
    assert "NOT AS EXPECTED: outcome is unknown_caller: expected completed" in said(done)
    assert "As expected" not in said(done)


@pytest.mark.slow  # it starts three processes
@pytest.mark.timeout(60)
async def test_a_call_to_a_running_bridge_takes_its_settings_from_the_environment(tmp_path: Path) -> None:
    (tmp_path / "stranger.toml").write_text(SHORT.format(outcome="unknown_caller"))
    async with serve_process(tmp_path) as bridge:
        url = await bridge.url()
        arguments = ("call", "--url", url, "--voice", "tones", "--scenario", "stranger.toml")
        done = await asyncio.to_thread(archer, tmp_path, *arguments)
        wrong = await asyncio.to_thread(archer, tmp_path, *arguments, TWILIO_AUTH_TOKEN="another")
        await bridge.event("twilio_webhook_received", route="incoming")
        await bridge.event("refused", kind="webhook")

    assert done.returncode == 1  # no agent was reached: this number belongs to nobody
    assert "no stream was opened: the caller got no agent" in said(done)
    assert wrong.returncode != 0
    assert "Traceback" not in said(wrong) + said(done)


def in_process(*arguments: str, **env: str) -> tuple[int, str]:
    clean = {name: "" for name in os.environ if name.startswith(("TWILIO_", "CARTESIA_", "WEBHOOK_", "DATABASE_"))}
    result = CliRunner().invoke(
        app, ["call", *arguments], env={**clean, "ARCHER_ENV_FILE": "", "COLUMNS": "120", **env}, prog_name="archer"
    )
    return result.exit_code, " ".join(result.output.replace("│", " ").split())


def test_the_scenarios_are_listed() -> None:
    code, output = in_process("--list")

    assert code == 0
    assert [name for name in list_scenarios() if name not in output] == []


@pytest.mark.parametrize(
    ("arguments", "env", "text"),
    [
        (["--scenario", "nope"], {}, "scenario nope: no such scenario: expected one of arranges_plan,"),
        (["--scenario", "./nope.toml"], {}, "cannot be read: No such file or directory"),
        (["--audio", "/no/such.wav"], {}, "/no/such.wav"),
        (["--audio", __file__], {}, "expected a 16-bit PCM WAV file"),
        (["--url", "nonsense"], {}, "'nonsense' is not an address; expected http://127.0.0.1:8000"),
        ([], {}, "TWILIO_ACCOUNT_SID is not set"),
        (["--url", "http://127.0.0.1:9"], {"TWILIO_ACCOUNT_SID": "nonsense"}, "twilio.account_sid"),
    ],
)
def test_what_cannot_be_done_is_a_sentence(
    arguments: list[str], env: dict[str, str], text: str, restored_log: None
) -> None:
    code, output = in_process(*arguments, **env)

    assert code == 2
    assert text in output
    assert "Traceback" not in output


@pytest.mark.timeout(60)
def test_a_bridge_that_is_not_there_is_a_sentence(tmp_path: Path) -> None:
    env = {
        "TWILIO_ACCOUNT_SID": DEMO_ACCOUNT.account_sid,
        "TWILIO_AUTH_TOKEN": DEMO_ACCOUNT.auth_token,
        "WEBHOOK_BASE_URL": PUBLIC,
    }
    done = archer(tmp_path, "call", "--url", "http://127.0.0.1:9", "--voice", "tones", **env)

    assert done.returncode in {1, 2}
    assert "Traceback" not in said(done)


@pytest.mark.parametrize(("rate", "channels"), [(8000, 1), (16000, 1), (44100, 2)])
def test_a_wav_file_becomes_telephone_audio(rate: int, channels: int, tmp_path: Path) -> None:
    path = tmp_path / "x.wav"
    with wave.open(str(path), "wb") as file:
        file.setnchannels(channels)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(bytes(rate * 2 * channels))

    assert abs(len(mulaw(path)) - 8000) <= 1


def test_a_wav_file_of_another_kind_is_told(tmp_path: Path) -> None:
    path = tmp_path / "x.wav"
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(1)
        file.setframerate(8000)
        file.writeframes(bytes(80))

    code, output = in_process("--audio", str(path))

    assert code == 2
    assert "8-bit samples; expected 16-bit PCM" in output
