"""The end of a call: one verdict, one record, one line in the log."""

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest
import structlog
from structlog.testing import capture_logs

from archer_bridge.calls.ending import HELD_S, RECORD_WAIT_S, Ending
from archer_bridge.calls.record_keeper import RecordKeeper
from archer_bridge.memory_store import MemoryStore
from archer_bridge.models import CallEnd, CallState, EndCall, NewCall, Outcome, Transfer
from archer_bridge.ports import ANY_STREAM, Closed
from tests.support.virtual import virtual

SID = "CA" + "1" * 32
STREAM = "MZ" + "1" * 32


class SlowStore(MemoryStore):
    """A store whose last write takes its time, or never comes back."""

    def __init__(self, takes_s: float = 0.0) -> None:
        super().__init__()
        self.takes_s = takes_s
        self.writes = 0

    async def end_call(self, call_sid: str, end: CallEnd, *, stream_sid: str | None = ANY_STREAM) -> bool:
        self.writes += 1
        await asyncio.sleep(self.takes_s)
        return await super().end_call(call_sid, end, stream_sid=stream_sid)


def numbers(now: float) -> Mapping[str, Any]:
    return {"frames_in": 7}


async def ending_of(store: MemoryStore, sum_up: Any = numbers) -> Ending:
    await store.open_call(NewCall(SID, "AC" + "1" * 32, "+15550100001", "+15550199999"))
    await store.claim_stream(SID, STREAM, "token", "me")
    log = structlog.get_logger().bind(call_sid=SID)
    keeper = RecordKeeper(store)
    return Ending(SID, STREAM, store, keeper=keeper, log=log, goodbye_wait_s=20.0, sum_up=sum_up)


@virtual
async def test_the_first_verdict_counts() -> None:
    ending = await ending_of(MemoryStore())
    await asyncio.sleep(1.5)
    ending.give(Outcome.COMPLETED, "first")
    await asyncio.sleep(1)
    ending.give(Outcome.INTERNAL_ERROR, "second")
    await ending.wait()

    assert ending.verdict == CallEnd(Outcome.COMPLETED, "first", 1500, {"frames_in": 7})


@pytest.mark.parametrize(
    ("effect", "outcome", "reason"),
    [
        pytest.param(None, Outcome.CALLER_HANGUP, "gone", id="talking"),
        pytest.param(EndCall("done"), Outcome.COMPLETED, "done; the caller hung up first", id="goodbye"),
        pytest.param(
            EndCall("failed twice", Outcome.VERIFICATION_FAILED),
            Outcome.VERIFICATION_FAILED,
            "failed twice; the caller hung up first",
            id="refusal",
        ),
        pytest.param(Transfer(), Outcome.CALLER_HANGUP, "gone", id="before-a-transfer"),
    ],
)
@virtual
async def test_a_caller_who_leaves(effect: EndCall | Transfer | None, outcome: Outcome, reason: str) -> None:
    ending = await ending_of(MemoryStore())
    if effect is not None:
        ending.bid_farewell(effect)
    ending.caller_left("gone")

    assert (ending.verdict.outcome, ending.verdict.reason) == (outcome, reason)


@pytest.mark.parametrize(
    ("effect", "held", "outcome", "facts"),
    [
        pytest.param(EndCall("goodbye"), False, Outcome.COMPLETED, {}, id="goodbye"),
        pytest.param(
            Transfer(to="+15550107777", announce="Hold on."),
            True,
            Outcome.CALLER_HANGUP,
            {"transfer": {"to": "+15550107777", "announce": "Hold on."}},
            id="transfer",
        ),
    ],
)
@virtual
async def test_a_stream_that_breaks_during_a_farewell_does_not_undo_it(
    effect: EndCall | Transfer, held: bool, outcome: Outcome, facts: dict[str, Any]
) -> None:
    ending = await ending_of(MemoryStore())
    ending.bid_farewell(effect)
    ending.stream_closed(Closed(1006))
    ending.broke_off("silent")

    assert ending.is_broken_off is held  # Twilio's question tells whether the caller is there to be transferred
    assert ending.verdict.outcome is outcome
    assert ending.verdict.numbers == {"frames_in": 7, **facts}


@pytest.mark.parametrize(
    ("code", "outcome", "reason"),
    [
        pytest.param(1000, Outcome.CALLER_HANGUP, "the stream's socket closed (1000)", id="by-twilio"),
        pytest.param(1006, Outcome.CALLER_HANGUP, "the stream's socket closed (1006)", id="lost"),
        pytest.param(1012, Outcome.DRAINED, "the bridge was stopped", id="by-our-server"),
    ],
)
@virtual
async def test_a_stream_that_is_closed(code: int, outcome: Outcome, reason: str) -> None:
    ending = await ending_of(MemoryStore())
    ending.stream_closed(Closed(code))

    assert (ending.verdict.outcome, ending.verdict.reason) == (outcome, reason)


