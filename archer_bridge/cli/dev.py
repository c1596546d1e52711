"""`archer dev`: real calls on a laptop. A tunnel, the number pointed at it, and the bridge, reloading."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from archer_bridge.cli.dev_address import Missing, Reachable, Startable
    from archer_bridge.cli.dev_serve import SignalRelay
    from archer_bridge.config import Settings

NGROK_API = "http://127.0.0.1:4040"
BAD_SETTINGS, INTERRUPTED = 2, 130
"""Exit codes; otherwise the bridge's own."""

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class DevOptions:
    """What the command line says."""

    config: Path | None = None
    port: int | None = None
    configure: bool = True
    ngrok_api: str = NGROK_API
    reload: bool = True


def dev(
    config: Annotated[Path | None, typer.Option("--config", help="The TOML file; default config.toml.")] = None,
    port: Annotated[
        int | None, typer.Option(min=1, max=65535, help="Listen here instead of server.port.", show_default=False)
    ] = None,
    no_configure: Annotated[
        bool, typer.Option("--no-configure", help="Leave the phone number at Twilio as it is.")
    ] = False,
    ngrok_api: Annotated[str, typer.Option("--ngrok-api", metavar="URL", help="ngrok's local API.")] = NGROK_API,
    no_reload: Annotated[bool, typer.Option("--no-reload", help="Do not restart when the code changes.")] = False,
) -> None:
    """Take real calls on this machine, through ngrok.

    Finds or starts the tunnel, runs the bridge, points your Twilio number at it and prints the number to dial.
    """
    options = DevOptions(config, port, not no_configure, ngrok_api, not no_reload)
    try:
        code = asyncio.run(run_dev(options, os.environ, say=typer.echo))
    except (asyncio.CancelledError, KeyboardInterrupt):
        code = INTERRUPTED
    raise typer.Exit(code)


async def run_dev(options: DevOptions, environ: Mapping[str, str], *, say: Say) -> int:
    """Do all of it and return the exit code; `say` gets what a person should read."""
    from archer_bridge.cli.dev_address import Missing
    from archer_bridge.cli.dev_serve import SignalRelay
    from archer_bridge.config import load_settings
    from archer_bridge.errors import ArcherError, ConfigError

    task = asyncio.current_task()
    assert task is not None
    relay = SignalRelay(task)
    environment = _environment(options, environ)
    with relay.listening():
        try:
            settings = load_settings(environ=environment)
            found = await _found_address(settings, options, environment, say)
            return BAD_SETTINGS if isinstance(found, Missing) else await _run(options, environment, found, relay, say)
        except ConfigError as error:
            say(f"{error}\n`archer doctor` checks them one by one.")
            return BAD_SETTINGS
        except ArcherError as error:
            say(str(error))
            return 1


def _environment(options: DevOptions, environ: Mapping[str, str]) -> dict[str, str]:
    changes = {} if options.config is None else {"ARCHER_CONFIG": str(options.config)}
    if options.port is not None:
        changes["ARCHER_SERVER__PORT"] = str(options.port)
    return {**environ, **changes}


async def _found_address(
    settings: Settings, options: DevOptions, environment: Mapping[str, str], say: Say
) -> Reachable | Startable | Missing:
    """Find the address; nothing is started or changed while anything is missing, and all that is missing is told."""
    from archer_bridge.cli.dev_address import ADDRESS_SETTING, Missing, find_address
    from archer_bridge.cli.dev_serve import is_taken
    from archer_bridge.errors import ConfigError

    problems = [problem for problem in settings.serving_problems() if not problem.startswith(ADDRESS_SETTING)]
    host, port = reached_host(settings), settings.server.port
    if port == 0:
        problems.append("server.port is 0, any free one: a tunnel needs a port that stays; use --port 8000")
    elif await is_taken(host, port):
        problems.append(f"port {port} is taken: stop what listens there, or use another: archer dev --port PORT")
    found = await find_address(settings, options.ngrok_api, environment.get("PATH"))
    if isinstance(found, Missing):
        say(found.advice)
    if problems:
        raise ConfigError(problems)
    return found


async def _run(
    options: DevOptions,
    environment: Mapping[str, str],
    found: Reachable | Startable,
    relay: SignalRelay,
    say: Say,
) -> int:
    from archer_bridge.adapters.ngrok import started_ngrok
    from archer_bridge.cli.dev_address import ADDRESS_SETTING, Startable
    from archer_bridge.cli.dev_serve import answers, exit_code, serving_process
    from archer_bridge.config import load_settings

    async with AsyncExitStack() as stack:
        if isinstance(found, Startable):
            ngrok = started_ngrok(found.binary, found.host, found.port, api_url=options.ngrok_api)
            url, source = await stack.enter_async_context(ngrok), "ngrok, started for this"
        else:
            url, source = found.url, found.source
        # The same key by its long name would be read as well, and either could win.
        kept = {name: value for name, value in environment.items() if name != "ARCHER_SERVER__PUBLIC_URL"}
        kept[ADDRESS_SETTING] = url
        settings = load_settings(environ=kept, serving=True)
        say(f"Public address: {url} ({source})")
        process = await stack.enter_async_context(serving_process(relay, kept, reload=options.reload))
        if await answers(process, f"http://{_bracketed(reached_host(settings))}:{settings.server.port}"):
            for line in await number_lines(settings, configure=options.configure):
                say(line)
        return exit_code(await process.wait())


async def number_lines(settings: Settings, *, configure: bool) -> list[str]:
    """Point the phone number at the bridge, and return what to tell about it: what was done, what to dial."""
    from archer_bridge.adapters.twilio_rest import open_twilio
    from archer_bridge.cli.dev_address import console_advice
    from archer_bridge.errors import ArcherError

    public_url = settings.server.public_url
    if not configure:
        return ["The phone number is left as it is (--no-configure).", console_advice(public_url)]
    if not public_url.startswith("https://"):
        return [f"{public_url} cannot be reached from Twilio, so the phone number is left as it is."]
    try:
        async with open_twilio(settings.twilio) as twilio:
            number = await twilio.find_number(settings.twilio.phone_number)
            if number.handler:
                told = f"{number.number} is answered by the {number.handler}, which goes before any webhook: detach it."
                return [told, console_advice(public_url)]
            if number.calls(public_url):
                done = f"{number.number} calls this bridge already."
            else:
                await twilio.point(number, public_url)
                done = f"{number.number} calls this bridge now (before: {_shown(number.voice_url)})."
    except (ArcherError, ValueError) as error:
        return [str(error), console_advice(public_url)]
    return [done, f"Dial {number.number}"]


def _shown(url: str) -> str:
    """Return an address without the user and password that may be in it."""
    scheme, separator, rest = url.partition("://")
    host, slash, path = rest.partition("/")
    return f"{scheme}{separator}{host.rpartition('@')[2]}{slash}{path.partition('?')[0]}" or "nothing"


def reached_host(settings: Settings) -> str:
    """Return where this machine reaches its own listener."""
    host = settings.server.host
    try:
        address = ip_address(host)
    except ValueError:
        return host
    loopback = {4: "127.0.0.1", 6: "::1"}
    return loopback[address.version] if address.is_unspecified else host


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host
