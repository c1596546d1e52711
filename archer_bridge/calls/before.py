"""What the record knows of a call whose earlier stream broke off, here or in a process that is gone."""

from dataclasses import dataclass
from datetime import UTC, datetime

from archer_bridge.models import CallRow, ToolStatus
from archer_bridge.ports import Recall, Store, ToolMemory


@dataclass(frozen=True, slots=True)
class Before:
    """The call until this stream."""

    seconds: float
    """From the start of its first stream to the start of this one: the timeline goes on, and so does its limit."""
    recall: Recall


UNKNOWN_TURNS = 100_000
"""More turns than a call has: those of an earlier stream that cannot be read are not written over."""


def unread(row: CallRow) -> Before:
    """Return what is known of the earlier streams where the record cannot be read just now."""
    began = row.answered_at or datetime.now(UTC)
    recall = Recall(last_turn=UNKNOWN_TURNS, same_tools=False)
    return Before((datetime.now(UTC) - began).total_seconds(), recall)


async def before_this_stream(store: Store, row: CallRow) -> Before:
    """Read what happened on the call's earlier streams.

    What its tools had proved is gone with the process that knew it, or with the stream: the caller proves it again.

    Raises:
        StoreError: the record cannot be read.
    """
    turns = await store.turns(row.call_sid)
    rows = await store.tool_rows(row.call_sid)
    now = datetime.now(UTC)
    by_the_wall = (now - (row.answered_at or now)).total_seconds()
    said_until = max((turn.ended_ms for turn in turns), default=0.0) / 1000
    recall = Recall(
        turns=turns,
        tools=[ToolMemory(one.tool, one.status, one.result_json or "") for one in rows],
        running=[one.tool for one in rows if one.status in {ToolStatus.STARTED, ToolStatus.UNKNOWN}],
        last_turn=max((turn.number for turn in turns), default=0),
        same_tools=False,
    )
    return Before(max(by_the_wall, said_until), recall)
