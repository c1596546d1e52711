"""One writer with group commit.

Works wait in one bounded queue, first in, first out. One task takes what has gathered (at most a batch),
commits it as one transaction and answers everybody; meanwhile the next batch gathers. So one disk flush
serves many rows, and a slow disk makes the batches bigger instead of the wait longer.

When the database is unavailable, a waiting caller gets StoreUnavailable once its patience is over. Works that
were handed over (nobody waits) stay in the queue, in order, until the database is back; when the queue is
full, newer ones are dropped and counted. The task tries again by itself, less and less often.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import structlog
from sqlalchemy import Connection

from archer_bridge.adapters.sql.batch import Done, Failed, Work
from archer_bridge.adapters.sql.connections import Committer
from archer_bridge.errors import StoreBusy, StoreError, StoreUnavailable
from archer_bridge.ports import StoreStats
from archer_bridge.tally import Tally

T = TypeVar("T")
log = structlog.get_logger(__name__)

FIRST_RETRY_S = 0.05
LONGEST_RETRY_S = 1.0
LARGEST_BATCH = 256


@dataclass(frozen=True, slots=True)
class _Item:
    work: Work
    future: asyncio.Future[Any] | None
    """None: handed over, nobody waits."""
    give_up_at: float
    """Loop time after which an unavailable database is an answer."""

    @property
    def is_wanted(self) -> bool:
        return self.future is None or not self.future.done()


class Writer:
    """The queue and its task; used from one event loop."""

    def __init__(self, committer: Committer, *, capacity: int, patience_s: float) -> None:
        self._committer = committer
        self._capacity = capacity
        self._patience_s = patience_s
        self._items: deque[_Item] = deque()
        self._wake = asyncio.Event()
        self._is_stopping = False
        self._is_available = True
        self._batches = self._rows = self._dropped = 0
        self._commit_seconds = Tally()
        self._committed_at = float("-inf")
        self._task = asyncio.create_task(self._run(), name="store-writer")

    @property
    def stats(self) -> StoreStats:
        """Return the counters now."""
        return StoreStats(
            queue_depth=len(self._items),
            batches=self._batches,
            rows=self._rows,
            dropped=self._dropped,
            is_available=self._is_available,
            commit_seconds=self._commit_seconds,
            committed_at=self._committed_at,
        )

    async def write(self, work: Callable[[Connection], T]) -> T:
        """Return what `work` returned, once its transaction is durable.

        A caller that is cancelled before its batch starts leaves nothing behind.

        Raises:
            StoreBusy: the queue is full.
            StoreUnavailable: the database did not take it in time.
            StoreError: the database refused this row, or the store is closed.
        """
        if len(self._items) >= self._capacity:
            raise StoreBusy(f"{len(self._items)} writes are waiting for the record; the limit is {self._capacity}")
        result: T = await self._enqueue(work)
        return result

    def hand_over(self, work: Work) -> None:
        """Queue `work` without waiting; drop and count it when the queue is full."""
        if self._is_stopping or len(self._items) >= self._capacity:
            self._drop("the store is closed" if self._is_stopping else "the queue is full")
            return
        self._items.append(_Item(work, None, 0.0))
        self._wake.set()

    async def flush(self) -> None:
        """Return once everything queued before is durable; never refused for a full queue."""
        await self._enqueue(lambda _: None)

    async def stop(self) -> None:
        """Write what is queued, then end the task; what an unavailable database does not take is dropped."""
        self._is_stopping = True
        self._wake.set()
        await self._task

    def _enqueue(self, work: Work) -> asyncio.Future[Any]:
        if self._is_stopping:
            raise StoreError("the store is closed")
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Any] = loop.create_future()
        self._items.append(_Item(work, future, loop.time() + self._patience_s))
        self._wake.set()
        return future

    async def _run(self) -> None:
        retry_s = FIRST_RETRY_S
        while True:
            await self._wake.wait()
            batch = self._take()
            if not batch:
                if self._is_stopping:
                    return
                self._wake.clear()
                continue
            error = await self._commit(batch)
            if error is None:
                retry_s = FIRST_RETRY_S
                continue
            self._keep_or_fail(batch, error)
            if not self._is_stopping:
                await asyncio.sleep(retry_s)  # the pause between two tries of a database that is away
                retry_s = min(2 * retry_s, LONGEST_RETRY_S)

    def _take(self) -> list[_Item]:
        batch: list[_Item] = []
        while self._items and len(batch) < LARGEST_BATCH:
            item = self._items.popleft()
            if item.is_wanted:
                batch.append(item)
        return batch

    async def _commit(self, batch: list[_Item]) -> StoreUnavailable | None:
        loop = asyncio.get_running_loop()
        started = loop.time()
        try:
            results = await self._committer.commit([item.work for item in batch])
        except StoreUnavailable as error:
            return error
        self._committed_at = loop.time()
        self._commit_seconds.observe(self._committed_at - started)
        self._batches += 1
        self._rows += len(batch)
        if not self._is_available:
            self._is_available = True
            log.info("store_recovered", queue_depth=len(self._items))
        for item, result in zip(batch, results, strict=True):
            self._answer(item, result)
        return None

    def _answer(self, item: _Item, result: Done | Failed) -> None:
        if item.future is None:
            if isinstance(result, Failed):
                self._drop(str(result.error))
        elif not item.future.done():
            if isinstance(result, Failed):
                item.future.set_exception(result.error)
            else:
                item.future.set_result(result.value)

    def _keep_or_fail(self, batch: list[_Item], error: StoreUnavailable) -> None:
        """Put the batch back in front, answer whoever has waited long enough, keep the rest in order."""
        if self._is_available:
            self._is_available = False
            log.error("store_unavailable", detail=str(error), queue_depth=len(self._items) + len(batch))
        now = asyncio.get_running_loop().time()
        waiting = [*batch, *self._items]
        self._items.clear()
        for item in waiting:
            if item.future is None and self._is_stopping:
                self._drop(str(error))
            elif item.future is None or (now < item.give_up_at and not self._is_stopping):
                self._items.append(item)
            elif not item.future.done():
                item.future.set_exception(StoreUnavailable(str(error)))

    def _drop(self, reason: str) -> None:
        """Count a lost row; one log line for the first and then for each thousandth."""
        self._dropped += 1
        if self._dropped % 1000 == 1:
            log.error("store_row_dropped", detail=reason, dropped=self._dropped)
