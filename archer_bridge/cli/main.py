"""The `archer` command: what there is, loaded only when it is called."""

import importlib
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup

from archer_bridge import __version__

COMMANDS = {
    "serve": ("archer_bridge.cli.serve:serve", "Take calls."),
    "call": ("archer_bridge.cli.call:call", "Place a simulated phone call against a bridge."),
    "dev": ("archer_bridge.cli.dev:dev", "Take real calls on a laptop, through an ngrok tunnel."),
    "doctor": ("archer_bridge.cli.doctor:doctor", "Check settings, keys, address, database, plugins and agent."),
    "calls": ("archer_bridge.cli.calls:app", "Look at the record: ls, show, export, purge."),
    "tools": ("archer_bridge.cli.tools:app", "The agent's tools: ls, push to Cartesia, reconcile."),
    "codecs": ("archer_bridge.cli.codecs:app", "The codec library: ls, plan a chain, bench."),
    "bench": ("archer_bridge.cli.bench:bench", "Measure what a call costs, beside a bare relay and a naive bridge."),
    "db": ("archer_bridge.cli.db:app", "The database: upgrade, seed, backup, restore, check."),
    "simulate-cartesia": ("archer_bridge.cli.simulate:simulate_cartesia", "Run the Cartesia simulator."),
}
"""Name: where it is, and its line in `archer --help`."""


class LazyGroup(TyperGroup):
    """Lists commands from the table and imports one when it is called, so that `--help` is quick."""

    def list_commands(self, ctx: Any) -> list[str]:
        """Return the names, in the order of a newcomer's needs."""
        return list(COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """Return a command that knows its name and help only."""
        entry = COMMANDS.get(cmd_name)
        return None if entry is None else TyperCommand(cmd_name, help=entry[1])

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Import the command that is called."""
        name, command, rest = super().resolve_command(ctx, args)
        if name in COMMANDS:
            command = _load(name, COMMANDS[name][0])
        return name, command, rest


def _load(name: str, path: str) -> Any:
    module, _, attribute = path.partition(":")
    target = getattr(importlib.import_module(module), attribute)
    if not isinstance(target, typer.Typer):
        single = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
        single.command(name=name)(target)
        target = single
    command = typer.main.get_command(target)
    command.name = name
    return command


app = typer.Typer(cls=LazyGroup, no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)


@app.callback(invoke_without_command=True)
def root(
    version: bool = typer.Option(False, "--version", help="Print the version and exit."),
) -> None:
    """Connects Twilio calls to a Cartesia voice agent, runs your tools, keeps one truthful record."""
    if version:
        typer.echo(f"archer-bridge {__version__}")
        raise typer.Exit


def run() -> None:
    """Entry point of the `archer` script."""
    app(prog_name="archer")
