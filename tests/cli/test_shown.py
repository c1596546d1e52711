"""Rows that were stored before a rule of redaction was there do not bring their secrets back."""

import asyncio
import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from typer.testing import CliRunner

from archer_bridge.adapters.sql import open_store
from archer_bridge.adapters.sql.seed import DEMO_CUSTOMERS
from archer_bridge.cli.calls import app
from archer_bridge.models import CallState, ToolStatus, Turn
from tests.adapters.sql.samples import done, new_call, new_sid, tool, turn

SID = new_sid()
CARD, EMAIL, SSN, PHONE = "4111 1111 1111 1111", "dana@example.com", "078-05-1120", "+14155550123"
SECRETS = (CARD, EMAIL, SSN, PHONE)
COMMANDS = [["show", SID], ["show", SID, "--json"], ["export"], ["export", SID], ["ls", "--json"]]


async def _fill(url: str) -> None:
    async with await open_store(url, owner_id="bridge-1") as store:
        await store.add_customers(DEMO_CUSTOMERS)
        await store.open_call(new_call(SID))
        await store.claim_stream(SID, "MZ1", "token", "bridge-1")
        await store.move_call(SID, CallState.ACTIVE)
        store.add_turn(SID, turn(1))
        store.add_turn(SID, Turn(2, "caller", "yes", "yes", False, 1.0, 2.0))
        store.note(SID, "fault", {"message": "x"})
        await store.begin_tool(tool("k1", SID))
        await store.finish_tool("k1", ToolStatus.OK, '{"recorded":true}', 12.4)
        await store.end_call(SID, done())


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> str:
    file = tmp_path_factory.mktemp("old") / "record.db"
    asyncio.run(_fill(f"sqlite:///{file}"))
    _spoil(file)
    return f"sqlite:///{file}"


def _spoil(file: Path) -> None:
    """Put into every free text what an older version might have left there."""
    told = f"card {CARD} mail {EMAIL} ssn {SSN} call {PHONE}"
    as_json = json.dumps({"note": told})
    with closing(sqlite3.connect(file)) as connection, connection:
        connection.execute("DROP TRIGGER call_events_no_update")
        connection.execute("UPDATE turns SET text = ?, heard_text = ?", (told, told[: len(told) // 2]))
        connection.execute("UPDATE tool_calls SET arguments_json = ?, result_json = ?", (as_json, as_json))
        connection.execute("UPDATE call_events SET data_json = ?", (as_json,))
        connection.execute("UPDATE calls SET reason = ?, numbers_json = ?", (told, as_json))


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_no_command_shows_what_the_rules_take_out(command: list[str], url: str) -> None:
    result = CliRunner().invoke(app, [*command, "--database", url])
    text = " ".join(result.output.split())

    assert result.exit_code == 0, result.output
    assert [secret for secret in SECRETS if secret in text] == []
    assert "***" in text


def test_the_rows_really_held_it(url: str) -> None:
    with closing(sqlite3.connect(url.removeprefix("sqlite:///"))) as connection:
        dump = "\n".join(connection.iterdump())

    assert [secret for secret in SECRETS if secret not in dump] == []
