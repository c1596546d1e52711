"""The contract of turns and events, on every database."""

import pytest

from archer_bridge.adapters.sql import SqlStore
from archer_bridge.models import Turn
from tests.adapters.sql.samples import done, new_call, new_sid, turn


async def test_what_was_handed_over_is_there_in_order_after_flush(store: SqlStore) -> None:
    call = await store.open_call(new_call())
    facts = {"digits": "12"}
    for number in range(300):
        store.note(call.call_sid, f"event_{number}", facts)
        facts["digits"] = str(number)
    await store.flush()

    events = (await store.events(call.call_sid))[1:]
    assert [f"event_{number}" for number in range(300)] == [event.kind for event in events]
    assert list(range(2, 302)) == [event.seq for event in events]
    assert ["12", *(str(number) for number in range(299))] == [event.data["digits"] for event in events]


async def test_turns_come_back_as_they_were_and_in_the_order_spoken(store: SqlStore) -> None:
    call = await store.open_call(new_call())
    caller = Turn(1, "caller", "yes", "yes", False, started_ms=500.0, ended_ms=900.0)
    said = [turn(2, "Thank you, good-", heard="Thank"), turn(1)]
    for each in [*said, caller]:
        store.add_turn(call.call_sid, each)
    await store.flush()

    assert [caller, said[1], said[0]] == await store.turns(call.call_sid)


async def test_a_turn_can_be_completed_later(store: SqlStore) -> None:
    call = await store.open_call(new_call())
    store.add_turn(call.call_sid, turn(1, heard="Hello,"))
    store.add_turn(call.call_sid, turn(1))
    await store.flush()

    assert [turn(1)] == await store.turns(call.call_sid)


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        pytest.param("a\x00b", "a\ufffdb", id="nul"),
        pytest.param("\ud83d", "\ufffd", id="lone-surrogate"),
        pytest.param("naïve 日本 🙂 \x1b[31m", "naïve 日本 🙂 \x1b[31m", id="the-rest-is-untouched"),
    ],
)
async def test_odd_text_is_stored_on_every_database(store: SqlStore, given: str, kept: str) -> None:
    call = await store.open_call(new_call())
    store.add_turn(call.call_sid, turn(1, given))
    store.note(call.call_sid, "odd", {"text": given})
    await store.flush()
    await store.end_call(call.call_sid, done(reason=given))

    row = await store.get_call(call.call_sid)
    assert row is not None
    assert row.reason == kept
    assert [kept] == [each.text for each in await store.turns(call.call_sid)]
    assert (await store.events(call.call_sid))[1].data == {"text": given}
    assert (await store.check()).problems == ()


async def test_a_row_for_an_unknown_call_is_counted_and_hurts_nobody(store: SqlStore) -> None:
    call = await store.open_call(new_call())
    store.note(call.call_sid, "before", {})
    store.note(new_sid(), "lost", {})
    store.note(call.call_sid, "after", {})
    await store.flush()

    assert [event.kind for event in await store.events(call.call_sid)] == ["call_created", "before", "after"]
    assert store.stats.dropped == 1
