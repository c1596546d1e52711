"""`archer call`: a simulated phone call, against any bridge or in an embedded world."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from rich.console import Console

    from archer_bridge.config import Settings
    from archer_bridge.devkit.phone import Account, Address, CallerScript, CallReport
    from archer_bridge.devkit.scenarios import Scenario

DEMO_DATABASE = "sqlite+aiosqlite:///var/archer.db"
OUT = Path("var/calls")
DEFAULT_SCENARIO = "arranges_plan"
TO_NUMBER = "+15550199999"
QUESTION = "Hello, I have a question."
"""What the caller says with --tool."""


def call(
    url: Annotated[str, typer.Option(help="Where the bridge listens.")] = "http://127.0.0.1:8000",
    embedded: Annotated[
        bool, typer.Option("--embedded", help="Start a bridge and a Cartesia simulator for it.")
    ] = False,
    scenario: Annotated[str, typer.Option(help="A shipped scenario's name, or a TOML file.")] = DEFAULT_SCENARIO,
    say: Annotated[list[str] | None, typer.Option(help="Say this instead of a scenario; may be repeated.")] = None,
    audio: Annotated[Path | None, typer.Option(help="Play this WAV file instead of a scenario.")] = None,
    from_number: Annotated[str | None, typer.Option("--from", help="The caller's number.")] = None,
    voice: Annotated[str, typer.Option(help="auto, local (real speech) or tones.")] = "auto",
    fault: Annotated[list[str] | None, typer.Option(help="With --embedded: make the simulator misbehave.")] = None,
    tool: Annotated[
        str | None, typer.Option(help="With --embedded: let the agent use this enabled tool once, and tell the answer.")
    ] = None,
    arguments: Annotated[str, typer.Option(help="With --tool: its arguments, a JSON object.")] = "{}",
    list_all: Annotated[bool, typer.Option("--list", help="List the shipped scenarios and exit.")] = False,
) -> None:
    """Place one simulated call, show it as it happens, then its record; exit 0 only if the record says so."""
    from rich.console import Console

    from archer_bridge import log
    from archer_bridge.cli.own_script import own_script
    from archer_bridge.devkit.phone import PhoneError
    from archer_bridge.devkit.scenarios import ScenarioError, load_scenario
    from archer_bridge.errors import ArcherError

    console = Console(highlight=False)
    if list_all:
        _list(console)
        return
    log.configure(level="warning", style="console")
    try:
        plan = None if say or audio or tool else load_scenario(scenario)
        lines = say or ([] if audio else [QUESTION])
        script = own_script(lines, audio, hangs_up=tool is None) if plan is None else plan.script()
        number = from_number or (plan.from_number if plan else "+15550100001")
        code = asyncio.run(
            _embedded(console, plan, script, number, voice, _simulated(fault or [], tool, arguments), tool)
            if embedded
            else _against(console, url, script, number, voice)
        )
    except (ArcherError, PhoneError, ScenarioError) as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(2) from None
    raise typer.Exit(code)


def _list(console: Console) -> None:
    from rich.table import Table

    from archer_bridge.devkit.scenarios import list_scenarios, load_scenario

    table = Table.grid(padding=(0, 2))
    for name in list_scenarios():
        table.add_row(name, load_scenario(name).description)
    console.print(table)


def _voice(console: Console, voice: str) -> str:
    from archer_bridge.devkit.voices import LOCAL_HINT, have_local

    if voice == "auto" and not have_local():
        console.print(f"[yellow]No speech engines: words cross the line as tones. {LOCAL_HINT}[/yellow]")
        return "tones"
    return "local" if voice == "auto" else voice


def _simulated(faults: list[str], tool: str | None, arguments: str) -> list[str]:
    """Return the simulator's options."""
    from archer_bridge.cli.simulate import tool_arguments

    options = [word for fault in faults for word in ("--fault", fault)]
    if tool is not None:
        tool_arguments(arguments)  # refused here, not by a process that does not come up
        options += ["--tool", tool, "--arguments", arguments]
    return options


async def _embedded(
    console: Console,
    plan: Scenario | None,
    script: CallerScript,
    number: str,
    voice: str,
    simulator_options: list[str],
    tool: str | None,
) -> int:
    from archer_bridge.adapters.sql import open_store
    from archer_bridge.adapters.sql.seed import DEMO_CUSTOMERS
    from archer_bridge.cli import embedded
    from archer_bridge.cli.conversation import Conversation
    from archer_bridge.devkit.phone import DEMO_ACCOUNT

    spoken_by = _voice(console, voice)
    heading = f"{plan.name}: {plan.description}" if plan else f"the tool {tool}" if tool else "your own words"
    console.print(heading, style="bold", markup=False)
    console.print(f"Caller {number}, voices: {spoken_by}. Starting a Cartesia simulator and a bridge …\n", style="dim")
    async with await open_store(DEMO_DATABASE) as store:
        await store.add_customers(DEMO_CUSTOMERS)
    shown = Conversation(console)
    async with embedded.world(
        voice=spoken_by,
        database=DEMO_DATABASE,
        log_file=OUT / "last-call.log",
        on_event=shown.process,
        simulator_options=simulator_options,
    ) as world:
        report = await _place(shown, DEMO_ACCOUNT, number, embedded.PUBLIC_URL, world.bridge, script, spoken_by)
    recording = _keep(report)
    console.rule("the stored record", style="dim")
    failures = await _show_record(console, report, plan, tool)
    _show_end(console, recording, report.call_sid, failures)
    return 1 if failures else 0


