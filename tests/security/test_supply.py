"""What we ship and what we pull in."""

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SECRETS = re.compile(
    rb"sk_car_[A-Za-z0-9]{20,}|-----BEGIN [A-Z ]*PRIVATE KEY"
    rb"|eyJ[\w-]{20,}\.[\w-]{20,}\.[\w-]{20,}|AKIA[0-9A-Z]{16}"
)


def tracked() -> list[Path]:
    try:
        listed = subprocess.run(
            ["git", "ls-files", "-z", "-co", "--exclude-standard"], cwd=ROOT, capture_output=True, check=True
        )
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("not a git work tree")
    return [ROOT / name.decode() for name in listed.stdout.split(b"\0") if name]


def test_no_secret_is_committed() -> None:
    found = [path for path in tracked() if path.is_file() and SECRETS.search(path.read_bytes())]

    assert found == []
    assert not any(path.name == ".env" for path in tracked())


def test_every_pin_has_a_hash_and_no_address() -> None:
    text = (ROOT / "constraints.txt").read_text(encoding="utf-8").replace("\\\n", " ")
    pins = [line for line in text.splitlines() if line and not line.startswith("#")]

    assert len(pins) > 20
    assert all(re.match(r"[a-z0-9._-]+==\S+( ; .+?)?( +--hash=sha256:[0-9a-f]{64})+$", pin) for pin in pins), pins
    assert "://" not in text
