"""`archer tools`: what is installed, what Cartesia knows of it, what became of uncertain calls."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

if TYPE_CHECKING:
    from archer_bridge.adapters.plugins import FoundTool
    from archer_bridge.config import Settings
    from archer_bridge.models import ToolRow
    from archer_bridge.tool_api import Tool

T = TypeVar("T")
ConfigOption = Annotated[Path | None, typer.Option("--config", help="The TOML file; default config.toml.")]
PROBLEM, BAD_SETTINGS = 1, 2
"""Exit codes."""

app = typer.Typer(
    name="tools",
    help="The agent's tools: ls, push to Cartesia, reconcile.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


@app.command()
def ls(config: ConfigOption = None) -> None:
    """List the installed tools: name, distribution, status, last result.

    Imports the enabled ones only. Exit code 1 when an enabled one cannot be used.
    """
    from archer_bridge.adapters.plugins import discover_tools

    settings = _settings(config)
    last = _reported(_last_rows, settings.database_url)
    found = discover_tools(settings.tools.local)
    status = {one: _status(one, found, settings) for one in found}
    rows = [
        (one.name, f"{one.distribution} {one.version}".strip(), status[one], last.get(one.name, "-")) for one in found
    ]
    missing = sorted(set(settings.tools.enabled) - {one.name for one in found})
    rows += [(name, "-", "broken: no installed package provides it", last.get(name, "-")) for name in missing]
    _print_table(("NAME", "DISTRIBUTION", "STATUS", "LAST RESULT"), sorted(rows))
    if any(row[2].startswith("broken") for row in rows):
        raise typer.Exit(PROBLEM)


@app.command()
def push(
    config: ConfigOption = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only print the difference.")] = False,
) -> None:
    """Create or update the enabled tools at Cartesia and attach them to the agent.

    Tools that others attached stay attached. A cartesia.voice_id, if set, becomes the agent's voice.
    """
    settings = _settings(config)
    needed = {
        "CARTESIA_API_KEY": settings.cartesia.api_key.get_secret_value(),
        "CARTESIA_AGENT_ID": settings.cartesia.agent_id,
    }
    for name, value in needed.items():
        if not value:
            typer.echo(f"{name} is not set", err=True)
    if not all(needed.values()):
        raise typer.Exit(BAD_SETTINGS)
    plan = _reported(_push, settings, _tools(settings), dry_run)
    for line in plan.lines():
        typer.echo(line)
    done = "would be done (--dry-run)" if dry_run else "done"
    typer.echo("Nothing to do." if plan.is_empty else f"Agent {settings.cartesia.agent_id}: {done}.")


@app.command()
def reconcile(
    config: ConfigOption = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Find out, but settle nothing.")] = False,
    done: Annotated[list[str] | None, typer.Option("--done", help="KEY of a call that did happen.")] = None,
    not_done: Annotated[list[str] | None, typer.Option("--not-done", help="KEY of one that did not.")] = None,
) -> None:
    """Settle tool calls whose end is not known, because their process died or they crashed.

    A tool that can look it up is asked; for the others you decide, with --done and --not-done. With SQLite the
    bridge must not be running. Exit code 1 when some stay unknown.
    """
    settings = _settings(config)
    left = _reported(_reconcile, settings, _tools(settings), dry_run, done or [], not_done or [])
    if left:
        raise typer.Exit(PROBLEM)


def _settings(config: Path | None) -> Settings:
    from archer_bridge.config import load_settings
    from archer_bridge.errors import ConfigError

    try:
        return load_settings(config_file=config)
    except ConfigError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(BAD_SETTINGS) from None


def _tools(settings: Settings) -> Mapping[str, Tool]:
    from archer_bridge.adapters.plugins import load_tools
    from archer_bridge.errors import PluginError

    try:
        return load_tools(settings.tools.enabled, local=settings.tools.local, settings=settings.tools.settings)
    except PluginError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(PROBLEM) from None


def _reported(work: Callable[..., Coroutine[Any, Any, T]], *arguments: Any) -> T:
    """Run to the end, and tell an expected error in one sentence."""
    from archer_bridge.errors import ArcherError

    try:
        return asyncio.run(work(*arguments))
    except (ArcherError, ValueError) as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(PROBLEM) from None


def _status(one: FoundTool, found: list[FoundTool], settings: Settings) -> str:
    from archer_bridge.adapters.plugins import load_tools
    from archer_bridge.errors import PluginError

    if one.name not in settings.tools.enabled:
        return "installed"
    try:
        load_tools([one.name], local=settings.tools.local, settings=settings.tools.settings)
    except PluginError as error:
        return f"broken: {error.problems[0]}"
    return "enabled"


async def _last_rows(database_url: str) -> dict[str, str]:
    """Return the newest outcome of each tool; nothing when there is no record yet."""
    from archer_bridge.adapters.sql import open_store
    from archer_bridge.errors import StoreError

    try:
        store = await open_store(database_url, read_only=True)
    except StoreError:
        return {}
    try:
        return {row.tool: _told(row) for row in await store.tool_rows()}
    finally:
        await store.close()


def _told(row: ToolRow) -> str:
    return f"{row.status.value} {row.started_at:%Y-%m-%d %H:%M}"


async def _push(settings: Settings, tools: Mapping[str, Tool], dry_run: bool) -> Any:
    from archer_bridge.adapters.cartesia_rest import CartesiaRest
    from archer_bridge.adapters.cartesia_tools import definition, push, read_plan

    cartesia = settings.cartesia
    wanted = [definition(tool, settings.tools.timeout_s) for tool in tools.values()]
    rest = CartesiaRest(cartesia.rest_url, cartesia.api_key.get_secret_value(), version=cartesia.version)
    async with rest:
        act = read_plan if dry_run else push
        return await act(rest, cartesia.agent_id, wanted, cartesia.voice_id)


async def _reconcile(
    settings: Settings, tools: Mapping[str, Tool], dry_run: bool, done: list[str], not_done: list[str]
) -> int:
    from archer_bridge.adapters.sql import open_store
    from archer_bridge.calls.tool_reconcile import reconcile, settle
    from archer_bridge.models import ToolStatus

    store = await open_store(settings.database_url)
    try:
        await store.recover()
        for status, keys in ((ToolStatus.OK, done), (ToolStatus.ERROR, not_done)):
            for key in [] if dry_run else keys:
                told = f"settled as {status.value}" if await settle(store, key, status) else "is not unknown"
                typer.echo(f"{key}: {told}")
        verdicts = await reconcile(tools, store, dry_run=dry_run)
        rows = [
            (one.row.key, one.row.tool, one.status.value if one.status else "unknown", one.note) for one in verdicts
        ]
        if rows:
            _print_table(("KEY", "TOOL", "NOW", "NOTE"), rows)
        else:
            typer.echo("No tool call is unknown.")
        return sum(1 for one in verdicts if one.status is None)
    finally:
        await store.close()


def _print_table(head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> None:
    widths = [max(len(row[column]) for row in [head, *rows]) for column in range(len(head) - 1)]
    for row in [head, *rows]:
        cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=False)]
        typer.echo("  ".join([*cells, row[-1]]))
