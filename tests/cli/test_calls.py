import asyncio
import json
import os
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from archer_bridge.adapters.sql import open_store
from archer_bridge.adapters.sql.seed import DEMO_CUSTOMERS
from archer_bridge.cli.call_view import spoken_words
from archer_bridge.cli.calls import app
from archer_bridge.cli.records import last_four, printable
from archer_bridge.models import CallState, Outcome, ToolStatus, Turn
from tests.adapters.sql.samples import SetClock, done, new_call, new_sid, plan, tool, turn

SID, OPEN_SID = new_sid(), new_sid()


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, arguments)


async def _fill(url: str) -> None:
    clock = SetClock()
    async with await open_store(url, owner_id="bridge-1", clock=clock) as store:
        await store.add_customers(DEMO_CUSTOMERS)
        await store.open_call(new_call(SID, customer_id="demo-dana-reyes"))
        clock.advance(seconds=0.5)
        await store.claim_stream(SID, "MZ1", "token", "bridge-1")
        await store.move_call(SID, CallState.ACTIVE)
        store.add_turn(SID, turn(1, "Hello, this is Archer from Example Credit.", heard="Hello, this"))
        store.add_turn(SID, Turn(2, "caller", "one \x1b[31mtwo", "one \x1b[31mtwo", False, 61_300.0, 62_000.0))
        await store.begin_tool(tool("k1", SID))
        await store.finish_tool("k1", ToolStatus.OK, '{"recorded":true}', 12.4)
        await store.record_arrangement(plan(SID, cents=90_002))
        clock.advance(seconds=61)
        await store.end_call(SID, done(Outcome.COMPLETED))
        clock.advance(seconds=10)
        await store.open_call(new_call(OPEN_SID))


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> str:
    url = f"sqlite:///{tmp_path_factory.mktemp('record')}/record.db"
    asyncio.run(_fill(url))
    return url


def test_ls_has_the_newest_call_first_and_no_whole_number(url: str) -> None:
    result = run("ls", "--database", url)

    assert result.exit_code == 0
    lines = [line.split() for line in result.stdout.splitlines()]
    assert lines[0] == ["call", "started", "(UTC)", "from", "outcome", "duration", "turns", "tools"]
    assert lines[1] == [OPEN_SID, "2026-11-22", "12:01:11", "***0001", "created", "-", "0", "0"]
    assert lines[2] == [SID, "2026-11-22", "12:00:00", "***0001", "completed", "1:01.5", "2", "1"]
    assert "+1555" not in result.stdout


def test_ls_stops_at_its_limit(url: str) -> None:
    result = run("ls", "--limit", "1", "--json", "--database", url)

    (row,) = [json.loads(line) for line in result.stdout.splitlines()]
    assert (row["call_sid"], row["state"], row["from_number"]) == (OPEN_SID, "created", "***0001")


def test_show_tells_everything(url: str) -> None:
    result = run("show", SID, "--database", url)

    assert result.exit_code == 0
    shown = [" ".join(line.split()) for line in result.stdout.splitlines()]
    for expected in (
        f"call {SID}",
        "outcome completed",
        "reason said goodbye",
        "from ***0001 (inbound) to ***9999",
        "answered after 0.500 s",
        "ended after 61.500 s",
        "stream MZ1, 1:01.5",
        "0:01.0 agent Hello, this is Archer from Example Credit. [not heard] [interrupted]",
        "response 512 ms, engine 500 ms, bridge 12 ms, heard 400 of 800 ms",
        "1:01.3 caller one \\x1b[31mtwo",
        'process_payment ok 12 ms {"option":"full_payment"} -> {"recorded":true}',
        "payment_plan by payment_plan: $900.02, confirmation A-7Q2K9D",
        "2026-12-22 $150.01",
        "+0.500 s stream_claimed owner_id=bridge-1, stream_sid=MZ1",
        "+61.500 s call_ended duration_ms=61500, outcome=completed, reason=said goodbye",
        "frames_in 3075",
    ):
        assert expected in shown, result.stdout
    assert "+1555" not in result.stdout
    assert "\x1b" not in result.stdout


