"""The embedded world: real processes with the demo account's credentials and none of the user's."""

import os
from pathlib import Path

import pytest

from archer_bridge.cli import embedded
from archer_bridge.cli.embedded import ProcessDied, bridge_environment, free_port
from archer_bridge.config import load_settings
from archer_bridge.devkit.phone import DEMO_ACCOUNT


def test_nothing_of_the_users_reaches_the_bridge(monkeypatch: pytest.MonkeyPatch) -> None:
    theirs = ["TWILIO_AUTH_TOKEN", "TWILIO_API_SECRET", "CARTESIA_API_KEY", "OPENAI_API_KEY", "DATABASE_URL"]
    for name in [*theirs, "WEBHOOK_BASE_URL", "ARCHER_TWILIO__AUTH_TOKEN_SECONDARY"]:
        monkeypatch.setenv(name, "the-users-own-secret")
    monkeypatch.setenv("ARCHER_CARTESIA__AUDIO_FORMAT", "pcm_16000")
    made = bridge_environment(8791, 8000, "sqlite:///x.db")

    assert "the-users-own-secret" not in made.values()
    assert made["PATH"] == os.environ["PATH"]
    settings = load_settings(environ=made, config_file="config.toml", serving=True)
    assert settings.twilio.account_sid == DEMO_ACCOUNT.account_sid
    assert settings.cartesia.ws_url == "ws://127.0.0.1:8791"
    assert settings.cartesia.audio_format == "pcm_16000"  # what is no secret is the user's to choose
    assert not settings.admin.enabled


def test_free_ports_are_free() -> None:
    assert 1024 < free_port() < 65536


async def test_a_process_that_does_not_start_is_quoted(tmp_path: Path) -> None:
    world = embedded.world(
        voice="no-such-voice",
        database=f"sqlite:///{tmp_path / 'x.db'}",
        log_file=tmp_path / "log" / "call.log",
        on_event=lambda name, event: None,
    )
    with pytest.raises(ProcessDied) as caught:
        async with world:
            pass

    said = str(caught.value)
    assert said.startswith("the simulator did not start; it said:\n  ")
    assert "no-such-voice" in said
    assert "no-such-voice" in (tmp_path / "log" / "call.log").read_text()


async def test_a_process_that_never_listens_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedded, "START_WAIT_S", 0.01)
    world = embedded.world(
        voice="tones",
        database=f"sqlite:///{tmp_path / 'x.db'}",
        log_file=tmp_path / "call.log",
        on_event=lambda name, event: None,
    )
    with pytest.raises(ProcessDied, match="not listening after 0.01 s"):
        async with world:
            pass


def test_the_error_of_a_silent_process() -> None:
    assert str(ProcessDied("bridge", [])) == "the bridge did not start; it said:\n  (nothing)"
