"""Verdicts that are not in the record yet: written when it can be, told meanwhile, taken back when the call goes on."""

import asyncio

import pytest
from structlog.testing import capture_logs

from archer_bridge.calls.record_keeper import LONGEST_RETRY_S, RecordKeeper, Verdict
from archer_bridge.errors import StoreBusy, StoreError, StoreUnavailable
from archer_bridge.memory_store import MemoryStore
from archer_bridge.models import CallEnd, CallRow, CallState, NewCall, Outcome
from archer_bridge.ports import ANY_STREAM
from tests.support.virtual import virtual

SID = "CA" + "1" * 32
DONE = CallEnd(Outcome.COMPLETED, "done", 1500)


class AwayStore(MemoryStore):
    """A store that fails so many times, with the write lost or, at the last, only its answer."""

    def __init__(self, *errors: Exception, answer_lost: bool = False) -> None:
        super().__init__()
        self.errors = list(errors)
        self.answer_lost = answer_lost

    async def end_call(self, call_sid: str, end: CallEnd, *, stream_sid: str | None = ANY_STREAM) -> bool:
        if self.errors:
            error = self.errors.pop(0)
            if self.answer_lost and not self.errors:
                await super().end_call(call_sid, end, stream_sid=stream_sid)
            raise error
        return await super().end_call(call_sid, end, stream_sid=stream_sid)


async def claimed(store: MemoryStore, stream_sid: str = "MZ1") -> None:
    await store.open_call(NewCall(SID, "AC" + "1" * 32, "+15550100001", "+15550199999"))
    await store.claim_stream(SID, stream_sid, "token", "me")


async def outcome_of(store: MemoryStore) -> Outcome | None:
    row = await store.get_call(SID)
    assert row is not None
    return row.outcome


@pytest.mark.parametrize("answer_lost", [False, True])
@virtual
async def test_a_database_that_is_away_for_a_while_costs_no_outcome(answer_lost: bool) -> None:
    store = AwayStore(StoreUnavailable("away"), StoreBusy("busy"), StoreUnavailable("away"), answer_lost=answer_lost)
    await claimed(store)
    told: list[CallEnd] = []
    keeper = RecordKeeper(store, ended=told.append)
    with capture_logs() as logs:
        writing = keeper.write(SID, Verdict(DONE, "MZ1"))
        await asyncio.sleep(0)
        meanwhile = keeper.verdict(SID)
        recorded = await writing
        await asyncio.sleep(0)

    assert recorded
    assert told == [DONE]
    assert meanwhile == Verdict(DONE, "MZ1")
    assert await outcome_of(store) is Outcome.COMPLETED
    assert (len(keeper), keeper.verdict(SID)) == (0, None)
    assert [line["event"] for line in logs] == ["record_failed", "record_late"]
    assert logs[1]["tries"] == 4


@virtual
async def test_a_refused_verdict_is_not_tried_again() -> None:
    store = AwayStore(StoreError("refused"))
    await claimed(store)
    with capture_logs() as logs:
        recorded = await RecordKeeper(store).write(SID, Verdict(DONE, "MZ1"))

    assert not recorded
    assert [line["event"] for line in logs] == ["record_failed"]


@virtual
async def test_the_verdict_on_a_stream_that_the_call_left_is_not_its_outcome() -> None:
    store = MemoryStore()
    await claimed(store)
    await store.reopen_call(SID, at_most=1)
    await store.claim_stream(SID, "MZ2", "token-2", "other")
    recorded = await RecordKeeper(store).write(SID, Verdict(DONE, "MZ1"))

    assert not recorded
    assert await outcome_of(store) is None


@pytest.mark.parametrize(("is_broken_off", "outcome"), [(True, None), (False, Outcome.COMPLETED)])
@virtual
async def test_only_a_verdict_on_a_broken_stream_can_be_taken_back(
    is_broken_off: bool, outcome: Outcome | None
) -> None:
    store = MemoryStore()
    await claimed(store)
    keeper = RecordKeeper(store)
    keeper.write(SID, Verdict(DONE, "MZ1", is_broken_off), after_s=1.5)
    await asyncio.sleep(1)
    keeper.take_back(SID)
    await asyncio.sleep(1)

    assert await outcome_of(store) is outcome
    assert len(keeper) == 0


