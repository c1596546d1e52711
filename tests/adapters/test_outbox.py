"""The outbox keeps order, drops the oldest of what may be dropped, and gives up who does not read."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from archer_bridge.adapters.outbox import DROPPABLE_LIMIT, LIMIT, Outbox


class Peer:
    """Takes messages while `reads` is set."""

    def __init__(self) -> None:
        self.got: list[bytes] = []
        self.reads = asyncio.Event()
        self.given_up = 0
        self.gone = False

    async def send(self, message: bytes) -> None:
        await self.reads.wait()
        if self.gone:
            raise ConnectionError("gone")
        self.got.append(message)

    def give_up(self) -> None:
        self.given_up += 1


@asynccontextmanager
async def outbox(peer: Peer) -> AsyncIterator[Outbox]:
    box = Outbox(peer.send, peer.give_up, name="test writer")
    try:
        yield box
    finally:
        await box.finish(0)
        assert [task.get_name() for task in asyncio.all_tasks() if task.get_name() == "test writer"] == []


def numbered(first: int, last: int) -> list[bytes]:
    return [b"%d" % n for n in range(first, last)]


async def test_order_is_kept_and_everything_arrives() -> None:
    peer = Peer()
    async with outbox(peer) as box:
        for n, message in enumerate(numbered(0, 200)):
            box.put(message, droppable=n % 3 == 0 and n < 100)
        peer.reads.set()
        await box.finish(1)

        assert numbered(0, 200) == peer.got
        assert (box.dropped, peer.given_up) == (0, 0)


async def test_a_slow_peer_loses_the_oldest_audio_only() -> None:
    peer = Peer()
    async with outbox(peer) as box:
        box.put(b"create", droppable=False)
        await asyncio.sleep(0)  # the writer takes it and waits in `send`
        for message in numbered(0, DROPPABLE_LIMIT + 30):
            box.put(message, droppable=True)
        box.put(b"result", droppable=False)
        peer.reads.set()
        await box.finish(1)

        assert [b"create", *numbered(30, DROPPABLE_LIMIT + 30), b"result"] == peer.got
        assert (box.dropped, box.overflowed, peer.given_up) == (30, False, 0)


async def test_at_the_limit_audio_makes_room_for_what_must_arrive() -> None:
    peer = Peer()
    async with outbox(peer) as box:
        box.put(b"audio", droppable=True)
        for message in numbered(0, LIMIT):
            box.put(message, droppable=False)

        assert (len(box), box.dropped, box.overflowed) == (LIMIT, 1, False)


async def test_who_reads_nothing_is_given_up_once() -> None:
    peer = Peer()
    async with outbox(peer) as box:
        for message in numbered(0, LIMIT + 100):
            box.put(message, droppable=False)

        assert (box.overflowed, peer.given_up, len(box)) == (True, 1, LIMIT)


@pytest.mark.parametrize("droppable", [True, False])
async def test_the_books_balance_after_an_overflow(droppable: bool) -> None:
    peer = Peer()
    async with outbox(peer) as box:
        for message in numbered(0, LIMIT):
            box.put(message, droppable=False)
        for message in numbered(0, 3 * LIMIT):
            box.put(message, droppable=droppable)
        peer.reads.set()
        await box.finish(1)

        assert numbered(0, LIMIT) == peer.got


async def test_nothing_is_kept_for_a_peer_that_is_gone() -> None:
    peer = Peer()
    async with outbox(peer) as box:
        for message in numbered(0, 10):
            box.put(message, droppable=False)
        peer.gone = True
        peer.reads.set()
        await box.finish(60)  # returns as soon as the writer has failed
        box.put(b"late", droppable=False)

        assert (len(box), peer.got, peer.given_up) == (0, [], 0)


async def test_finishing_ends_a_writer_that_is_stuck() -> None:
    peer = Peer()
    async with outbox(peer) as box:
        for message in numbered(0, 5):
            box.put(message, droppable=False)
        await asyncio.sleep(0)
        await box.finish(0.01)

        assert box.dropped == 4  # the fifth was in the peer's hands


async def test_finishing_twice_at_once_is_finishing() -> None:
    peer = Peer()
    async with outbox(peer) as box:
        box.put(b"last", droppable=False)
        peer.reads.set()
        await asyncio.gather(box.finish(1), box.finish(1))

        assert peer.got == [b"last"]


async def test_an_unused_outbox_has_no_task() -> None:
    peer = Peer()
    before = asyncio.all_tasks()
    async with outbox(peer):
        assert before == asyncio.all_tasks()
