"""The log: one line an event whatever its facts are, and a table of events that is the truth."""

import ast
import io
import json
import logging
import os
import re
import subprocess
import sys
import warnings
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog
from hypothesis import given, settings
from hypothesis import strategies as st

from archer_bridge import log
from archer_bridge.log import EVENTS, Out, configure
from archer_bridge.log_raw import LONGEST, ShownSocket, cut
from archer_bridge.ports import Closed

ROOT = Path(__file__).parent.parent
LEVELS = ("debug", "info", "warning", "error")


@pytest.fixture(autouse=True)
def _restored() -> Iterator[None]:
    """Undo `configure`: the log belongs to the process."""
    root = logging.getLogger()
    handlers, level, wanted = root.handlers[:], root.level, log._level
    yield
    structlog.reset_defaults()
    root.handlers[:], log._level = handlers, wanted
    root.setLevel(level)
    logging.captureWarnings(False)


class Terminal(io.StringIO):
    """A stream that claims to be a terminal."""

    def isatty(self) -> bool:
        return True


def logger(level: str = "debug", style: str = "json", stream: Any = None) -> tuple[Any, io.StringIO]:
    out = stream or io.StringIO()
    configure(level=level, style=style, stream=out)
    return structlog.get_logger("test"), out


def lines(out: io.StringIO) -> list[dict[str, Any]]:
    text = out.getvalue()
    assert text.isascii()
    assert text == "" or text.endswith("\n")
    return [json.loads(line, parse_constant=lambda name: pytest.fail(name)) for line in text.split("\n")[:-1]]


HOSTILE = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters()) | st.binary(),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(st.characters()) | st.integers(), inner, max_size=3)
    ),
    max_leaves=8,
)


@settings(max_examples=40)
@given(st.lists(st.dictionaries(st.from_regex(r"[a-z_]{3,9}", fullmatch=True), HOSTILE, max_size=4), max_size=4))
def test_lines_out_are_events_in(events: list[dict[str, Any]]) -> None:
    names = {"event", "level", "ts", "exc_info", "exception", "stack_info", "stack", "self"}
    events = [{key: value for key, value in facts.items() if key not in names} for facts in events]
    one, out = logger()
    for number, facts in enumerate(events):
        one.info(f"event_{number}", **facts)

    written = lines(out)
    assert [f"event_{number}" for number in range(len(events))] == [line["event"] for line in written]
    assert [set(facts) for facts in events] == [set(line) - {"event", "level", "ts"} for line in written]


@pytest.mark.parametrize(
    "value",
    ["a\nb", '\r\n{"event":"fake"}', "\x00\x1b[2J", "\u2028\u2029\x85", "\ud800 half a pair", "é", "x" * 10_000],
)
def test_text_comes_back_as_it_was(value: str) -> None:
    one, out = logger()
    one.info("said", text=value)

    assert [value] == [line["text"] for line in lines(out)]


class Broken:
    """A value that cannot even be shown."""

    def __repr__(self) -> str:
        raise RuntimeError("no")


def circle() -> list[Any]:
    items: list[Any] = []
    items.append(items)
    return items


def test_a_value_that_holds_itself_is_cut() -> None:
    one, out = logger()
    one.info("odd", value=circle())

    assert [line["event"] for line in lines(out)] == ["odd"]


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        pytest.param(Broken(), "<Broken, whose repr raised RuntimeError>", id="broken-repr"),
        pytest.param(float("nan"), "nan", id="nan"),
        pytest.param({1: 2}, {"1": 2}, id="number-keys"),
        pytest.param({(1, 2): 3}, "{(1, 2): 3}", id="tuple-keys"),
        pytest.param(b"\xff", "b'\\xff'", id="bytes"),
    ],
)
def test_values_that_are_no_json(value: object, shown: object) -> None:
    one, out = logger()
    one.info("odd", value=value)

    assert [shown] == [line["value"] for line in lines(out)]


