"""Group commit, back-pressure and outages, on a real SQLite writer that can be held and cut off."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import pytest
from sqlalchemy import Connection, insert, select, text

from archer_bridge.adapters.sql import ensure_schema
from archer_bridge.adapters.sql.address import parse_address
from archer_bridge.adapters.sql.batch import Done, Failed, Work
from archer_bridge.adapters.sql.connections import Reader, SqliteCommitter
from archer_bridge.adapters.sql.recovery import beat
from archer_bridge.adapters.sql.schema import heartbeats
from archer_bridge.adapters.sql.types import utc_now
from archer_bridge.adapters.sql.writer import Writer
from archer_bridge.errors import StoreBusy, StoreError, StoreUnavailable
from tests.support.virtual import virtual


class Line:
    """The writer's connection with a gate before it and a plug to pull."""

    def __init__(self, committer: SqliteCommitter) -> None:
        self._committer = committer
        self.gate = asyncio.Event()
        self.gate.set()
        self.is_cut = False
        self.sizes: list[int] = []

    async def commit(self, works: Sequence[Work]) -> list[Done | Failed]:
        await self.gate.wait()
        if self.is_cut:
            raise StoreUnavailable("the plug is out")
        self.sizes.append(len(works))
        return await self._committer.commit(works)

    async def close(self) -> None:
        await self._committer.close()


class Bench:
    """A writer on a line, and a look at what arrived."""

    def __init__(self, writer: Writer, line: Line, reader: Reader) -> None:
        self.writer, self.line, self._reader = writer, line, reader

    async def names(self) -> list[str]:
        """Return what is stored, in the order it was written."""

        def read(connection: Connection) -> list[str]:
            return list(connection.execute(select(heartbeats.c.owner_id).order_by(text("rowid"))).scalars())

        return await self._reader.read(read)


@asynccontextmanager
async def bench(folder: Path, *, capacity: int = 100, patience_s: float = 0.0) -> AsyncIterator[Bench]:
    address = parse_address(f"sqlite:///{folder}/record.db")
    await ensure_schema(f"sqlite:///{folder}/record.db")
    committer = SqliteCommitter(address)
    line, reader = Line(committer), Reader(address)
    writer = Writer(line, capacity=capacity, patience_s=patience_s)
    try:
        yield Bench(writer, line, reader)
    finally:
        line.gate.set()
        await writer.stop()
        await reader.close()
        await committer.close()


def write(name: str) -> Work:
    return partial(beat, owner_id=name, now=utc_now())


def twice(connection: Connection) -> None:
    """Break a unique key, after a row that has to be undone with it."""
    row = {"owner_id": "undone", "at": utc_now()}
    connection.execute(insert(heartbeats), row)
    connection.execute(insert(heartbeats), row)


def break_down(_: Connection) -> None:
    raise KeyError("a bug")


async def test_what_gathers_during_a_commit_is_one_transaction(tmp_path: Path) -> None:
    async with bench(tmp_path) as on:
        on.line.gate.clear()
        names = [f"n{number:02d}" for number in range(50)]
        async with asyncio.TaskGroup() as group:
            for name in names:
                group.create_task(on.writer.write(write(name)))
            await asyncio.sleep(0)  # every task has queued its write
            on.line.gate.set()

        assert len(on.line.sizes) <= 2
        assert sum(on.line.sizes) == 50
        assert names == await on.names()


async def test_a_bad_row_fails_alone(tmp_path: Path) -> None:
    async with bench(tmp_path) as on:
        on.line.gate.clear()
        works = [on.writer.write(work) for work in (write("a"), twice, write("b"), twice, write("c"))]
        waiting = [asyncio.ensure_future(work) for work in works]
        await asyncio.sleep(0)
        on.line.gate.set()
        results = await asyncio.gather(*waiting, return_exceptions=True)

        assert [None, StoreError, None, StoreError, None] == [
            type(result) if isinstance(result, Exception) else result for result in results
        ]
        assert "UNIQUE constraint failed: heartbeats.owner_id" in str(results[1])
        assert await on.names() == ["a", "b", "c"]


async def test_a_bug_in_a_row_is_its_callers_own_error(tmp_path: Path) -> None:
    async with bench(tmp_path) as on:
        results = await asyncio.gather(on.writer.write(break_down), on.writer.write(write("a")), return_exceptions=True)

        assert isinstance(results[0], KeyError)
        assert await on.names() == ["a"]


