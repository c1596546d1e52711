"""Several processes on one record: killed, racing, restarted."""

import asyncio
import os
from itertools import islice
from pathlib import Path

import pytest

from archer_bridge.adapters.sql import SqlStore, open_store, upgrade
from archer_bridge.errors import StoreError, StoreUnavailable
from archer_bridge.models import Began, Outcome, ToolStatus
from tests.adapters.sql.child import child
from tests.adapters.sql.conftest import Database
from tests.adapters.sql.postgres_server import PostgresServer, find_binaries, running_postgres
from tests.adapters.sql.samples import new_call, new_sid, tool


async def test_a_killed_process_loses_nothing_it_acknowledged(database: Database) -> None:
    with child("write", database.url, "bridge-1") as writer:
        acknowledged = [line.strip() for line in islice(writer.told, 60)]
        writer.process.kill()
        # Lines already in the pipe were acknowledged too; the last may be cut.
        rest = writer.told.read()
        acknowledged += rest[: rest.rfind("\n") + 1].split()

    async with await open_store(database.url, owner_id="bridge-1") as store:
        recovered = await store.recover()
        calls = {row.call_sid: row for row in await store.list_calls(limit=1_000_000)}
        counts = await store.call_counts(list(calls))
        checked = await store.check()
        open_tools = await store.tool_rows(status=ToolStatus.STARTED)

    assert len(acknowledged) >= 60
    assert set(acknowledged) <= set(recovered.calls)
    assert {(1, 1)} == {counts[sid] for sid in acknowledged}
    assert {Outcome.ORPHANED} == {calls[sid].outcome for sid in acknowledged}
    assert checked.problems == ()
    assert open_tools == []


def test_of_two_processes_on_one_sqlite_file_one_is_refused(sqlite_database: Database) -> None:
    asyncio.run(upgrade(sqlite_database.url))
    with child("hold", sqlite_database.url, "a") as one, child("hold", sqlite_database.url, "b") as two:
        answers = {each.process.pid: each.told.readline() for each in (one, two)}

    opened = [pid for pid, answer in answers.items() if answer == "open\n"]
    (refusal,) = [answer for answer in answers.values() if answer != "open\n"]
    assert len(opened) == 1
    assert f"record.db is in use by process {opened[0]} (lock " in refusal
    assert "use PostgreSQL to run several bridges" in refusal


async def test_a_second_store_in_this_process_is_refused_but_a_reader_is_not(sqlite_database: Database) -> None:
    async with await open_store(sqlite_database.url) as store:
        call = await store.open_call(new_call())
        with pytest.raises(StoreError, match=f"in use by process {os.getpid()} "):
            await open_store(sqlite_database.url)
        with pytest.raises(StoreError, match=f"in use by process {os.getpid()} "):
            await upgrade(sqlite_database.url)
        async with await open_store(sqlite_database.url, read_only=True) as reader:
            assert await reader.get_call(call.call_sid) == call

    async with await open_store(sqlite_database.url) as again:
        assert await again.get_call(call.call_sid) == call


async def test_two_bridges_on_postgresql_never_share_a_call(postgres_database: Database) -> None:
    async with (
        await open_store(postgres_database.url, owner_id="a") as a,
        await open_store(postgres_database.url, owner_id="b") as b,
    ):
        sids = [(await a.open_call(new_call())).call_sid for _ in range(40)]
        claims = [
            store.claim_stream(sid, f"MZ-{store.owner_id}-{n}", f"{store.owner_id}-{n}", store.owner_id)
            for n, sid in enumerate(sids)
            for store in (a, b)
        ]
        won = [row for row in await asyncio.gather(*claims) if row is not None]
        rows = {sid: await b.get_call(sid) for sid in sids}

        assert sorted(sids) == sorted(row.call_sid for row in won)
        assert {row.call_sid: row for row in won} == rows
        assert (await a.check()).problems == ()


async def test_two_bridges_on_postgresql_run_each_side_effect_once(postgres_database: Database) -> None:
    async with (
        await open_store(postgres_database.url, owner_id="a") as a,
        await open_store(postgres_database.url, owner_id="b") as b,
    ):
        sid = (await a.open_call(new_call())).call_sid
        tries = [
            store.begin_tool(tool(f"{store.owner_id}:{effect}:{n}", sid, business_key=f"pay-{effect}"))
            for effect in range(50)
            for n in range(2)
            for store in (a, b)
        ]
        found = [answer.found for answer in await asyncio.gather(*tries)]

        assert found.count(Began.NEW) == 50
        assert found.count(Began.RUNNING) == 150
        assert len(await a.tool_rows()) == 50
        assert (await a.check()).problems == ()


async def test_a_live_bridge_outlives_the_recovery_of_another(postgres_database: Database) -> None:
    async with (
        await open_store(postgres_database.url, owner_id="a") as a,
        await open_store(postgres_database.url, owner_id="b") as b,
    ):
        sid = (await a.open_call(new_call())).call_sid
        await a.claim_stream(sid, "MZ1", "token", "a")
        await a.begin_tool(tool("k1", sid, business_key="pay"))

        recovered = await b.recover()

        assert (recovered.calls, recovered.tools) == ((), ())
        assert (await b.begin_tool(tool("k2", sid, business_key="pay"))).found is Began.RUNNING


@pytest.mark.slow  # a server of its own is made, crashed and started again
@pytest.mark.timeout(40)
async def test_a_postgresql_crash_loses_nothing_and_is_outlived() -> None:
    binaries = find_binaries()
    if binaries is None:
        pytest.skip("PostgreSQL's crash IS NOT TESTED: no server binaries on this machine")
    with running_postgres(binaries) as server:
        url = server.url("postgres")
        await upgrade(url)
        async with await open_store(url, owner_id="a", patience_s=0.0) as store:
            acknowledged = [await _write_until_refused(store, server) for _ in range(2)]
            call = await store.open_call(new_call())
            rows = {row.call_sid for row in await store.list_calls(limit=100_000)}

            assert {*acknowledged[0], *acknowledged[1], call.call_sid} <= rows
            assert min(len(sids) for sids in acknowledged) >= 20
            assert (await store.check()).problems == ()
            assert store.stats.is_available


async def _write_until_refused(store: SqlStore, server: PostgresServer) -> list[str]:
    acknowledged: list[str] = []
    enough = asyncio.Event()

    async def keep_writing() -> None:
        while True:
            try:
                acknowledged.append((await store.open_call(new_call(new_sid()))).call_sid)
            except StoreUnavailable:
                return
            if len(acknowledged) == 20:
                enough.set()

    async with asyncio.TaskGroup() as group:
        for _ in range(4):
            group.create_task(keep_writing())
        await enough.wait()
        await asyncio.to_thread(server.crash)
    await asyncio.to_thread(server.start)
    await _available(store)
    return acknowledged


async def _available(store: SqlStore) -> None:
    """Return once the store takes writes again; each refusal comes after a try, so this cannot spin."""
    while True:
        try:
            await store.ping()
        except StoreUnavailable:
            continue
        return


def test_the_lock_file_names_nobody_after_a_clean_end(tmp_path: Path) -> None:
    async def work() -> None:
        async with await open_store(f"sqlite:///{tmp_path}/record.db"):
            assert (tmp_path / "record.db.lock").read_text() == f"{os.getpid()}\n"

    asyncio.run(work())

    assert (tmp_path / "record.db.lock").read_text() == ""