def test_an_exception_is_one_line_with_its_traceback() -> None:
    one, out = logger()
    try:
        raise ValueError("line one\nline two")
    except ValueError:
        one.exception("call_failed", call_sid="CA1")

    (line,) = lines(out)
    assert (line["level"], line["event"], line["call_sid"]) == ("error", "call_failed", "CA1")
    assert line["exception"].startswith("Traceback (most recent call last):")
    assert "ValueError: line one\nline two" in line["exception"]


def test_a_line_begins_with_what_everybody_looks_for() -> None:
    one, out = logger()
    with structlog.contextvars.bound_contextvars(stream_sid="MZ1", call_sid="CA1"):
        one.info("x", a=1)

    assert list(lines(out)[0]) == ["ts", "level", "event", "call_sid", "stream_sid", "a"]


@pytest.mark.parametrize(("level", "seen"), [(level, LEVELS[n:]) for n, level in enumerate(LEVELS)])
def test_the_level_filters(level: str, seen: tuple[str, ...]) -> None:
    one, out = logger(level)
    for name in LEVELS:
        getattr(one, name)("x")

    assert list(seen) == [line["level"] for line in lines(out)]
    assert log.is_debug() is (level == "debug")


def test_libraries_warnings_come_in_the_same_shape_and_their_chatter_does_not_come() -> None:
    _, out = logger("info")
    library = logging.getLogger("some.library")
    library.info("GET https://api.example.com/?From=+15550100001")
    library.warning("odd: %s\n%s", 1, "two")
    try:
        raise OSError("disk")
    except OSError:
        library.exception("failed")
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.warn("old\nthing", DeprecationWarning, stacklevel=1)

    first, second, third = lines(out)
    assert (first["level"], first["event"]) == ("warning", "odd: 1\ntwo")
    assert (second["level"], second["event"]) == ("error", "failed")
    assert "OSError: disk" in second["exception"]
    assert "old\nthing" in third["event"]


def test_a_terminal_gets_text_that_cannot_move_its_cursor() -> None:
    one, out = logger(style="auto", stream=Terminal())
    one.info("caller", name="\x1b[2J", two="a\nb")

    text = re.sub(r"\x1b\[[0-9;]*m", "", out.getvalue())  # the colours are ours
    assert text.count("\n") == 1
    assert "\x1b" not in text
    assert "caller" in text


def test_a_pipe_gets_json_unless_text_is_asked_for() -> None:
    one, out = logger(style="auto")
    one.info("x")
    plain, asked = logger(style="console")
    plain.info("x")

    assert [len(lines(out))] == [1]
    assert not asked.getvalue().startswith("{")


class FullDisk(io.StringIO):
    """A stream whose disk is full."""

    def write(self, text: str) -> int:
        raise OSError(28, "No space left on device")


@pytest.mark.parametrize("stream", [FullDisk(), io.StringIO()], ids=["full", "closed"])
def test_a_log_that_cannot_be_written_harms_nobody(stream: io.StringIO) -> None:
    one, _ = logger(stream=stream)
    if not isinstance(stream, FullDisk):
        stream.close()
    one.info("x")
    logging.getLogger("library").warning("x")


PIPE = """
import os, structlog
from archer_bridge.log import configure

ours, theirs = os.pipe()
os.close(ours)  # whoever read the log is gone
configure(stream=os.fdopen(theirs, "w"))
for _ in range(9):
    structlog.get_logger().info("x")
print("alive", flush=True)
os._exit(0)
"""


def test_a_closed_pipe_harms_nobody() -> None:
    done = subprocess.run([sys.executable, "-c", PIPE], capture_output=True, text=True, cwd=ROOT, timeout=9)

    assert (done.stdout, done.stderr, done.returncode) == ("alive\n", "", 0)


def test_a_pipe_whose_reader_stalls_costs_lines_and_never_waits() -> None:
    ours, theirs = os.pipe()
    with os.fdopen(theirs, "w") as stream:
        out = Out(stream)
        for number in range(100):  # far more than a pipe holds
            out.write(json.dumps({"number": number, "text": "x" * 2500}) + "\n")
        lost = out.lost
        kept = os.read(ours, 1 << 20)
        out.write(json.dumps({"number": 100}) + "\n")
    kept += os.read(ours, 1 << 20)
    os.close(ours)
    lines = kept.decode().splitlines()
    numbers = [json.loads(line)["number"] for line in lines if line.endswith("}")]

    assert 0 < lost < 100
    assert out.lost == lost
    assert numbers == [*range(100 - lost), 100]
    assert len(lines) - len(numbers) <= 1  # the one that was cut


