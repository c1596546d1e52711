"""The secret scan of `make check`: finds what is new, knows what is known, and reads a changed file again."""

import json
from pathlib import Path

import pytest

from tests.security import secret_scan

PLANTED = {
    "twilio": "AC" + "0f1e2d3c4b5a69788796a5b4c3d2e1f0",
    "aws": "AKIA" + "QWERTYUIOPASDFGH",
    "private": "-----BEGIN RSA " + "PRIVATE KEY-----",
    "password": "password = 'hunter2" + "hunter2'",
    "address": "postgres://me:sW0rdf1sh" + "@db.example.com/x",
}


def _settings() -> dict[str, object]:
    baseline = json.loads(secret_scan.BASELINE.read_text())
    return {name: baseline[name] for name in ("plugins_used", "filters_used")}


@pytest.mark.parametrize("kind", PLANTED)
def test_a_planted_secret_is_found(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(secret_scan, "ROOT", tmp_path)
    (tmp_path / "x.py").write_text(f"# {PLANTED[kind]}\n{PLANTED[kind]}\n")
    finds, cache = secret_scan.scan(["x.py"], _settings(), {})
    problems = secret_scan.new_finds(finds, {})

    assert len(problems) >= 1
    assert all(PLANTED[kind] not in problem for problem in problems)
    assert secret_scan.new_finds(finds, finds) == []
    assert secret_scan.scan(["x.py"], _settings(), cache)[0] == finds


def test_a_changed_file_is_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(secret_scan, "ROOT", tmp_path)
    (tmp_path / "x.py").write_text("nothing\n")
    nothing, cache = secret_scan.scan(["x.py"], _settings(), {})
    (tmp_path / "x.py").write_text(PLANTED["private"] + "\n")
    found, _ = secret_scan.scan(["x.py"], _settings(), cache)

    assert (nothing, len(found)) == ({}, 1)


def test_the_baseline_names_no_machine() -> None:
    text = secret_scan.BASELINE.read_text()

    assert "://" not in text
    assert '"/' not in text
    assert set(json.loads(text)) == {"version", "plugins_used", "filters_used", "results"}