@pytest.mark.parametrize(
    ("closed", "was_ready", "outcome", "reason"),
    [
        pytest.param(
            Closed(1000), False, Outcome.VENDOR_UNAVAILABLE, "the agent closed before it was ready (1000)", id="unready"
        ),
        pytest.param(Closed(1011, "broke"), True, Outcome.VENDOR_LOST, "the agent was lost (1011 broke)", id="broke"),
        pytest.param(Closed(1006), True, Outcome.VENDOR_LOST, "the agent was lost (1006)", id="no-close-frame"),
    ],
)
@virtual
async def test_an_engine_that_leaves(closed: Closed, was_ready: bool, outcome: Outcome, reason: str) -> None:
    ending = await ending_of(MemoryStore())
    ending.engine_left(closed, was_ready=was_ready)

    assert (ending.verdict.outcome, ending.verdict.reason) == (outcome, reason)


@virtual
async def test_an_engine_that_hangs_up_politely_is_heard_out() -> None:
    ending = await ending_of(MemoryStore())
    ending.engine_left(Closed(1000), was_ready=True)
    waits = not ending.is_given
    ending.farewell_over()

    assert waits
    assert ending.verdict.outcome is Outcome.COMPLETED


@virtual
async def test_the_record_is_made_once_whoever_asks_and_whoever_gives_up() -> None:
    store = SlowStore(takes_s=0.8)
    ending = await ending_of(store)
    ending.give(Outcome.COMPLETED, "done")
    with capture_logs() as logs:
        first = asyncio.ensure_future(ending.record())
        await asyncio.sleep(0.5)
        first.cancel()
        await ending.record()
        await ending.record()
    row = await store.get_call(SID)

    assert store.writes == 1
    assert [line["event"] for line in logs] == ["call_ended"]
    assert logs[0]["recorded"] is True
    assert row is not None
    assert (row.state, row.outcome) == (CallState.ENDED, Outcome.COMPLETED)


@virtual
async def test_the_line_does_not_wait_long_for_a_store_that_hangs_and_the_record_comes_later() -> None:
    store = SlowStore(takes_s=2.0)
    ending = await ending_of(store)
    ending.give(Outcome.COMPLETED, "done")
    began = asyncio.get_running_loop().time()
    with capture_logs() as logs:
        await ending.record()
        waited_s = asyncio.get_running_loop().time() - began
        await asyncio.sleep(2)
    row = await store.get_call(SID)

    assert waited_s == pytest.approx(RECORD_WAIT_S)
    assert [(line["event"], line["recorded"]) for line in logs] == [("call_ended", False)]
    assert row is not None
    assert row.outcome is Outcome.COMPLETED


@pytest.mark.parametrize(
    ("effect", "stopped", "held"),
    [
        pytest.param(None, False, True, id="in-mid-talk"),
        pytest.param(None, True, False, id="after-a-stop"),
        pytest.param(EndCall("done"), False, False, id="during-a-goodbye"),
    ],
)
@virtual
async def test_a_stream_that_broke_off_is_no_hang_up_for_a_moment(
    effect: EndCall | None, stopped: bool, held: bool
) -> None:
    store = MemoryStore()
    ending = await ending_of(store)
    if effect is not None:
        ending.bid_farewell(effect)
    if stopped:
        ending.caller_left("the caller hung up")
    ending.stream_closed(Closed(1006))
    with capture_logs() as logs:
        await ending.record()
        at_once = await store.get_call(SID)
        await asyncio.sleep(HELD_S + 0.1)
    later = await store.get_call(SID)

    assert at_once is not None
    assert later is not None
    assert (at_once.state is not CallState.ENDED) == held == (not ending.has_verdict)
    assert later.outcome is (Outcome.COMPLETED if effect else Outcome.CALLER_HANGUP)
    assert [line["event"] for line in logs if line["event"] == "call_ended"] == ["call_ended"]


@virtual
async def test_sums_that_fail_do_not_keep_the_call_from_ending() -> None:
    def broken(now: float) -> Mapping[str, Any]:
        raise RuntimeError("a bug")

    ending = await ending_of(MemoryStore(), broken)
    with capture_logs() as logs:
        ending.give(Outcome.COMPLETED, "done")

    assert ending.verdict.outcome is Outcome.COMPLETED
    assert [line["event"] for line in logs] == ["call_failed"]
