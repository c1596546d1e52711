"""Ids that become file names, and addresses that become connections."""

import os
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from structlog.testing import capture_logs

from archer_bridge.adapters import recordings
from archer_bridge.adapters.wav_file import WavFile
from archer_bridge.config_urls import agent_socket_problem, public_url_problem
from archer_bridge.web.webhooks import CALL_SID

GOOD = "CA" + "1" * 32
TRAVERSALS = [
    "../../etc/passwd",
    "..",
    ".",
    "",
    "/etc/passwd",
    "\\..\\x",
    GOOD + "/../x",
    GOOD + "\n",
    GOOD + "\x00",
    GOOD + ".wav",
    "CA" + "1" * 31 + "/",
    "CA" + "1" * 30 + "..",
    "ca" + "1" * 32,
    "CA" + "g" * 32,
    "CA" + "１" * 32,
    "CA" + "1" * 33,
    "%2e%2e%2f",
    "CA%00",
    "C:\\x",
    "~root",
    "file:///x",
    "\u202e" + GOOD,
    GOOD + " ",
    " " + GOOD,
]


@pytest.mark.parametrize("call_sid", TRAVERSALS)
def test_no_id_leaves_the_folder(call_sid: str, tmp_path: Path) -> None:
    assert CALL_SID.fullmatch(call_sid) is None
    assert (tmp_path / f"{GOOD}.wav").resolve().is_relative_to(tmp_path.resolve())


ADDRESSES = [
    "http://api.example.com",
    "ws://api.example.com",
    "ftp://x",
    "file:///etc/passwd",
    "javascript:alert(1)",
    "",
    "x",
    "ws://2130706433",
    "ws://0x7f.1",
    "ws://[::ffff:10.0.0.1]",
    "ws://169.254.169.254",
    "ws://10.0.0.1",
    "ws://user@127.0.0.1",
    "wss://user:pass@api.example.com",
    "gopher://127.0.0.1",
    "wss://",
    "//api.example.com",
    "ws://localhost.evil.example.org",
]


@pytest.mark.parametrize("address", ADDRESSES)
def test_only_tls_or_loopback_addresses_are_taken(address: str) -> None:
    assert agent_socket_problem(address) is not None
    if urlsplit(address).scheme != "ws":
        assert public_url_problem(address) is not None


@pytest.mark.parametrize("address", ["wss://api.cartesia.ai", "ws://127.0.0.1:9", "ws://localhost:9/x", "ws://[::1]:9"])
def test_good_addresses_are_taken(address: str) -> None:
    assert agent_socket_problem(address) is None


@pytest.mark.parametrize("kind", ["to-a-file", "to-nothing", "to-a-folder", "hard-link"])
def test_a_planted_link_is_not_written_through(kind: str, tmp_path: Path) -> None:
    folder, target = tmp_path / "recordings", tmp_path / "victim"
    folder.mkdir()
    planted = folder / f"{GOOD}.wav"
    if kind == "to-a-folder":
        target.mkdir()
    elif kind != "to-nothing":
        target.write_bytes(b"precious")
    if kind == "hard-link":
        os.link(target, planted)
    else:
        planted.symlink_to(target)
    with capture_logs() as lines:
        failures: list[str] = []
        file = WavFile(planted, "mulaw", failures.append)
        file.write(0, b"\xff" * 320)
        file.close()
        WavFile.wait()

    assert [line["event"] for line in lines] == ["recording_failed"]
    assert len(failures) == 1
    assert "FileExistsError" in failures[0]
    assert target.is_dir() if kind == "to-a-folder" else target.exists() == (kind != "to-nothing")
    assert kind not in {"to-a-file", "hard-link"} or target.read_bytes() == b"precious"


def test_a_recording_is_for_its_owner_only(tmp_path: Path) -> None:
    file = WavFile(tmp_path / "made" / f"{GOOD}.wav", "mulaw")
    file.close()
    WavFile.wait()

    assert (tmp_path / "made" / f"{GOOD}.wav").stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "made").stat().st_mode & 0o077 == 0


def test_purging_follows_and_deletes_no_link(tmp_path: Path) -> None:
    folder, target = tmp_path / "recordings", tmp_path / "victim"
    folder.mkdir()
    target.write_bytes(b"precious")
    os.utime(target, (0, 0))
    inside = folder / f"{GOOD}.wav"
    inside.symlink_to(target)
    os.utime(inside, (0, 0), follow_symlinks=False)
    (folder / f"{GOOD}-1.wav").mkdir()

    assert recordings.purge(folder, 1, 1e10) == []
    assert target.read_bytes() == b"precious"
    assert inside.is_symlink()


@pytest.mark.parametrize("leads_somewhere", [True, False])
def test_a_new_recording_goes_beside_a_planted_link(leads_somewhere: bool, tmp_path: Path) -> None:
    target = tmp_path / "victim"
    if leads_somewhere:
        target.write_bytes(b"precious")
    (tmp_path / f"{GOOD}.wav").symlink_to(target)

    assert recordings.new_path(tmp_path, GOOD) == tmp_path / f"{GOOD}-2.wav"
