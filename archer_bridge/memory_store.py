"""A `Store` in memory, with the rules of the real one: for tests and for trying a tool out.

It outlives the objects that use it, as a database outlives a process: `recover` does what opening the
database after a crash does.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from archer_bridge.calls.state import allowed
from archer_bridge.models import (
    Arrangement,
    Began,
    CallEnd,
    CallEvent,
    CallRow,
    CallState,
    Customer,
    NewCall,
    ToolBegin,
    ToolBegun,
    ToolRow,
    ToolStatus,
    Turn,
)
from archer_bridge.ports import ANY_STREAM, StoreStats
from archer_bridge.tally import Tally

_LIVE = frozenset({ToolStatus.STARTED, ToolStatus.OK, ToolStatus.UNKNOWN})
_FOUND = {ToolStatus.STARTED: Began.RUNNING, ToolStatus.UNKNOWN: Began.BLOCKED}


class MemoryStore:
    """Calls, tool rows, customers and arrangements, gone with the process."""

    def __init__(self, customers: Iterable[Customer] = ()) -> None:
        self.customers = {customer.customer_id: customer for customer in customers}
        self._calls: dict[str, CallRow] = {}
        self._tokens: set[str] = set()
        self._reopened: Counter[str] = Counter()
        self._turns: defaultdict[str, dict[tuple[int, str], Turn]] = defaultdict(dict)
        self._events: defaultdict[str, list[CallEvent]] = defaultdict(list)
        self._tools: dict[str, ToolRow] = {}
        self._arrangements: dict[str, Arrangement] = {}

    async def open_call(self, new: NewCall) -> CallRow:
        """Insert the call, or return the row that a duplicate webhook made."""
        row = CallRow(
            call_sid=new.call_sid,
            account_sid=new.account_sid,
            direction=new.direction,
            from_number=new.from_number,
            to_number=new.to_number,
            customer_id=new.customer_id,
            state=CallState.CREATED,
            outcome=None,
            reason=None,
            owner_id=None,
            stream_sid=None,
            created_at=datetime.now(UTC),
            answered_at=None,
            ended_at=None,
            duration_ms=None,
        )
        return self._calls.setdefault(new.call_sid, row)

    async def get_call(self, call_sid: str) -> CallRow | None:
        """Return the call as recorded now."""
        return self._calls.get(call_sid)

    async def claim_stream(self, call_sid: str, stream_sid: str, jti: str, owner_id: str) -> CallRow | None:
        """Spend the token id and take the call, or change nothing and return None."""
        row = self._calls.get(call_sid)
        if row is None or row.state is not CallState.CREATED or jti in self._tokens:
            return None
        self._tokens.add(jti)
        now = datetime.now(UTC)
        taken = replace(
            row,
            state=CallState.CONNECTING,
            stream_sid=stream_sid,
            owner_id=owner_id,
            answered_at=row.answered_at or now,
        )
        self._calls[call_sid] = taken
        return replace(taken, is_resumed=row.answered_at is not None)

    async def move_call(self, call_sid: str, state: CallState) -> bool:
        """Make one allowed, not terminal, transition."""
        row = self._calls.get(call_sid)
        if row is None or state is CallState.ENDED or not allowed(row.state, state):
            return False
        self._calls[call_sid] = replace(row, state=state)
        return True

    async def end_call(self, call_sid: str, end: CallEnd, *, stream_sid: str | None = ANY_STREAM) -> bool:
        """Make the one terminal transition."""
        row = self._calls.get(call_sid)
        if row is None or row.state is CallState.ENDED or stream_sid not in {ANY_STREAM, row.stream_sid}:
            return False
        self._calls[call_sid] = replace(
            row,
            state=CallState.ENDED,
            outcome=end.outcome,
            reason=end.reason,
            ended_at=datetime.now(UTC),
            duration_ms=end.duration_ms,
            numbers=dict(end.numbers),
        )
        return True

    async def reopen_call(self, call_sid: str, *, at_most: int) -> CallRow | None:
        """Let a call whose stream is gone wait for another one; asked once more, the answer is the same."""
        row = self._calls.get(call_sid)
        if row is not None and row.state is CallState.CREATED and row.answered_at is not None:
            return row
        if row is None or not allowed(row.state, CallState.CREATED) or self._reopened[call_sid] >= at_most:
            return None
        self._reopened[call_sid] += 1
        self._calls[call_sid] = reopened = replace(row, state=CallState.CREATED, stream_sid=None, owner_id=None)
        return reopened

    def note(self, call_sid: str, kind: str, data: Mapping[str, Any]) -> None:
        """Add one event to the call's timeline."""
        line = self._events[call_sid]
        line.append(CallEvent(call_sid, len(line) + 1, datetime.now(UTC), kind, dict(data)))

    def add_turn(self, call_sid: str, turn: Turn) -> None:
        """Keep one turn; the same number and role again replaces it."""
        self._turns[call_sid][turn.number, turn.role] = turn

    async def flush(self) -> None:
        """Return at once: nothing is ever waiting."""

    async def ping(self) -> None:
        """Return at once: memory takes every write."""

    @property
    def stats(self) -> StoreStats:
        """How writing goes: at once, so there is nothing to count but the rows."""
        rows = len(self._calls) + len(self._tools)
        return StoreStats(0, rows, rows, 0, is_available=True, commit_seconds=Tally())

    async def close(self) -> None:
        """Keep everything: the next opening finds it."""

    async def list_calls(self, *, limit: int = 20) -> Sequence[CallRow]:
        """Return the newest calls first."""
        return list(reversed(self._calls.values()))[:limit]

    async def talk_seconds(self, since: datetime) -> float:
        """Return the seconds of ended calls that began at or after `since`."""
        return sum((row.duration_ms or 0) / 1000 for row in self._calls.values() if row.created_at >= since)

    async def turns(self, call_sid: str) -> Sequence[Turn]:
        """Return the transcript in order."""
        return sorted(self._turns[call_sid].values(), key=lambda turn: (turn.started_ms, turn.number, turn.role))

    async def events(self, call_sid: str) -> Sequence[CallEvent]:
        """Return the timeline in order."""
        return list(self._events[call_sid])

    async def tool_rows(self, call_sid: str | None = None, *, status: ToolStatus | None = None) -> Sequence[ToolRow]:
        """Return tool rows in order of their start."""
        return [
            row
            for row in self._tools.values()
            if call_sid in {None, row.call_sid} and (status is None or row.status is status)
        ]

    async def arrangements(self, call_sid: str | None = None) -> Sequence[Arrangement]:
        """Return recorded arrangements."""
        return [one for one in self._arrangements.values() if call_sid in {None, one.call_sid}]

    async def begin_tool(self, begin: ToolBegin) -> ToolBegun:
        """Make the row, or say which earlier row stands in the way."""
        same = self._tools.get(begin.key)
        if same is None and begin.business_key is not None:
            tries = [row for row in self._tools.values() if row.business_key == begin.business_key]
            same = next((row for row in tries if row.status in _LIVE), None)
        if same is not None:
            return ToolBegun(_FOUND.get(same.status, Began.REPLAY), same)
        row = self._tools[begin.key] = self._row(begin, ToolStatus.STARTED)
        return ToolBegun(Began.NEW, row)

    async def finish_tool(self, key: str, status: ToolStatus, result_json: str, duration_ms: float) -> None:
        """Keep the result of a row that is `started` or `unknown`."""
        row = self._tools[key]
        if row.status in {ToolStatus.STARTED, ToolStatus.UNKNOWN}:
            now = datetime.now(UTC)
            self._tools[key] = replace(
                row, status=status, result_json=result_json, duration_ms=duration_ms, done_at=now
            )

    async def deny_tool(self, begin: ToolBegin, result_json: str) -> None:
        """Record a refused call; a key that exists stays as it is."""
        row = replace(self._row(begin, ToolStatus.DENIED), result_json=result_json, done_at=datetime.now(UTC))
        self._tools.setdefault(begin.key, row)

    async def settle_unknown(self, key: str, status: ToolStatus, result_json: str) -> bool:
        """Decide an `unknown` row; False if it was not unknown."""
        row = self._tools.get(key)
        if row is None or row.status is not ToolStatus.UNKNOWN:
            return False
        self._tools[key] = replace(row, status=status, result_json=result_json, done_at=datetime.now(UTC))
        return True

    async def find_customer(self, phone: str) -> Customer | None:
        """Return the customer with this E.164 number."""
        return next((customer for customer in self.customers.values() if customer.phone == phone), None)

    async def get_customer(self, customer_id: str) -> Customer | None:
        """Return the customer with this id."""
        return self.customers.get(customer_id)

    async def record_arrangement(self, arrangement: Arrangement) -> Arrangement:
        """Store it once: the same idempotency key returns what was stored first."""
        return self._arrangements.setdefault(arrangement.idempotency_key, arrangement)

    def recover(self) -> int:
        """Mark what a dead process left `started` as `unknown`; return how many rows there were."""
        left = [row for row in self._tools.values() if row.status is ToolStatus.STARTED]
        for row in left:
            self._tools[row.key] = replace(row, status=ToolStatus.UNKNOWN)
        return len(left)

    def _row(self, begin: ToolBegin, status: ToolStatus) -> ToolRow:
        tries = sum(1 for row in self._tools.values() if begin.business_key and row.business_key == begin.business_key)
        return ToolRow(
            key=begin.key,
            call_sid=begin.call_sid,
            tool=begin.tool,
            arguments_json=begin.arguments_json,
            business_key=begin.business_key,
            status=status,
            result_json=None,
            attempt=tries + 1,
            started_at=datetime.now(UTC),
            done_at=None,
            duration_ms=None,
        )
