"""One line an event, whatever a fact contains."""

import json
import subprocess
import sys

import pytest

CHILD = """
import structlog
from archer_bridge import log
import random, sys
log.configure(style=sys.argv[1])
lines = structlog.get_logger("x")
choose = random.Random(7)
odd = ["\\n", "\\r", "\\x1b[2J", "\\u2028", "\\x85", "\\x00", "\\ud800", '"', "\\\\", "{", "\\x0b", "e", "\\u202e"]
for number in range(500):
    text = "".join(choose.choice(odd) for _ in range(choose.randrange(12)))
    lines.warning("refused", kind=text, reason=number, caller={"name": text})
"""


@pytest.mark.parametrize("style", ["json", "console"])
def test_one_line_an_event_whatever_it_holds(style: str) -> None:
    done = subprocess.run([sys.executable, "-c", CHILD, style], capture_output=True, check=True, timeout=30)
    lines = done.stderr.split(b"\n")[:-1]

    assert len(lines) == 500
    assert all(b"refused" in line and b"\x1b[2J" not in line and b"\r" not in line for line in lines)
    if style == "json":
        assert [json.loads(line)["reason"] for line in lines] == list(range(500))
        assert all(line.isascii() for line in lines)


def test_the_standard_librarys_lines_are_redacted_too() -> None:
    child = (
        "import logging; from archer_bridge import log; log.configure(style='json');"
        "logging.getLogger('uvicorn.error').error('bad %s', 'card 4111 1111 1111 1111')"
    )
    done = subprocess.run([sys.executable, "-c", child], capture_output=True, check=True, text=True, timeout=30)

    assert json.loads(done.stderr)["event"] == "bad card ***"