# ---- the table of events -------------------------------------------------------------------------------------


def used_events() -> dict[str, set[str]]:
    """Return every event the code logs, with its levels."""
    found: dict[str, set[str]] = defaultdict(set)
    for path in (ROOT / "archer_bridge").rglob("*.py"):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        aliases = {  # tell = log.error if … else log.warning
            node.targets[0].id: log_levels(node.value)
            for node in ast.walk(tree)
            if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name)
        }
        for node in ast.walk(tree):
            if not isinstance(node, ast.Call):
                continue
            levels = aliases.get(node.func.id, set()) if isinstance(node.func, ast.Name) else log_levels(node.func)
            if levels:
                first = node.args[0] if node.args else None
                assert isinstance(first, ast.Constant), f"{path}:{node.lineno}: the event must be a plain text"
                found[str(first.value)] |= levels
    return found


def log_levels(called: ast.expr) -> set[str]:
    parts = [called.body, called.orelse] if isinstance(called, ast.IfExp) else [called]
    return {level for part in parts if (level := log_level(part)) is not None}


def log_level(called: ast.expr) -> str | None:
    if not isinstance(called, ast.Attribute) or called.attr not in {*LEVELS, "exception"}:
        return None
    owner = called.value
    name = owner.id if isinstance(owner, ast.Name) else owner.attr if isinstance(owner, ast.Attribute) else ""
    return ("error" if called.attr == "exception" else called.attr) if name.lstrip("_").endswith("log") else None


def test_every_event_is_in_the_table_with_its_levels() -> None:
    """A new event needs a line in log_events.py and in docs/logs.md; an event that is gone, neither."""
    table = {event: set(levels) for event, levels in EVENTS.items()}

    assert table == dict(used_events())


def test_event_names_are_snake_case_and_meanings_are_sentences() -> None:
    for event, levels in EVENTS.items():
        assert re.fullmatch(r"[a-z][a-z_]*[a-z]", event)
        assert set(levels) <= set(LEVELS)
        for meaning in levels.values():
            assert re.fullmatch(r"\S.*\.", meaning), meaning


def test_the_page_says_what_the_table_says() -> None:
    rows = re.findall(r"^\| `(\w+)` \| (\w+) \| (.+) \|$", (ROOT / "docs/logs.md").read_text(), re.MULTILINE)

    assert [(event, level, meaning) for event, levels in EVENTS.items() for level, meaning in levels.items()] == rows


# ---- raw messages --------------------------------------------------------------------------------------------


START = {
    "event": "start",
    "sequenceNumber": "1",
    "streamSid": "MZ1",
    "start": {
        "callSid": "CA1",
        "mediaFormat": {"encoding": "audio/x-mulaw", "sampleRate": 8000, "channels": 1},
        "customParameters": {"token": "v1.secret", "customer_phone": "+15550100001", "customer_id": "dana"},
    },
}