class UnreadStore(MemoryStore):
    """A store whose row cannot be read so many times."""

    def __init__(self, *errors: Exception) -> None:
        super().__init__()
        self.errors = list(errors)

    async def get_call(self, call_sid: str) -> CallRow | None:
        if self.errors:
            raise self.errors.pop(0)
        return await super().get_call(call_sid)


@pytest.mark.parametrize(
    ("errors", "is_reopened", "has_stream", "outcome"),
    [
        pytest.param([], False, False, Outcome.NO_STREAM, id="no-stream-ever-came"),
        pytest.param([], True, False, Outcome.CALLER_HANGUP, id="no-second-stream-came"),
        pytest.param([], False, True, None, id="its-stream-lives"),
        pytest.param(
            [StoreUnavailable("away"), TimeoutError()], False, False, Outcome.NO_STREAM, id="away-for-a-while"
        ),
        pytest.param([StoreError("closed")], False, False, None, id="never-to-be-read"),
    ],
)
@virtual
async def test_a_call_that_waits_in_vain_is_ended_as_soon_as_the_record_can_be_asked(
    errors: list[Exception], is_reopened: bool, has_stream: bool, outcome: Outcome | None
) -> None:
    store = UnreadStore()
    await store.open_call(NewCall(SID, "AC" + "1" * 32, "+15550100001", "+15550199999"))
    if is_reopened or has_stream:
        await store.claim_stream(SID, "MZ1", "token", "me")
    if is_reopened:
        await store.reopen_call(SID, at_most=3)
    store.errors = list(errors)
    keeper = RecordKeeper(store)

    with capture_logs() as logs:
        ending = keeper.end_waiting(SID, "Twilio: completed")
        assert len(keeper) == 1
        ended = await ending
        await asyncio.sleep(0)

    assert (ended, await outcome_of(store), len(keeper)) == (outcome is not None, outcome, 0)
    assert [line["event"] for line in logs] == ["record_failed"] * bool(errors)


@virtual
async def test_closing_does_not_wait_longer_for_an_answer_of_the_record() -> None:
    store = UnreadStore(*[StoreUnavailable("away")] * 50)
    keeper = RecordKeeper(store)
    ending = keeper.end_waiting(SID, "Twilio: completed")

    late = await keeper.close(2.0)
    await asyncio.wait({ending})

    assert (late, ending.cancelled(), len(keeper)) == (1, True, 0)


@virtual
async def test_a_call_that_waits_counts_once_while_its_end_is_written() -> None:
    store = AwayStore(*[StoreUnavailable("away")] * 50)
    await store.open_call(NewCall(SID, "AC" + "1" * 32, "+15550100001", "+15550199999"))
    keeper = RecordKeeper(store)
    ending = keeper.end_waiting(SID, "Twilio: completed")
    again = keeper.end_waiting(SID, "Twilio: completed")
    await asyncio.sleep(1.0)

    counted, late = len(keeper), await keeper.close(2.0)
    await asyncio.wait({ending})

    assert (again is ending, counted, late, len(keeper)) == (True, 1, 1, 0)


@virtual
async def test_closing_waits_and_then_gives_up() -> None:
    store = AwayStore(*(StoreUnavailable("away") for _ in range(1000)))
    await claimed(store)
    keeper = RecordKeeper(store)
    keeper.write(SID, Verdict(DONE, "MZ1"))
    began = asyncio.get_running_loop().time()
    left = await keeper.close(3 * LONGEST_RETRY_S)
    await asyncio.sleep(0)
    row = await store.get_call(SID)

    assert left == 1
    assert asyncio.get_running_loop().time() - began == pytest.approx(3 * LONGEST_RETRY_S)
    assert await keeper.close(1) == 0
    assert row is not None
    assert row.state is CallState.CONNECTING
