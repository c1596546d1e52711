"""Purging: only recordings, only old ones, only here."""

import os
from pathlib import Path

import pytest

from archer_bridge.adapters.recordings import DAY_S, NAME, new_path, purge

NOW = 1_800_000_000.0
SID = "CA" + "0123456789abcdef" * 2


def put(folder: Path, name: str, age_days: float) -> Path:
    path = folder / name
    path.write_bytes(b"RIFF")
    os.utime(path, (NOW - age_days * DAY_S,) * 2)
    return path


@pytest.mark.parametrize(
    ("name", "age_days", "goes"),
    [
        pytest.param(f"{SID}.wav", 31, True, id="old"),
        pytest.param(f"{SID}-2.wav", 31, True, id="old-second"),
        pytest.param(f"{SID}.wav", 29, False, id="young"),
        pytest.param(f"{SID}.wav", 30, False, id="exactly"),
        pytest.param(f"{SID}.wav.bak", 99, False, id="backup"),
        pytest.param(f"{SID[:-1]}.wav", 99, False, id="short-id"),
        pytest.param(f"x{SID}.wav", 99, False, id="prefix"),
        pytest.param(f"{SID}-x.wav", 99, False, id="suffix"),
        pytest.param("notes.wav", 99, False, id="other"),
        pytest.param("archer.db", 99, False, id="database"),
    ],
)
def test_what_goes(name: str, age_days: float, goes: bool, tmp_path: Path) -> None:
    path = put(tmp_path, name, age_days)

    assert purge(tmp_path, 30, NOW) == ([path] if goes else [])
    assert path.exists() is not goes


def test_links_and_folders_stay(tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    target = put(elsewhere, f"{SID}.wav", 99)
    here = tmp_path / "recordings"
    here.mkdir()
    (here / f"{SID}.wav").symlink_to(target)
    os.utime(here / f"{SID}.wav", (0, 0), follow_symlinks=False)
    (here / f"{SID}-1.wav").mkdir()
    os.utime(here / f"{SID}-1.wav", (0, 0))
    (here / "deeper").mkdir()
    deeper = put(here / "deeper", f"{SID}.wav", 99)

    assert purge(here, 0, NOW) == []
    assert target.exists()
    assert deeper.exists()
    assert (here / f"{SID}.wav").is_symlink()


def test_no_folder_holds_nothing(tmp_path: Path) -> None:
    assert purge(tmp_path / "none", 0, NOW) == []


def test_each_stream_of_a_call_has_its_own_recording(tmp_path: Path) -> None:
    sid = "CA" + "1" * 32
    paths = []
    for _ in range(3):
        paths.append(new_path(tmp_path, sid))
        paths[-1].touch()

    assert [path.name for path in paths] == [f"{sid}.wav", f"{sid}-2.wav", f"{sid}-3.wav"]
    assert all(NAME.fullmatch(path.name) for path in paths)
