"""`archer doctor`: is everything there that a call needs, and how to mend what is not."""

from __future__ import annotations

import asyncio
import inspect
import json
import os
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from archer_bridge.cli.checks.verdict import Check, Verdict
    from archer_bridge.config import Settings

CHECK_TIMEOUT_S = 45.0
PROBLEM = 1
COLOURS = {"ok": typer.colors.GREEN, "warn": typer.colors.YELLOW, "FAIL": typer.colors.RED, "skip": typer.colors.CYAN}


@dataclass(frozen=True, slots=True)
class Row:
    """A line of the table of checks."""

    name: str
    examine: Callable[[Settings], Verdict | Awaitable[Verdict]]
    online: bool = False
    """Asks somebody else; left out with --offline."""
    without_settings: bool = False
    """Means something also when the settings cannot be read: it gets the defaults then."""


def table() -> tuple[Row, ...]:
    """Return every check in the order of telling; what is imported here need not be for `archer --help`."""
    from archer_bridge.cli.checks import address, configuration, machine, parts, record, vendors

    return (
        Row("Python", machine.python, without_settings=True),
        Row("event loop", machine.event_loop, without_settings=True),
        Row("websockets", machine.websockets_speedups, without_settings=True),
        Row("compiled parts", machine.kernels, without_settings=True),
        Row("open files", machine.open_files, without_settings=True),
        Row("required settings", configuration.required),
        Row("Twilio API key", configuration.twilio_key),
        Row("recording", configuration.recording),
        Row("persona", configuration.persona),
        Row("tools", parts.tools),
        Row("codec plugins", parts.codec_plugins, without_settings=True),
        Row("audio route", parts.audio_route),
        Row("database", record.database),
        Row("customers", record.customers),
        Row("public address", address.public_url),
        Row("signatures", address.signature),
        Row("public address answers", address.reachable, online=True),
        Row("signed request", address.signed_request, online=True),
        Row("Twilio account", vendors.twilio_account, online=True),
        Row("Twilio number", vendors.twilio_number, online=True),
        Row("Cartesia agent", vendors.cartesia_agent, online=True),
        Row("Cartesia tools", vendors.cartesia_tools, online=True),
    )


def doctor(
    config: Annotated[Path | None, typer.Option("--config", help="The TOML file; default config.toml.")] = None,
    offline: Annotated[bool, typer.Option("--offline", help="Ask nobody: no network at all.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
) -> None:
    """Check settings, keys, address, database, plugins and agent, and say how to fix each.

    Exit code 1 when something FAILs. Secrets are never printed.
    """
    from archer_bridge import log
    from archer_bridge.cli.checks.verdict import Status

    log.configure(level="error", style="console")
    if config is not None:
        os.environ["ARCHER_CONFIG"] = str(config)
    checks = asyncio.run(examine(os.environ, offline=offline))
    healthy = all(check.status is not Status.FAIL for check in checks)
    if as_json:
        document = {"ok": healthy, "checks": [asdict(check) for check in checks]}
        typer.echo(json.dumps(document, indent=2, ensure_ascii=False))
    else:
        _print(checks)
    raise typer.Exit(0 if healthy else PROBLEM)


async def examine(environ: Mapping[str, str], *, offline: bool = False) -> list[Check]:
    """Run every check, at the same time, and return them in the order of the table."""
    from archer_bridge.cli.checks import weakness
    from archer_bridge.cli.checks.configuration import secret_values, secrets_place, sources
    from archer_bridge.cli.checks.verdict import Check, Status
    from archer_bridge.config import load_settings
    from archer_bridge.errors import ConfigError

    settings: Settings | None = None
    try:
        settings = load_settings(environ=environ)
        files = [str(file) for file in sources(environ) if file.is_file()]
        first = Check("settings", Status.OK, ", ".join([*files, "environment"]))
    except ConfigError as error:
        first = Check("settings", Status.FAIL, "\n".join(error.problems), "config.toml names every setting")
    place = secrets_place(environ)
    rows = table()
    async with asyncio.TaskGroup() as group:
        running = [
            group.create_task(_examined(row, settings, offline=offline), name=f"check {row.name}") for row in rows
        ]
    secrets = secret_values(settings) if settings is not None else []
    verdicts = [task.result() for task in running]
    found = [
        Check(row.name, verdict.status, verdict.found, verdict.fix) for row, verdict in zip(rows, verdicts, strict=True)
    ]
    second = Check("secrets", place.status, place.found, place.fix)
    weak = weakness.checks(settings, weakness.Sources(environ, *reversed(sources(environ)))) if settings else []
    return [_without_secrets(check, secrets) for check in [first, second, *found, *weak]]


async def _examined(row: Row, settings: Settings | None, *, offline: bool) -> Verdict:
    from archer_bridge.cli.checks.verdict import fail, skip
    from archer_bridge.config import Settings

    if settings is None and not row.without_settings:
        return skip("the settings cannot be used")
    if row.online and offline:
        return skip("--offline")
    try:
        async with asyncio.timeout(CHECK_TIMEOUT_S):
            verdict = row.examine(settings or Settings())
            return await verdict if inspect.isawaitable(verdict) else verdict
    except TimeoutError:
        return fail(f"not known after {CHECK_TIMEOUT_S:g} s", "look for what does not answer, and try again")
    except Exception as error:  # the doctor's edge: what one check did not foresee must not hide the others
        return fail(f"the check broke: {error!r}", "this is an error in archer-bridge; please report it")


def _without_secrets(check: Check, secrets: list[str]) -> Check:
    """Take out every secret that somebody else's words may hold, and what could drive the terminal."""
    from archer_bridge.cli.checks.configuration import masked
    from archer_bridge.cli.checks.verdict import Check
    from archer_bridge.cli.records import printable

    found, fix = check.found, check.fix
    for secret in secrets:
        found, fix = found.replace(secret, masked(secret)), fix.replace(secret, masked(secret))
    return Check(check.name, check.status, printable(found), printable(fix))


def _print(checks: list[Check]) -> None:
    width = max(len(check.name) for check in checks)
    for check in checks:
        status = typer.style(f"{check.status:<4}", fg=COLOURS[check.status])
        margin = f"\n{'':{width + 8}}"
        typer.echo(f"{status}  {check.name:<{width}}  {check.found.replace(chr(10), margin)}")
        if check.fix:
            typer.echo(f"{margin[1:]}-> {check.fix}")
    counts = {status: sum(1 for check in checks if check.status == status) for status in COLOURS}
    names = {"ok": "ok", "warn": "to look at", "FAIL": "failed", "skip": "not checked"}
    told = ", ".join(f"{count} {names[status]}" for status, count in counts.items() if count)
    typer.echo(f"{len(checks)} checks: {told}")
