"""The live calls: one place a call, room, and the moment when all are gone."""

import asyncio

import pytest

from archer_bridge.calls.registry import PROMISED_S, LiveCalls
from archer_bridge.models import CallEnd, Outcome
from tests.support.virtual import virtual


@virtual
async def test_a_call_has_one_place() -> None:
    live = LiveCalls(2)

    assert live.reserve("CA1")
    assert not live.reserve("CA1")
    assert "CA1" in live
    assert len(live) == 1
    assert list(live) == []  # reserved, and no session yet


@pytest.mark.parametrize(
    ("taken", "draining", "room"),
    [
        pytest.param([], False, True, id="empty"),
        pytest.param(["CA1"], False, True, id="one-left"),
        pytest.param(["CA1", "CA2"], False, False, id="full"),
        pytest.param([], True, False, id="draining"),
    ],
)
@virtual
async def test_room(taken: list[str], draining: bool, room: bool) -> None:
    live = LiveCalls(2)
    for call_sid in taken:
        live.reserve(call_sid)
    if draining:
        live.drain()

    assert live.has_room is room


@virtual
async def test_a_proxy_that_has_not_seen_the_drain_is_still_served() -> None:
    live = LiveCalls(2, grace_s=2.0)
    live.drain()
    await asyncio.sleep(1.5)
    assert (live.draining, live.has_room) == (True, True)

    live.drain()  # a second time changes nothing
    await asyncio.sleep(0.5)
    assert (live.is_closed, live.has_room) == (True, False)

    live.undrain()
    assert (live.draining, live.has_room) == (False, True)


@virtual
async def test_waiting_until_all_are_gone() -> None:
    live = LiveCalls(5)
    live.reserve("CA1")
    live.reserve("CA2")
    waiting = asyncio.ensure_future(live.wait_empty())
    live.release("CA1")
    live.release("CA1")
    await asyncio.sleep(0.1)
    early = waiting.done()
    live.release("CA2")
    await asyncio.sleep(0)

    assert not early
    assert waiting.done()
    await LiveCalls(1).wait_empty()


@virtual
async def test_ends_are_counted_by_outcome() -> None:
    live = LiveCalls(5)
    live.note_end(CallEnd(Outcome.COMPLETED, "", 1500))
    live.note_end(CallEnd(Outcome.COMPLETED, "", None))
    live.note_end(CallEnd(Outcome.DRAINED, "", 500))

    assert live.ended == {"completed": 2, "drained": 1}
    assert live.totals.seconds.total == 2.0


@virtual
async def test_an_answered_call_is_waited_for_until_its_stream_comes_or_does_not() -> None:
    live = LiveCalls(2)
    live.promise("CA1", "+1")
    live.promise("CA2", "+1")
    counted = live.of_number("+1")
    full = live.has_room
    live.reserve("CA1")
    live.release("CA1")
    begun = asyncio.get_running_loop().time()
    await live.wait_empty()
    waited = asyncio.get_running_loop().time() - begun

    assert (counted, full) == (2, False)
    assert waited == PROMISED_S
    assert live.has_room
