"""Ids that become file names, and addresses that become connections."""

from pathlib import Path
from urllib.parse import urlsplit

import pytest

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