def test_what_was_not_heard_is_struck_through_on_a_terminal() -> None:
    words = spoken_words(turn(1, "Hello, this is Archer.", heard="Hello,"))

    styles = {words.plain[span.start : span.end]: str(span.style) for span in words.spans}
    assert styles[" this is Archer."] == "dim strike"
    assert words.plain == "Hello, this is Archer. [not heard] [interrupted]"


def test_show_of_a_call_that_only_began_says_so(url: str) -> None:
    result = run("show", OPEN_SID, "--database", url)

    shown = [" ".join(line.split()) for line in result.stdout.splitlines()]
    for expected in ("outcome created", "answered never", "ended not yet", "nobody spoke", "none was called"):
        assert expected in shown


def test_show_as_json_is_the_whole_record(url: str) -> None:
    result = run("show", SID, "--json", "--database", url)

    document = json.loads(result.stdout)
    assert list(document) == ["call", "turns", "tools", "arrangements", "events"]
    assert document["call"]["ended_at"] == "2026-11-22T12:01:01.623456+00:00"
    assert document["turns"][0]["heard_text"] == "Hello, this"
    assert document["arrangements"][0]["payments"][0] == {"due": "2026-12-22", "amount_cents": 15_001}
    assert [event["seq"] for event in document["events"]] == list(range(1, 8))
    assert "+1555" not in result.stdout


@pytest.mark.parametrize(("arguments", "sids"), [([], [OPEN_SID, SID]), ([SID], [SID])], ids=["all", "one"])
def test_export_writes_one_call_a_line(url: str, arguments: list[str], sids: list[str]) -> None:
    result = run("export", *arguments, "--format", "jsonl", "--database", url)

    documents = [json.loads(line) for line in result.stdout.splitlines()]
    assert sids == [document["call"]["call_sid"] for document in documents]
    assert "+1555" not in result.stdout


@pytest.mark.parametrize("command", ["show", "export"])
def test_an_unknown_call_is_said_in_one_line(url: str, command: str) -> None:
    result = run(command, "CA\x1b[2Jnope", "--database", url)

    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == (
        "error: there is no call 'CA\\x1b[2Jnope' in the record; list them with: archer calls ls\n"
    )


def test_a_missing_database_is_said_in_one_line(tmp_path: Path) -> None:
    result = run("ls", "--database", f"sqlite:///{tmp_path}/none.db")

    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.startswith(f"error: {tmp_path}/none.db: there is no such database; ")


def test_an_empty_record_says_so(tmp_path: Path) -> None:
    async def make() -> None:
        async with await open_store(f"sqlite:///{tmp_path}/record.db"):
            pass

    asyncio.run(make())

    assert run("ls", "--database", f"sqlite:///{tmp_path}/record.db").stdout == "no calls yet\n"


@pytest.mark.parametrize(
    ("number", "shown"), [("+15550100001", "***0001"), ("12345", "***2345"), ("0001", "***"), ("", "***")]
)
def test_only_the_last_four_digits_of_a_number_are_shown(number: str, shown: str) -> None:
    assert shown == last_four(number)


def test_control_characters_cannot_drive_the_terminal() -> None:
    assert printable("a\x1b]0;x\x07é\n\u202eb") == "a\\x1b]0;x\\x07é\n\\u202eb"


def test_purge_deletes_old_recordings_and_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "recordings"
    folder.mkdir()
    old, new, other = (folder / name for name in (f"CA{'1' * 32}.wav", f"CA{'2' * 32}.wav", "notes.txt"))
    for path in (old, new, other):
        path.write_bytes(b"x")
    for path in (old, other):
        os.utime(path, (0, 0))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ARCHER_RECORDING__FOLDER", str(folder))

    result = run("purge")

    assert result.exit_code == 0, result.output
    assert sorted(path.name for path in folder.iterdir()) == sorted([new.name, other.name])
    assert f"deleted {old}" in result.output
