"""What the commands that look at the record share: finding the database, errors, masking."""

import asyncio
import json
import sys
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import asdict
from datetime import date
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from archer_bridge.cli.shown import shown_call, shown_event, shown_tool, shown_turn
from archer_bridge.errors import ArcherError, StoreError
from archer_bridge.models import CallRow

if TYPE_CHECKING:
    from archer_bridge.adapters.sql import SqlStore

T = TypeVar("T")

DatabaseOption = Annotated[
    str | None,
    typer.Option("--database", metavar="URL", help="The database, instead of the configured one.", show_default=False),
]


def find_database(option: str | None) -> str:
    """Return the URL given on the command line, else the configured one."""
    if option is not None:
        return option
    from archer_bridge.config import load_settings  # reading the settings can fail; a given URL must not need them

    return load_settings().database_url


def run_command(work: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Run a command's coroutine; an error of ours becomes one sentence on stderr and exit code 1."""
    try:
        return asyncio.run(work())
    except ArcherError as error:
        sys.stderr.write(f"error: {printable(str(error))}\n")
        raise typer.Exit(1) from error


async def with_record(option: str | None, look: Callable[["SqlStore"], Awaitable[T]]) -> T:
    """Open the record to read only, which works while the bridge runs, and look at it."""
    from archer_bridge.adapters.sql import open_store  # the drivers load only for the commands that need them

    async with await open_store(find_database(option), read_only=True) as store:
        return await look(store)


async def require_call(store: "SqlStore", call_sid: str) -> CallRow:
    """Return the call.

    Raises:
        StoreError: there is none; the message says how to find the right one.
    """
    call = await store.get_call(call_sid)
    if call is None:
        raise StoreError(f"there is no call {call_sid!r} in the record; list them with: archer calls ls")
    return call


async def call_document(store: "SqlStore", call: CallRow) -> dict[str, Any]:
    """Return everything that is recorded of a call, ready for JSON, redacted, with phone numbers masked."""
    sid = call.call_sid
    numbers = {"from_number": last_four(call.from_number), "to_number": last_four(call.to_number)}
    return {
        "call": asdict(shown_call(call)) | numbers,
        "turns": [asdict(shown_turn(turn)) for turn in await store.turns(sid)],
        "tools": [asdict(shown_tool(row)) for row in await store.tool_rows(sid)],
        "arrangements": [asdict(agreed) for agreed in await store.arrangements(sid)],
        "events": [asdict(shown_event(event)) for event in await store.events(sid)],
    }


def to_json(document: dict[str, Any], *, indent: int | None = None) -> str:
    """Return JSON whose instants and days are ISO 8601."""
    return json.dumps(document, indent=indent, ensure_ascii=False, default=_encode)


def _encode(value: object) -> str:
    if isinstance(value, date):  # a datetime is one too
        return value.isoformat()
    raise TypeError(f"{type(value).__name__} has no JSON form here")


def last_four(number: str) -> str:
    """Return a phone number that may be shown: `***0001`."""
    return f"***{number[-4:]}" if len(number) > 4 else "***"


def printable(text: str) -> str:
    """Replace control characters, which could drive the reader's terminal, by their escapes."""
    return "".join(
        char if char.isprintable() or char == "\n" else char.encode("unicode_escape").decode() for char in text
    )
