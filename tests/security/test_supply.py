"""What we ship and what we pull in."""

import re
import subprocess
import tomllib
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

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


PRIVATE = {"uvicorn", "websockets"}
"""Whose private attributes are used."""


def pins() -> dict[str, str]:
    text = (ROOT / "constraints.txt").read_text(encoding="utf-8")
    return dict(re.findall(r"^([a-z0-9._-]+)==([^ \\]+)", text, re.MULTILINE))


def test_the_pins_are_complete() -> None:
    """Whatever this interpreter has installed for us is pinned, to the end of the chain."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"]
    todo = [Requirement(line) for line in [*project["dependencies"], *extras["local"], *extras["postgres"]]]
    seen: set[tuple[str, frozenset[str]]] = set()
    missing = set()
    while todo:
        needed = todo.pop()
        name = canonicalize_name(needed.name)
        if (name, frozenset(needed.extras)) in seen or not _applies(needed, {""}):
            continue
        seen.add((name, frozenset(needed.extras)))
        if name not in pins() or not needed.specifier.contains(pins()[name], prereleases=True):
            missing.add(str(needed))
        try:
            further = distribution(name).requires or []
        except PackageNotFoundError:
            continue  # an extra that is not installed here
        todo += [one for one in map(Requirement, further) if _applies(one, {"", *needed.extras})]

    assert missing == set()
    assert len(seen) > 40


def _applies(needed: Requirement, extras: set[str]) -> bool:
    return needed.marker is None or any(needed.marker.evaluate({"extra": extra}) for extra in extras)


def test_every_dependency_is_bounded() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    lines = [*project["project"]["dependencies"], *project["build-system"]["requires"]]
    lines += [line for extra in project["project"]["optional-dependencies"].values() for line in extra]
    needed = [Requirement(line) for line in lines]
    bounds = {one.name: {part.operator for part in one.specifier} for one in needed}

    assert [name for name, operators in bounds.items() if not operators & {">=", "=="}] == []
    assert {name for name in PRIVATE if "<" not in bounds[name]} == set()
