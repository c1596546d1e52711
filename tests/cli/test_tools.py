import asyncio
import threading
from collections.abc import Iterator

import pytest
from typer.testing import CliRunner

from archer_bridge.adapters.sql import open_store
from archer_bridge.cli.tools import app
from archer_bridge.devkit.cartesia import DEFAULT_API_KEY, PRESET_AGENT_ID, create_simulator
from archer_bridge.devkit.serving import serving
from archer_bridge.models import NewCall, ToolBegin, ToolStatus
from archer_bridge.testing import DANA

SID = "CA" + "1" * 32


@pytest.fixture
def home(tmp_path, monkeypatch):
    """A folder with a config.toml of its own, and an environment without settings."""
    monkeypatch.chdir(tmp_path)
    for name in ("CARTESIA_API_KEY", "CARTESIA_AGENT_ID", "CARTESIA_VOICE_ID", "DATABASE_URL", "ARCHER_CONFIG"):
        monkeypatch.delenv(name, raising=False)
    configure(tmp_path)
    return tmp_path


def configure(home, tools: str = "") -> None:
    (home / "config.toml").write_text(f'database_url = "sqlite+aiosqlite:///{home}/archer.db"\n{tools}')


def run(*arguments: str) -> tuple[int, str, str]:
    done = CliRunner().invoke(app, list(arguments), catch_exceptions=False)
    return done.exit_code, done.stdout, done.stderr


async def leave_unknown(home, business_key: str) -> None:
    """Take a call whose process dies in the middle of a payment."""
    async with await open_store(f"sqlite:///{home}/archer.db", owner_id="dead") as store:
        await store.open_call(NewCall(SID, "AC" + "0" * 32, DANA.phone, "+15550000000"))
        await store.begin_tool(ToolBegin(f"{SID}:t1", SID, "process_payment", "{}", "0" * 64, business_key))


async def rows_of(home) -> list[ToolStatus]:
    async with await open_store(f"sqlite:///{home}/archer.db", read_only=True) as store:
        return [row.status for row in await store.tool_rows()]


def test_ls_shows_what_is_enabled_and_how_it_last_went(home):
    asyncio.run(leave_unknown(home, "k"))
    code, out, _ = run("ls")
    rows = {line.split()[0]: line for line in out.splitlines()}

    assert code == 0
    assert out.splitlines()[0].split() == ["NAME", "DISTRIBUTION", "STATUS", "LAST", "RESULT"]
    assert "archer-bridge" in rows["end_call"]
    assert rows["end_call"].endswith("enabled  -")
    assert "started 20" in rows["process_payment"]


def test_ls_without_a_database_shows_the_tools(home):
    code, out, _ = run("ls")

    assert code == 0
    assert "verify_account" in out
    assert not (home / "archer.db").exists()


def test_ls_says_what_is_broken_and_what_is_only_installed(home):
    configure(home, '[tools]\nenabled = ["end_call", "absent", "lost"]\n[tools.local]\nlost = "nowhere:lost"\n')
    code, out, _ = run("ls")

    assert code == 1
    assert "absent" in out
    assert "broken: no installed package provides it" in out
    assert "broken: tool plugin [tools.local] [lost = nowhere:lost]: import failed" in out
    assert "installed" in next(line for line in out.splitlines() if line.startswith("verify_account"))


def test_bad_settings_end_with_the_list_of_problems(home):
    configure(home, "[server]\nport = 99999\n")
    code, _, err = run("ls")

    assert code == 2
    assert "server.port" in err


@pytest.fixture
def cartesia(monkeypatch) -> Iterator[str]:
    """The simulator, on a loop in another thread."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    context = serving(create_simulator())
    served = asyncio.run_coroutine_threadsafe(context.__aenter__(), loop).result(30)
    monkeypatch.setenv("CARTESIA_API_KEY", DEFAULT_API_KEY)
    monkeypatch.setenv("CARTESIA_AGENT_ID", PRESET_AGENT_ID)
    monkeypatch.setenv("ARCHER_CARTESIA__REST_URL", served.http_url)
    yield served.http_url
    asyncio.run_coroutine_threadsafe(context.__aexit__(None, None, None), loop).result(10)
    loop.call_soon_threadsafe(loop.stop)
    thread.join(10)
    loop.close()


def test_push_shows_the_difference_does_it_and_has_nothing_left_to_do(home, cartesia):
    dry = run("push", "--dry-run")
    done = run("push")
    again = run("push")

    assert [dry[0], done[0], again[0]] == [0, 0, 0]
    assert "~ change verify_account" in dry[1]
    assert "would be done (--dry-run)." in dry[1]
    assert dry[1].splitlines()[:-1] == done[1].splitlines()[:-1]
    assert "done." in done[1]
    assert "Nothing to do." in again[1]


def test_push_tells_a_refusal_in_one_sentence(home, cartesia, monkeypatch):
    monkeypatch.setenv("CARTESIA_AGENT_ID", "agent_nobody")
    code, _, err = run("push")

    assert code == 1
    assert "check CARTESIA_AGENT_ID" in err


def test_push_needs_a_key_and_an_agent(home):
    code, _, err = run("push")

    assert code == 2
    assert err == "CARTESIA_API_KEY is not set\nCARTESIA_AGENT_ID is not set\n"


def test_push_with_a_broken_tool_does_nothing(home, cartesia):
    configure(home, '[tools]\nenabled = ["absent"]\n')
    code, _, err = run("push")

    assert code == 1
    assert "no installed package provides it" in err


def test_reconcile_finds_out_and_settles(home):
    asyncio.run(leave_unknown(home, "k"))
    code, out, _ = run("reconcile", "--dry-run")
    looked = asyncio.run(rows_of(home))
    settled_code, settled_out, _ = run("reconcile")

    assert (code, settled_code) == (0, 0)
    assert "nothing had happened" in out
    assert looked == [ToolStatus.UNKNOWN]
    assert f"{SID}:t1  process_payment  error  nothing had happened" in settled_out
    assert asyncio.run(rows_of(home)) == [ToolStatus.ERROR]
    assert "No tool call is unknown." in run("reconcile")[1]


@pytest.mark.parametrize(
    ("option", "status"),
    [pytest.param("--done", ToolStatus.OK, id="done"), pytest.param("--not-done", ToolStatus.ERROR, id="not-done")],
)
def test_a_person_decides_what_no_tool_can_tell(home, option, status):
    configure(home, '[tools]\nenabled = ["end_call"]\n')
    asyncio.run(leave_unknown(home, "k"))
    undecided, out, _ = run("reconcile")
    code, said, _ = run("reconcile", option, f"{SID}:t1", option, "no-such-key")

    assert (undecided, code) == (1, 0)
    assert "the tool is not enabled: find out and use --done KEY or --not-done KEY" in out
    assert f"{SID}:t1: settled as {status.value}" in said
    assert "no-such-key: is not unknown" in said
    assert [status] == asyncio.run(rows_of(home))
