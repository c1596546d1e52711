"""`archer db`: schema, demo customers, backup, restore and check of the record."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from archer_bridge.cli.records import DatabaseOption, find_database, printable, run_command, with_record
from archer_bridge.errors import StoreError

if TYPE_CHECKING:
    from archer_bridge.adapters.sql import SqlStore

app = typer.Typer(help="Look after the database.", no_args_is_help=True)


@app.command("upgrade")
def upgrade(database: DatabaseOption = None) -> None:
    """Bring the schema to the version this archer-bridge works with; makes the database when there is none."""

    async def work() -> None:
        from archer_bridge.adapters.sql import upgrade as upgrade_schema
        from archer_bridge.adapters.sql.address import parse_address
        from archer_bridge.adapters.sql.migrate import HEAD

        url = find_database(database)
        await upgrade_schema(url)
        typer.echo(f"{parse_address(url)}: schema version {HEAD}")

    run_command(work)


@app.command("seed")
def seed(database: DatabaseOption = None) -> None:
    """Add the demo customers; those who are there stay as they are."""

    async def work() -> None:
        from archer_bridge.adapters.sql import open_store
        from archer_bridge.adapters.sql.seed import DEMO_CUSTOMERS

        async with await open_store(find_database(database)) as store:
            added = await store.add_customers(DEMO_CUSTOMERS)
        typer.echo(f"{added} demo customers added, {len(DEMO_CUSTOMERS) - added} were there already:")
        for person in DEMO_CUSTOMERS:
            money = f"${person.balance_cents // 100:,}.{person.balance_cents % 100:02d}"
            typer.echo(f"  {person.phone}  {person.name:<12}  {money:>10}  {person.days_overdue} days overdue")

    run_command(work)


@app.command("backup")
def backup(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Where to write the copy; must not exist.")],
    database: DatabaseOption = None,
) -> None:
    """Copy the record into one file, also while the bridge runs (SQLite)."""

    async def work() -> None:
        from archer_bridge.adapters.sql.backup import backup as copy_out

        size = copy_out(find_database(database), file)
        typer.echo(f"{file}: {size:,} bytes, checked")

    run_command(work)


@app.command("restore")
def restore(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A file that `archer db backup` wrote.")],
    database: DatabaseOption = None,
) -> None:
    """Put a backup in the record's place, with the bridge stopped (SQLite)."""

    async def work() -> None:
        from archer_bridge.adapters.sql.address import parse_address
        from archer_bridge.adapters.sql.backup import restore as copy_in
        from archer_bridge.adapters.sql.types import utc_now

        url = find_database(database)
        kept = copy_in(url, file, now=utc_now())
        typer.echo(f"{parse_address(url)}: restored from {file}")
        if kept is not None:
            typer.echo(f"the record that was there is kept as {kept}")

    run_command(work)


@app.command("check")
def check(database: DatabaseOption = None) -> None:
    """Prove the record: the file is sound, every timeline unchanged, every call as its timeline tells."""

    async def look(store: "SqlStore") -> None:
        checked = await store.check()
        for problem in checked.problems:
            typer.echo(printable(problem), err=True)
        typer.echo(f"{checked.calls} calls, {checked.events} events checked: {len(checked.problems)} problems")
        if checked.problems:
            raise StoreError("the record is not as it was written; restore a backup: archer db restore FILE")

    run_command(lambda: with_record(database, look))
