import asyncio
from typing import Any

from archer_bridge.devkit.cartesia.events import EventFeed
from tests.support.virtual import virtual


@virtual
async def test_subscribers_get_events_until_they_leave() -> None:
    feed, got = EventFeed(), list[dict[str, Any]]()
    leave = feed.subscribe(got.append)
    feed.publish("one", n=1)
    leave()
    feed.publish("two")

    assert [(event["event"], event.get("n")) for event in got] == [("one", 1)]
    assert [event["event"] for event in feed.history] == ["one", "two"]


@virtual
async def test_expect_finds_past_and_future_events() -> None:
    feed = EventFeed()
    feed.publish("closed", call_id="a")
    future = asyncio.create_task(feed.expect("closed", call_id="b"))
    past = await feed.expect("closed")
    await asyncio.sleep(1)
    feed.publish("closed", call_id="c")
    feed.publish("closed", call_id="b")

    assert past["call_id"] == "a"
    assert (await future)["t"] == 1.0


@virtual
async def test_a_cancelled_wait_leaves_no_subscriber() -> None:
    feed = EventFeed()
    waiting = asyncio.create_task(feed.expect("never"))
    await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.wait({waiting})
    feed.publish("never")

    assert waiting.cancelled()
