"""The contract of the call record, on every database."""

import asyncio
from datetime import timedelta

import pytest

from archer_bridge.adapters.sql import SqlStore
from archer_bridge.errors import StoreError
from archer_bridge.models import CallEnd, CallState, Outcome
from tests.adapters.sql.conftest import OpenStore
from tests.adapters.sql.samples import SetClock, done, new_call, new_sid, turn


async def test_a_new_call_is_there_for_other_stores_at_once(open_one: OpenStore) -> None:
    clock = SetClock()
    store = await open_one(clock=clock)
    new = new_call()

    row = await store.open_call(new)

    reader = await open_one(read_only=True)
    assert await reader.get_call(new.call_sid) == row
    assert (row.call_sid, row.from_number, row.to_number) == (new.call_sid, new.from_number, new.to_number)
    assert (row.state, row.outcome, row.owner_id) == (CallState.CREATED, None, None)
    assert row.created_at == clock.now


async def test_a_duplicate_webhook_finds_the_first_row(store: SqlStore) -> None:
    new = new_call(customer_id="demo-dana-reyes")
    first = await store.open_call(new)

    again = await asyncio.gather(*(store.open_call(new) for _ in range(5)))

    assert again == [first] * 5
    assert [event.kind for event in await store.events(new.call_sid)] == ["call_created"]


async def test_an_unknown_call_is_none(store: SqlStore) -> None:
    assert await store.get_call(new_sid()) is None


async def test_a_stream_claims_its_call_with_an_unspent_token(store: SqlStore) -> None:
    call = await store.open_call(new_call())

    row = await store.claim_stream(call.call_sid, "MZ1", "token-1", store.owner_id)

    assert row is not None
    assert (row.state, row.stream_sid, row.owner_id) == (CallState.CONNECTING, "MZ1", store.owner_id)
    assert row.answered_at is not None
    assert await store.get_call(call.call_sid) == row


async def test_a_token_is_spent_once_whichever_call_it_is_shown_for(store: SqlStore) -> None:
    first, second = await store.open_call(new_call()), await store.open_call(new_call())
    assert await store.claim_stream(first.call_sid, "MZ1", "token-1", store.owner_id) is not None
    before = await store.events(second.call_sid)

    assert await store.claim_stream(second.call_sid, "MZ2", "token-1", store.owner_id) is None
    assert await store.get_call(second.call_sid) == second
    assert await store.events(second.call_sid) == before


async def test_a_second_stream_changes_nothing_and_keeps_its_token(store: SqlStore) -> None:
    call, other = await store.open_call(new_call()), await store.open_call(new_call())
    claimed = await store.claim_stream(call.call_sid, "MZ1", "token-1", store.owner_id)

    assert await store.claim_stream(call.call_sid, "MZ2", "token-2", "intruder") is None
    assert await store.get_call(call.call_sid) == claimed
    assert await store.claim_stream(other.call_sid, "MZ3", "token-2", store.owner_id) is not None


async def test_a_stream_for_an_unknown_call_is_refused(store: SqlStore) -> None:
    assert await store.claim_stream(new_sid(), "MZ1", "token-1", store.owner_id) is None


@pytest.mark.parametrize("ended", [False, True])
async def test_of_many_streams_at_once_one_gets_the_call(store: SqlStore, ended: bool) -> None:
    call = await store.open_call(new_call())
    if ended:
        await store.end_call(call.call_sid, done())

    claims = (store.claim_stream(call.call_sid, f"MZ{n}", f"token-{n}", store.owner_id) for n in range(8))
    won = [row for row in await asyncio.gather(*claims) if row is not None]

    assert (0 if ended else 1) == len(won)


async def test_a_call_moves_along_the_table_only(store: SqlStore) -> None:
    call = await store.open_call(new_call())

    assert not await store.move_call(call.call_sid, CallState.ACTIVE)
    await store.claim_stream(call.call_sid, "MZ1", "token-1", store.owner_id)
    assert not await store.move_call(call.call_sid, CallState.ENDING)
    assert await store.move_call(call.call_sid, CallState.ACTIVE)
    assert not await store.move_call(call.call_sid, CallState.ACTIVE)
    assert await store.move_call(call.call_sid, CallState.ENDING)
    assert await store.end_call(call.call_sid, done())
    assert not await store.move_call(call.call_sid, CallState.ENDING)


@pytest.mark.parametrize("state", [CallState.CREATED, CallState.CONNECTING, CallState.ENDED])
async def test_states_with_their_own_way_in_are_refused(store: SqlStore, state: CallState) -> None:
    with pytest.raises(ValueError, match="expected active or ending"):
        await store.move_call(new_sid(), state)


async def test_the_ending_is_kept_whole(open_one: OpenStore) -> None:
    clock = SetClock()
    store = await open_one(clock=clock)
    call = await store.open_call(new_call())
    clock.advance(minutes=1)

    assert await store.end_call(call.call_sid, done(Outcome.CALLER_HANGUP, "hung up"))

    row = await store.get_call(call.call_sid)
    assert row is not None
    assert (row.state, row.outcome, row.reason) == (CallState.ENDED, Outcome.CALLER_HANGUP, "hung up")
    assert (row.duration_ms, row.numbers) == (61_500, {"frames_in": 3075, "tools": 2})
    assert row.ended_at == call.created_at + timedelta(minutes=1)