async def test_a_full_queue_refuses_who_waits_and_counts_who_does_not(tmp_path: Path) -> None:
    async with bench(tmp_path, capacity=3) as on:
        on.line.gate.clear()
        first = asyncio.ensure_future(on.writer.write(write("first")))
        await asyncio.sleep(0)
        await asyncio.sleep(0)  # the writer has taken the first and holds it at the gate
        for name in ("a", "b", "c", "lost"):
            on.writer.hand_over(write(name))

        with pytest.raises(StoreBusy, match="3 writes are waiting for the record; the limit is 3"):
            await on.writer.write(write("refused"))
        assert (on.writer.stats.queue_depth, on.writer.stats.dropped) == (3, 1)
        on.line.gate.set()
        await on.writer.flush()
        assert await on.names() == ["first", "a", "b", "c"]
        await first


@virtual
async def test_an_outage_answers_who_waits_and_keeps_the_rest_in_order(tmp_path: Path) -> None:
    async with bench(tmp_path) as on:
        on.line.is_cut = True
        on.writer.hand_over(write("a"))
        with pytest.raises(StoreUnavailable, match="the plug is out"):
            await on.writer.write(write("refused"))
        await asyncio.sleep(30)
        on.line.gate.clear()
        await asyncio.sleep(2)  # the next try is held at the gate: this arrives while it is on its way
        on.writer.hand_over(write("b"))
        on.line.gate.set()
        await asyncio.sleep(2)
        on.writer.hand_over(write("c"))

        assert not on.writer.stats.is_available
        on.line.is_cut = False
        await on.writer.flush()

        assert await on.names() == ["a", "b", "c"]
        assert (on.writer.stats.is_available, on.writer.stats.dropped) == (True, 0)


async def test_an_outage_found_by_the_second_try_undoes_the_first_rows(tmp_path: Path) -> None:
    def lose_the_disk(_: Connection) -> None:
        raise OSError("the disk is gone")

    async with bench(tmp_path) as on:
        on.line.gate.clear()
        works = [write("a"), break_down, lose_the_disk]
        waiting = [asyncio.ensure_future(on.writer.write(work)) for work in works]
        await asyncio.sleep(0)
        on.line.gate.set()
        results = await asyncio.gather(*waiting, return_exceptions=True)

        assert [StoreUnavailable] * 3 == [type(result) for result in results]
        assert "the record cannot be written: the disk is gone" in str(results[0])
        assert await on.names() == []


@virtual
async def test_an_outage_answers_also_who_is_far_back_in_the_queue(tmp_path: Path) -> None:
    async with bench(tmp_path, capacity=2000) as on:
        on.line.is_cut = True
        for number in range(600):
            on.writer.hand_over(write(f"n{number}"))

        with pytest.raises(StoreUnavailable):
            await on.writer.write(write("refused"))

        on.line.is_cut = False
        await on.writer.flush()
        assert len(await on.names()) == 600


@virtual
async def test_the_patient_outlast_a_short_outage(tmp_path: Path) -> None:
    async with bench(tmp_path, patience_s=3.0) as on:
        on.line.is_cut = True
        waiting = asyncio.ensure_future(on.writer.write(write("a")))
        await asyncio.sleep(2)
        on.line.is_cut = False
        await waiting

        on.line.is_cut = True
        with pytest.raises(StoreUnavailable):
            await on.writer.write(write("b"))
        on.line.is_cut = False
        assert await on.names() == ["a"]


async def test_a_write_cancelled_in_the_queue_leaves_nothing(tmp_path: Path) -> None:
    async with bench(tmp_path) as on:
        on.line.gate.clear()
        on.writer.hand_over(write("held"))
        await asyncio.sleep(0)
        waiting = asyncio.ensure_future(on.writer.write(write("given up")))
        await asyncio.sleep(0)
        waiting.cancel()
        on.line.gate.set()
        await on.writer.flush()

        assert waiting.cancelled()
        assert await on.names() == ["held"]


async def test_stopping_writes_what_is_queued_and_takes_no_more(tmp_path: Path) -> None:
    async with bench(tmp_path, capacity=300) as on:
        for number in range(300):
            on.writer.hand_over(write(f"n{number:03d}"))
        await on.writer.stop()
        on.writer.hand_over(write("late"))

        with pytest.raises(StoreError, match="the store is closed"):
            await on.writer.write(write("late"))
        assert len(await on.names()) == 300
        assert on.writer.stats.dropped == 1


@virtual
async def test_stopping_in_an_outage_ends_and_counts_what_was_lost(tmp_path: Path) -> None:
    async with bench(tmp_path, capacity=300) as on:
        on.line.is_cut = True
        for number in range(300):
            on.writer.hand_over(write(f"n{number}"))

        await on.writer.stop()

        assert on.writer.stats.dropped == 300
