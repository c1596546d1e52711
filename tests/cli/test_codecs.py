import json
import wave
from pathlib import Path

import pytest
from typer.testing import CliRunner

from archer_bridge.cli.codecs import app
from archer_codecs import BUILTIN_FAMILIES, plugins
from archer_codecs.plugins import Candidate


@pytest.fixture
def no_plugins(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever codec plugins this machine has stay out of it."""
    monkeypatch.setattr(plugins, "discover", lambda: ())


@pytest.fixture
def broken_plugin(monkeypatch: pytest.MonkeyPatch) -> None:
    from importlib.metadata import EntryPoint

    point = EntryPoint("opus", "acme_opus_absent:FAMILY", plugins.GROUP)
    monkeypatch.setattr(plugins, "discover", lambda: (Candidate("acme-opus", "2.0", point),))


@pytest.mark.usefixtures("no_plugins")
def test_ls_names_formats_and_families() -> None:
    result = CliRunner().invoke(app, ["ls"])

    assert result.exit_code == 0
    assert "encodings  mulaw alaw pcm_s16le pcm_f32le" in result.output
    assert all(f"family     {family.name}  built in" in result.output for family in BUILTIN_FAMILIES)


@pytest.mark.usefixtures("broken_plugin")
def test_ls_shows_why_a_plugin_is_refused() -> None:
    result = CliRunner().invoke(app, ["ls"])

    assert result.exit_code == 1
    assert "plugin     opus  refused: import failed: ModuleNotFoundError(" in result.output
    assert "codec plugin acme-opus 2.0 [opus = acme_opus_absent:FAMILY]" in result.output


@pytest.mark.usefixtures("no_plugins")
@pytest.mark.parametrize(
    ("source", "sink", "lines"),
    [
        pytest.param(
            "mulaw/8000",
            "pcm_s16le/16000",
            [
                "mulaw/8000/1 -> [mulaw-decode] pcm_s16le/8000/1 -> [resample] pcm_s16le/16000/1",
                "cost 11, resampling delay 1.88 ms",
            ],
            id="chain",
        ),
        pytest.param(
            "mulaw/8000",
            "mulaw/8000/1",
            ["mulaw/8000/1 (passthrough)", "cost 0, resampling delay 0.00 ms"],
            id="passthrough",
        ),
    ],
)
def test_plan_prints_the_chain(source: str, sink: str, lines: list[str]) -> None:
    result = CliRunner().invoke(app, ["plan", source, sink])

    assert (result.exit_code, result.output.splitlines()) == (0, lines)


@pytest.mark.usefixtures("no_plugins")
def test_plan_refuses_unknown_formats_with_what_is_known() -> None:
    result = CliRunner().invoke(app, ["plan", "mulaw/8000", "opus/48000"])

    assert result.exit_code == 1
    assert "'opus/48000' is not an audio format: the encoding 'opus' is unknown" in result.output
    assert "encodings alaw mulaw pcm_f32le pcm_s16le" in result.output


@pytest.mark.usefixtures("broken_plugin")
def test_plan_names_a_broken_plugin_and_can_go_on_without() -> None:
    refused = CliRunner().invoke(app, ["plan", "mulaw/8000", "alaw/8000"])
    without = CliRunner().invoke(app, ["plan", "mulaw/8000", "alaw/8000", "--no-plugins"])

    assert refused.exit_code == 1
    assert "codec plugin acme-opus 2.0 [opus = acme_opus_absent:FAMILY]: import failed" in refused.output
    assert without.exit_code == 0


@pytest.mark.slow  # measures every pair of rates and every alternative, and draws
@pytest.mark.timeout(120)
def test_bench_measures_draws_and_prints_json(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    speech = tmp_path / "speech.wav"
    with wave.open(str(speech), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(16000)
        file.writeframes(bytes(range(256)) * 200)
    result = CliRunner().invoke(
        app, ["bench", "--quick", "--json", "--plot", str(tmp_path), "--speech", str(speech)], catch_exceptions=False
    )
    report = json.loads(result.stdout)

    assert result.exit_code == 0
    assert [len(pairs) for pairs in report["every_pair"].values()] == [30, 30]
    assert {pair["reject_db"] <= -80 for pair in report["every_pair"]["archer linear"]} == {True}
    assert set(report["broken"].values()) == {0}
    assert {goal["is_met"] for goal in report["goals"] if "cost" not in goal["figure"] and goal["unit"] != "us"} == {
        True
    }
    assert {path.name for path in tmp_path.glob("*.png")} == {
        "codecs-response.png",
        "codecs-speech.png",
        "codecs-sweep.png",
    }


def test_a_speech_file_that_is_none_is_refused_before_anything_is_drawn(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="PICTURES ARE NOT TESTED: install the [bench] extra")
    bad = tmp_path / "bad.wav"
    bad.write_bytes(b"no wave at all")
    wide = CliRunner(env={"COLUMNS": "400"})  # the path must not be broken in two
    result = wide.invoke(app, ["bench", "--speech", str(bad), "--plot", str(tmp_path)])

    assert result.exit_code == 2
    assert "bad.wav" in result.output
    assert not list(tmp_path.glob("*.png"))