@pytest.mark.parametrize(
    ("message", "shown"),
    [
        pytest.param(
            {"event": "media", "streamSid": "MZ1", "media": {"track": "inbound", "payload": "A" * 216}},
            {"event": "media", "streamSid": "MZ1", "media": {"track": "inbound", "payload": "<216 characters>"}},
            id="twilio-audio",
        ),
        pytest.param(
            START,
            {
                **START,
                "start": {
                    **START["start"],
                    "customParameters": {"token": "***", "customer_phone": "***0001", "customer_id": "***"},
                },
            },  # type: ignore[dict-item]
            id="twilio-start",
        ),
        pytest.param(
            {"event": "dtmf", "dtmf": {"digit": "7"}}, {"event": "dtmf", "dtmf": {"digit": "<1 characters>"}}, id="key"
        ),
        pytest.param({"type": "dtmf_input", "digit": 7}, {"type": "dtmf_input", "digit": "<number>"}, id="key-number"),
        pytest.param(
            {"type": "audio_output", "audio": "QUJD"},
            {"type": "audio_output", "audio": "<4 characters>"},
            id="agent-audio",
        ),
        pytest.param(
            {"type": "turn_ended", "turn": 3, "role": "user", "text": "my account ends in 4821", "interrupted": False},
            {"type": "turn_ended", "turn": 3, "role": "user", "text": "<23 characters>", "interrupted": False},
            id="words",
        ),
        pytest.param(
            {
                "type": "client_tool_call",
                "tool_name": "verify_account",
                "parameters": {"account_last_4": "4821", "n": 4821},
            },
            {
                "type": "client_tool_call",
                "tool_name": "verify_account",
                "parameters": {"account_last_4": "***", "n": "***"},
            },
            id="tool-call",
        ),
        pytest.param(
            {"type": "session_create", "dynamic_variables": {"caller_number": "+15550100001", "persona": "be kind"}},
            {"type": "session_create", "dynamic_variables": {"caller_number": "***0001", "persona": "***"}},
            id="variables",
        ),
        pytest.param(
            {"type": "x", "new_field": {"a": [1, "+15550100001", None]}},
            {"type": "x", "new_field": {"a": ["<number>", "***0001", None]}},
            id="unknown-field",
        ),
        pytest.param(
            {"type": "+15550100001" + "y" * 200},
            {"type": "***0001" + "y" * (LONGEST - 7) + "… <207 characters>"},
            id="long",
        ),
        pytest.param([1] * 101, "<101 entries>", id="long-list"),
    ],
)
def test_what_shows_of_a_message(message: Any, shown: Any) -> None:
    assert shown == cut(json.dumps(message))
    assert shown == cut(json.dumps(message).encode())


@pytest.mark.parametrize(
    ("message", "shown"),
    [
        pytest.param("hello 4821", "<10 characters, not JSON>", id="text"),
        pytest.param(b"\xff\x00", "<2 bytes, not JSON>", id="bytes"),
        pytest.param("[" * 50_000, "<50000 characters, not JSON>", id="bomb"),
    ],
)
def test_what_is_not_json_shows_its_length(message: str | bytes, shown: str) -> None:
    assert shown == cut(message)


SECRET = "S3CR3T-4821-do-not-print"


@given(
    st.recursive(
        st.just(SECRET),
        lambda inner: (
            st.lists(inner)
            | st.dictionaries(
                st.sampled_from(
                    [
                        "payload",
                        "token",
                        "audio",
                        "text",
                        "result",
                        "digit",
                        "parameters",
                        "customParameters",
                        "start",
                        "media",
                        "x",
                    ]
                ),
                inner,
            )
        ),
        max_leaves=20,
    )
)
def test_no_secret_shows_wherever_it_is(message: Any) -> None:
    assert SECRET not in json.dumps(cut(json.dumps(message)))


class Plain:
    """A socket that gives one message and keeps what it is given."""

    def __init__(self) -> None:
        self.written: list[tuple[bytes, bool]] = []
        self.closes: list[tuple[int, str]] = []

    def write(self, message: bytes, droppable: bool = False) -> None:
        self.written.append((message, droppable))

    async def pump(self, on_message: Any) -> Closed:
        on_message('{"event":"stop"}')
        return Closed(1000)

    async def close(self, code: int = 1000, reason: str = "") -> None:
        self.closes.append((code, reason))


async def test_a_shown_socket_is_the_socket() -> None:
    plain, got, shown = Plain(), [], []
    socket = ShownSocket(plain, lambda direction, message: shown.append((direction, message)))
    socket.write(b'{"type":"audio_input","audio":"QQ=="}', droppable=True)
    closed = await socket.pump(got.append)
    await socket.close(1008, "refused")

    assert plain.written == [(b'{"type":"audio_input","audio":"QQ=="}', True)]
    assert (Closed(1000), ['{"event":"stop"}'], [(1008, "refused")]) == (closed, got, plain.closes)
    assert shown == [("out", {"type": "audio_input", "audio": "<4 characters>"}), ("in", {"event": "stop"})]