def _show_end(console: Console, recording: Path, call_sid: str, failures: list[str]) -> None:
    from rich.table import Table

    console.rule(style="dim")
    places = Table.grid(padding=(0, 2))
    places.add_row("Recording", f"{recording}  (left: what the caller said, right: what the caller heard)")
    places.add_row("Log", str(OUT / "last-call.log"))
    places.add_row("Record", f"archer calls show {call_sid}")
    console.print(places)
    console.print()
    for failure in failures:
        console.print(f"NOT AS EXPECTED: {failure}", style="bold red", markup=False)
    if not failures:
        console.print("As expected: the record says what happened.", style="bold green")


async def _against(console: Console, url: str, script: CallerScript, number: str, voice: str) -> int:
    from urllib.parse import urlsplit

    from archer_bridge.cli.conversation import Conversation
    from archer_bridge.config import load_settings

    settings = load_settings()
    parts = urlsplit(url)
    if not parts.hostname:
        raise typer.BadParameter(f"{url!r} is not an address; expected http://127.0.0.1:8000", param_hint="--url")
    account = _account(settings)
    address = (parts.hostname, parts.port or (443 if parts.scheme == "https" else 80))
    public = settings.server.public_url or url
    report = await _place(Conversation(console), account, number, public, address, script, _voice(console, voice))
    console.rule(style="dim")
    console.print(f"Recording: {_keep(report)}  (left: what the caller said, right: what the caller heard)")
    good = bool(report.streams) and not report.violations and report.ended_by in {"caller", "bridge"}
    style = "bold green" if good else "bold red"
    spoke = "the caller spoke with the agent" if report.streams else "no stream was opened: the caller got no agent"
    console.print(
        f"The {report.ended_by} ended the call after {report.duration_ms / 1000:.1f} s; {spoke}.", style=style
    )
    return 0 if good else 1


def _account(settings: Settings) -> Account:
    """Return the account whose webhooks the bridge believes: the same settings as the bridge's own."""
    from archer_bridge.devkit.phone import Account
    from archer_bridge.errors import ConfigError

    sid, token = settings.twilio.account_sid, settings.twilio.auth_token.get_secret_value()
    required = {"TWILIO_ACCOUNT_SID": sid, "TWILIO_AUTH_TOKEN": token}
    if missing := [
        f"{name} is not set: the phone signs as the bridge checks" for name, value in required.items() if not value
    ]:
        raise ConfigError(missing)
    return Account(f"AC{sid[2:].lower()}", token)


async def _place(
    shown: object, account: Account, number: str, public_url: str, bridge: Address, script: CallerScript, voice: str
) -> CallReport:
    from archer_bridge.cli.conversation import Conversation
    from archer_bridge.devkit.phone import ALL_STATUS_EVENTS, Phone, PhoneOptions, StatusCallback

    assert isinstance(shown, Conversation)
    phone = Phone(
        account,
        number,
        TO_NUMBER,
        f"{public_url}/webhooks/twilio/incoming",
        connect_to=bridge,
        status_callback=StatusCallback(f"{public_url}/webhooks/twilio/status", ALL_STATUS_EVENTS),
        options=PhoneOptions(voice=voice),
    )
    return await phone.call(script, on_event=shown.phone)


def _keep(report: CallReport) -> Path:
    OUT.mkdir(parents=True, exist_ok=True)
    path = OUT / f"{report.call_sid}.wav"
    report.write_wav(path)
    return path


async def _show_record(console: Console, report: CallReport, plan: Scenario | None, tool: str | None) -> list[str]:
    """Print the stored record and return what in it is not as the scenario, or the tool, lets expect."""
    from archer_bridge.adapters.sql import open_store
    from archer_bridge.cli.call_view import show_call

    async with await open_store(DEMO_DATABASE, read_only=True) as store:
        row = await store.get_call(report.call_sid)
        if row is None:
            return ["the bridge has no record of the call"]
        tool_rows = await store.tool_rows(report.call_sid)
        arrangements = await store.arrangements(report.call_sid)
        show_call(
            console,
            row,
            turns=await store.turns(report.call_sid),
            tools=tool_rows,
            arrangements=arrangements,
            events=await store.events(report.call_sid),
        )
        failures = [f"Twilio would have warned: {item.code} {item.detail}" for item in report.violations]
        if tool is not None and not any(item.tool == tool and item.status.value == "ok" for item in tool_rows):
            failures.append(f"the tool {tool} gave no good answer")
        if plan is None:
            return failures
        found = plan.expect.problems(
            outcome=row.outcome.value if row.outcome else "none",
            tools=[item.tool for item in tool_rows],
            arrangement=arrangements[0].option if arrangements else None,
        )
        return [*failures, *found]
