import asyncio
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from archer_bridge.adapters.sql import open_store
from archer_bridge.cli.db import app
from tests.adapters.sql.samples import new_call


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, arguments)


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/record.db"


def test_upgrade_makes_the_database_and_may_be_repeated(url: str, tmp_path: Path) -> None:
    for _ in range(2):
        result = run("upgrade", "--database", url)

        assert (result.exit_code, result.stdout) == (0, f"{tmp_path}/record.db: schema version 0003\n")


async def _stored(url: str) -> list[str]:
    async with await open_store(url, read_only=True) as store:
        found = [await store.find_customer(f"+1555010000{number}") for number in range(5)]
        return [person.name for person in found if person is not None]


def test_seed_adds_the_demo_customers_once(url: str) -> None:
    first, second = run("seed", "--database", url), run("seed", "--database", url)

    assert "3 demo customers added, 0 were there already:" in first.stdout
    assert "  +15550100002  Sam Okafor     $1,234.57  120 days overdue\n" in first.stdout
    assert "0 demo customers added, 3 were there already:" in second.stdout
    assert asyncio.run(_stored(url)) == ["Dana Reyes", "Sam Okafor", "Lee Park"]


def test_upgrade_alone_seeds_nobody(url: str) -> None:
    run("upgrade", "--database", url)

    assert asyncio.run(_stored(url)) == []


def test_backup_check_and_restore(url: str, tmp_path: Path) -> None:
    run("seed", "--database", url)
    copy = tmp_path / "copy.db"

    saved = run("backup", str(copy), "--database", url)
    checked = run("check", "--database", url)
    restored = run("restore", str(copy), "--database", url)

    assert (saved.exit_code, saved.stdout) == (0, f"{copy}: {copy.stat().st_size:,} bytes, checked\n")
    assert (checked.exit_code, checked.stdout) == (0, "0 calls, 0 events checked: 0 problems\n")
    assert restored.exit_code == 0
    assert f"{tmp_path}/record.db: restored from {copy}\n" in restored.stdout
    assert f"is kept as {tmp_path}/record.db.before-" in restored.stdout


def test_check_fails_for_a_changed_record(url: str, tmp_path: Path) -> None:
    async def one_call() -> None:
        async with await open_store(url) as store:
            await store.open_call(new_call())

    asyncio.run(one_call())
    with closing(sqlite3.connect(tmp_path / "record.db")) as connection, connection:
        connection.execute("UPDATE calls SET version = 7")

    result = run("check", "--database", url)

    assert result.exit_code == 1
    assert result.stdout == "1 calls, 1 events checked: 1 problems\n"
    assert "version is 7, the timeline says 1\n" in result.stderr
    assert "error: the record is not as it was written; restore a backup" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        pytest.param(["check"], "there is no such database", id="check-nothing"),
        pytest.param(["backup", "copy.db"], "there is no such database", id="backup-nothing"),
        pytest.param(["restore", "no-such-copy.db"], "there is no such file", id="restore-nothing"),
    ],
)
def test_what_is_missing_is_said_in_one_line(url: str, arguments: list[str], words: str) -> None:
    result = run(*arguments, "--database", url)

    assert result.exit_code == 1
    assert result.stderr.startswith("error: ")
    assert words in result.stderr
    assert result.stderr.count("\n") == 1


def test_a_wrong_url_is_said_in_one_line() -> None:
    result = run("upgrade", "--database", "mysql://host/name")

    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == (
        "error: database scheme 'mysql' is not supported; expected sqlite:///FILE or postgresql://HOST/NAME\n"
    )


def test_without_the_option_the_configured_database_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DATABASE_URL", f"sqlite:///{tmp_path}/configured.db")

    assert run("upgrade").stdout == f"{tmp_path}/configured.db: schema version 0003\n"
    assert (tmp_path / "configured.db").is_file()
