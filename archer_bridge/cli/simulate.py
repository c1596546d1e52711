"""`archer simulate cartesia`: run the Cartesia simulator as a process of its own."""

import asyncio
import json
import signal
import sys
from collections.abc import Mapping
from dataclasses import replace
from enum import StrEnum
from functools import partial
from typing import Annotated, Any

import typer

from archer_bridge.devkit.cartesia import (
    DEFAULT_API_KEY,
    FAULTS,
    FaultError,
    Faults,
    SimulatorOptions,
    create_simulator,
)
from archer_bridge.devkit.dialogue import OneTool
from archer_bridge.devkit.serving import serving


class VoiceChoice(StrEnum):
    """The voices there are; auto is the best one installed."""

    AUTO = "auto"
    LOCAL = "local"
    TONES = "tones"


def _faults_help() -> str:
    rows = "; ".join(f"{spec.usage}: {spec.doc}" for spec in FAULTS.values())
    return f"Make the agent socket misbehave; may be repeated. {rows}."


def simulate_cartesia(
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port to listen on; 0 picks a free one.", min=0, max=65535)] = 8791,
    voice: Annotated[VoiceChoice, typer.Option(help="How the agent speaks and hears.")] = VoiceChoice.AUTO,
    api_key: Annotated[str, typer.Option(help="The API key clients must send.")] = DEFAULT_API_KEY,
    fault: Annotated[list[str] | None, typer.Option(help=_faults_help(), metavar="NAME[=VALUE]")] = None,
    events: Annotated[bool, typer.Option("--events", help="Write every event as a JSON line to stdout.")] = False,
    tool: Annotated[str | None, typer.Option(help="Let the agent use this tool once, attached to it or not.")] = None,
    arguments: Annotated[str, typer.Option(help="With --tool: its arguments, a JSON object.")] = "{}",
) -> None:
    """Run the Cartesia simulator until it is interrupted."""
    try:
        faults = Faults.parse(fault or [])
    except FaultError as problem:
        raise typer.BadParameter(str(problem), param_hint="--fault") from problem
    options = SimulatorOptions(voice=voice.value, api_key=api_key, faults=faults)
    if tool is not None:
        options = replace(options, agent=partial(OneTool, tool, tool_arguments(arguments)), any_tool=True)
    try:
        asyncio.run(_simulate(options, host=host, port=port, with_events=events))
    except ModuleNotFoundError as missing:  # the voice's extra; its message says what to install
        raise typer.BadParameter(str(missing), param_hint="--voice") from missing
    except OSError as problem:
        raise typer.BadParameter(f"cannot listen on {host}:{port}: {problem}", param_hint="--port") from problem


def tool_arguments(text: str) -> dict[str, Any]:
    """Return a tool's arguments from the command line.

    Raises:
        typer.BadParameter: it is no JSON object.
    """
    try:
        value = json.loads(text)
    except ValueError:
        value = None
    if not isinstance(value, dict):
        raise typer.BadParameter(
            f'{text!r} is no JSON object, such as \'{{"day": "monday"}}\'', param_hint="--arguments"
        )
    return value


async def _simulate(options: SimulatorOptions, *, host: str, port: int, with_events: bool) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    app = create_simulator(options)
    if with_events:
        app.state.simulator.feed.subscribe(_write_line)
    async with serving(app, host=host, port=port) as served:
        if with_events:
            _write_line({"event": "listening", "t": round(loop.time(), 4), "http_url": served.http_url})
        else:
            typer.echo(f"Cartesia simulator on {served.http_url} ({served.ws_url}), voice {options.voice}")
        await stop.wait()


def _write_line(event: Mapping[str, Any]) -> None:
    sys.stdout.write(json.dumps(event, ensure_ascii=False) + "\n")
    sys.stdout.flush()
