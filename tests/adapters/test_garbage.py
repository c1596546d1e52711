"""When full collections are made, on a clock of the test's own."""

import asyncio
import contextlib
import gc
from collections.abc import Iterator

import pytest

from archer_bridge.adapters import garbage
from archer_bridge.adapters.garbage import MOST_ENDED, collect_unheard, keep_startup
from tests.support.virtual import virtual


class House:
    """Calls as the collector sees them, and the full collections while it looks."""

    def __init__(self) -> None:
        self.is_idle = False
        self.ended = 0
        self.full = 0

    def note(self, phase: str, info: dict[str, int]) -> None:
        self.full += phase == "start" and info["generation"] == 2


LOOK_EVERY_S = 0.1
"""Here; the collector's own time is long even for a virtual clock."""


@pytest.fixture
def house(monkeypatch: pytest.MonkeyPatch) -> Iterator[House]:
    monkeypatch.setattr(garbage, "LOOK_EVERY_S", LOOK_EVERY_S)
    house = House()
    gc.callbacks.append(house.note)
    yield house
    gc.callbacks.remove(house.note)


async def passes(house: House, seconds: float) -> None:
    """Let this much time pass with the collector at work."""
    tidy = asyncio.create_task(collect_unheard(lambda: house.is_idle, lambda: house.ended))
    await asyncio.sleep(0)
    house.full = 0
    for _ in range(round(seconds / LOOK_EVERY_S)):
        await asyncio.sleep(LOOK_EVERY_S)
        house.ended += 10
    tidy.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await tidy


@virtual
async def test_while_calls_live_nothing_is_collected_until_many_have_ended(house: House) -> None:
    until_many = MOST_ENDED / 10 * LOOK_EVERY_S
    await passes(house, until_many - LOOK_EVERY_S)
    few = house.full
    await passes(house, 3 * until_many + 5 * LOOK_EVERY_S)

    assert (few, house.full) == (0, 3)


@virtual
async def test_while_nobody_is_on_the_line_it_is_at_each_look(house: House) -> None:
    house.is_idle = True
    await passes(house, 5 * LOOK_EVERY_S)

    assert house.full == 5


@virtual
async def test_an_hour_is_the_longest_wait(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    hour_s = garbage.MOST_LOOKS * 10.0
    monkeypatch.setattr(garbage, "MOST_ENDED", 10**9)
    monkeypatch.setattr(garbage, "MOST_LOOKS", 20)
    await passes(house, 20 * LOOK_EVERY_S + LOOK_EVERY_S)

    assert hour_s == 3600
    assert house.full == 1


@virtual
async def test_the_interpreters_own_rule_rests_meanwhile(house: House) -> None:
    usual = gc.get_threshold()
    tidy = asyncio.create_task(collect_unheard(lambda: False, lambda: 0))
    await asyncio.sleep(0)
    meanwhile = gc.get_threshold()
    house.full = 0
    kept = [[[]] for _ in range(300_000)]  # what a hundred new calls bring, many times over
    seen = house.full
    tidy.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await tidy

    assert meanwhile[:2] == usual[:2]
    assert len(kept) == 300_000
    assert seen == 0
    assert gc.get_threshold() == usual


def test_the_garbage_collector_does_not_look_through_what_was_there_at_the_start() -> None:
    before = [object(), []]
    keep_startup()
    try:
        after: list[object] = []
        watched = {id(one) for one in gc.get_objects()}
    finally:
        gc.unfreeze()

    assert id(before) not in watched
    assert id(after) in watched