async def test_of_many_endings_at_once_one_counts(store: SqlStore) -> None:
    call = await store.open_call(new_call())
    outcomes = list(Outcome)

    ended = await asyncio.gather(*(store.end_call(call.call_sid, done(outcome)) for outcome in outcomes))

    row = await store.get_call(call.call_sid)
    assert row is not None
    assert ended.count(True) == 1
    assert row.outcome == outcomes[ended.index(True)]
    assert [event.kind for event in await store.events(call.call_sid)] == ["call_created", "call_ended"]


async def test_an_unknown_call_cannot_end(store: SqlStore) -> None:
    assert not await store.end_call(new_sid(), done())


async def test_a_clock_set_back_never_ends_a_call_before_its_beginning(open_one: OpenStore) -> None:
    clock = SetClock()
    store = await open_one(clock=clock)
    call = await store.open_call(new_call())
    clock.advance(hours=-1)

    assert await store.end_call(call.call_sid, done())

    row = await store.get_call(call.call_sid)
    assert row is not None
    assert row.ended_at == call.created_at
    assert (await store.check()).problems == ()


async def test_a_negative_duration_is_refused_and_changes_nothing(store: SqlStore) -> None:
    call = await store.open_call(new_call())

    with pytest.raises(StoreError, match="the record refused a row"):
        await store.end_call(call.call_sid, CallEnd(Outcome.COMPLETED, "", duration_ms=-1))

    assert await store.get_call(call.call_sid) == call
    assert len(await store.events(call.call_sid)) == 1


async def test_the_newest_calls_come_first(open_one: OpenStore) -> None:
    clock = SetClock()
    store = await open_one(clock=clock)
    sids = []
    for _ in range(4):
        sids.append((await store.open_call(new_call())).call_sid)
        clock.advance(seconds=1)

    assert sids[:0:-1] == [row.call_sid for row in await store.list_calls(limit=3)]


async def test_counts_are_per_call(store: SqlStore) -> None:
    busy, idle = await store.open_call(new_call()), await store.open_call(new_call())
    store.add_turn(busy.call_sid, turn(1))
    store.add_turn(busy.call_sid, turn(2))
    await store.flush()

    counted = await store.call_counts([busy.call_sid, idle.call_sid])

    assert {busy.call_sid: (2, 0), idle.call_sid: (0, 0)} == counted


async def test_only_the_first_copy_of_a_webhook_is_new(store: SqlStore) -> None:
    copies = (store.receive_webhook("CA1|completed|3", "CA1", "status") for _ in range(4))

    assert sorted(await asyncio.gather(*copies)) == [False, False, False, True]
    assert await store.receive_webhook("CA1|completed|4", "CA1", "status")


async def test_a_call_whose_stream_is_gone_waits_for_another_one(store: SqlStore) -> None:
    call = await store.open_call(new_call())
    first = await store.claim_stream(call.call_sid, "MZ1", "token-1", store.owner_id)
    await store.move_call(call.call_sid, CallState.ACTIVE)

    waiting = await store.reopen_call(call.call_sid, at_most=1)
    repeated = await store.reopen_call(call.call_sid, at_most=1)
    late = await store.end_call(call.call_sid, done(Outcome.CALLER_HANGUP), stream_sid="MZ1")
    second = await store.claim_stream(call.call_sid, "MZ2", "token-2", "another")
    once_more = await store.reopen_call(call.call_sid, at_most=1)

    assert first is not None
    assert waiting is not None
    assert (waiting.state, waiting.stream_sid, waiting.owner_id) == (CallState.CREATED, None, None)
    assert repeated == waiting
    assert [event.kind for event in await store.events(call.call_sid)].count("call_reopened") == 1
    assert not late
    assert second is not None
    assert (first.is_resumed, second.is_resumed) == (False, True)
    assert (second.owner_id, second.answered_at) == ("another", first.answered_at)
    assert once_more is None
    assert await store.end_call(call.call_sid, done(), stream_sid="MZ2")
    assert (await store.check()).problems == ()


async def test_going_on_and_ending_exclude_one_another(store: SqlStore) -> None:
    for _ in range(10):
        call = await store.open_call(new_call())
        await store.claim_stream(call.call_sid, f"MZ{call.call_sid}", call.call_sid, store.owner_id)

        reopened, ended = await asyncio.gather(
            store.reopen_call(call.call_sid, at_most=2),
            store.end_call(call.call_sid, done(), stream_sid=f"MZ{call.call_sid}"),
        )

        assert (reopened is not None) != ended


@pytest.mark.parametrize("claimed", [False, True])
async def test_only_a_waiting_call_ends_without_a_stream(store: SqlStore, claimed: bool) -> None:
    call = await store.open_call(new_call())
    if claimed:
        await store.claim_stream(call.call_sid, "MZ1", "token", store.owner_id)

    assert await store.end_call(call.call_sid, done(), stream_sid=None) != claimed


async def test_a_call_that_waits_or_ended_or_is_unknown_is_not_reopened(store: SqlStore) -> None:
    waiting, ended = await store.open_call(new_call()), await store.open_call(new_call())
    await store.end_call(ended.call_sid, done())

    for sid in (waiting.call_sid, ended.call_sid, new_sid()):
        assert await store.reopen_call(sid, at_most=9) is None
