"""Checks of what is plugged in."""

import pytest

from archer_bridge.cli.checks import parts
from archer_bridge.cli.checks.verdict import Status, Verdict
from archer_bridge.config import Settings, load_settings


def settings(**changes: str) -> Settings:
    return load_settings(environ=changes, env_file="")


def test_the_shipped_tools_load():
    expected = "verify_account, get_customer_options, process_payment, transfer_to_human, end_call"

    assert Verdict(Status.OK, expected) == parts.tools(settings())


def test_every_tool_that_does_not_load_is_listed():
    found = parts.tools(settings(ARCHER_TOOLS__ENABLED='["one", "end_call", "two"]'))

    assert found.status is Status.FAIL
    assert [line[:10] for line in found.found.splitlines()] == ["tool 'one'", "tool 'two'"]


def test_no_tool_at_all_is_told():
    assert parts.tools(settings(ARCHER_TOOLS__ENABLED="[]")).status is Status.WARN


def test_codec_plugins_are_counted():
    assert Verdict(Status.OK, "none beside the built-in ones") == parts.codec_plugins(settings())


def test_a_codec_plugin_that_does_not_load_is_told(tmp_path, monkeypatch):
    home = tmp_path / "acme_codec-1.0.dist-info"
    home.mkdir()
    (home / "METADATA").write_text("Metadata-Version: 2.1\nName: acme-codec\nVersion: 1.0\n")
    (home / "entry_points.txt").write_text("[archer_bridge.codecs.v1]\nacme = acme_codec_nowhere:FAMILY\n")
    monkeypatch.syspath_prepend(tmp_path)

    found = parts.codec_plugins(settings())

    assert found.status is Status.FAIL
    assert "acme-codec 1.0" in found.found


@pytest.mark.parametrize(
    ("audio_format", "start"),
    [
        ("mulaw_8000", "mulaw/8000/1, untouched both ways"),
        ("pcm_16000", "to the agent mulaw/8000/1 -> "),
        ("pcm_24000", "to the agent mulaw/8000/1 -> "),
        ("pcm_44100", "to the agent mulaw/8000/1 -> "),
    ],
)
def test_there_is_a_route_for_every_format(audio_format, start):
    found = parts.audio_route(settings(ARCHER_CARTESIA__AUDIO_FORMAT=audio_format))

    assert found.status is Status.OK
    assert found.found.startswith(start)
