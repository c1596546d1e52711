"""`archer calls`: the record of calls on a terminal or as JSON."""

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from archer_bridge.cli.call_view import call_table, show_call
from archer_bridge.cli.records import DatabaseOption, call_document, require_call, run_command, to_json, with_record
from archer_bridge.cli.shown import shown_call, shown_event, shown_tool, shown_turn

if TYPE_CHECKING:
    from archer_bridge.adapters.sql import SqlStore
    from archer_bridge.config_models import RecordingSettings, RetentionSettings

app = typer.Typer(help="Look at recorded calls.", no_args_is_help=True)

NO_END = 2**31 - 1


class ExportFormat(StrEnum):
    """How `export` writes."""

    JSONL = "jsonl"


@app.command("ls")
def list_calls(
    database: DatabaseOption = None,
    limit: Annotated[int, typer.Option(min=1, help="At most so many, the newest first.")] = 20,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line.")] = False,
) -> None:
    """List the newest calls."""

    async def look(store: "SqlStore") -> None:
        calls = await store.list_calls(limit=limit)
        if as_json:
            for call in calls:
                typer.echo(to_json((await call_document(store, call))["call"]))
        elif not calls:
            typer.echo("no calls yet")
        else:
            _console().print(call_table(calls, await store.call_counts([call.call_sid for call in calls])))

    run_command(lambda: with_record(database, look))


@app.command("show")
def show(
    call_sid: Annotated[str, typer.Argument(metavar="SID", help="The call's SID, as `archer calls ls` prints it.")],
    database: DatabaseOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="Everything as one JSON object.")] = False,
) -> None:
    """Print everything recorded about one call."""

    async def look(store: "SqlStore") -> None:
        call = await require_call(store, call_sid)
        if as_json:
            typer.echo(to_json(await call_document(store, call), indent=2))
            return
        show_call(
            _console(),
            shown_call(call),
            turns=[shown_turn(turn) for turn in await store.turns(call_sid)],
            tools=[shown_tool(row) for row in await store.tool_rows(call_sid)],
            arrangements=await store.arrangements(call_sid),
            events=[shown_event(event) for event in await store.events(call_sid)],
        )

    run_command(lambda: with_record(database, look))


@app.command("export")
def export(
    call_sid: Annotated[str | None, typer.Argument(metavar="[SID]", help="One call; all calls without it.")] = None,
    database: DatabaseOption = None,
    output: Annotated[ExportFormat, typer.Option("--format", help="jsonl: one call a line.")] = ExportFormat.JSONL,
) -> None:
    """Write calls with everything about them, for other programs; phone numbers are masked."""
    assert output is ExportFormat.JSONL, "the only format there is"

    async def look(store: "SqlStore") -> None:
        found = [await require_call(store, call_sid)] if call_sid else await store.list_calls(limit=NO_END)
        for call in found:
            typer.echo(to_json(await call_document(store, call)))

    run_command(lambda: with_record(database, look))


@app.command("purge")
def purge(database: DatabaseOption = None) -> None:
    """Delete what is older than recording.retention_days, retention.words_days and retention.calls_days say.

    The running bridge does the same every hour; this is for a bridge that is off, and for PostgreSQL at any time.
    """
    from archer_bridge.config import load_settings

    async def work() -> None:
        settings = load_settings()
        await _purge_recordings(settings.recording)
        await _purge_record(database or settings.database_url, settings.retention)

    run_command(work)


async def _purge_recordings(kept: "RecordingSettings") -> None:
    from archer_bridge.adapters.housekeeping import purge_recordings

    gone = await purge_recordings(kept)
    for path in gone:
        typer.echo(f"deleted {path}")
    typer.echo(f"{len(gone)} recordings in {kept.folder} were older than {kept.retention_days} days")


async def _purge_record(url: str, kept: "RetentionSettings") -> None:
    from archer_bridge.adapters.housekeeping import purge_record
    from archer_bridge.adapters.sql import open_store
    from archer_bridge.adapters.sql.address import parse_address

    address = parse_address(url)
    if address.file is not None and not address.file.is_file():
        typer.echo(f"{address.file}: there is no such database")
        return
    async with await open_store(url) as store:
        gone = await purge_record(store, kept)
    for call_sid in gone.calls:
        typer.echo(f"deleted the record of {call_sid}")
    typer.echo(f"{len(gone.words)} calls lost their words: {_older(kept.words_days)}")
    typer.echo(f"{len(gone.calls)} calls lost all but their outcome: {_older(kept.calls_days)}")


def _older(days: int) -> str:
    return f"they ended more than {days} days ago" if days else "they are kept for ever"


def _console() -> Console:
    """Return a console that does not cut SIDs when the output is not a terminal."""
    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = max(console.width, 120)
    return console
