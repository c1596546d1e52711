"""The record of calls, tools and customers on SQLite or PostgreSQL."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from functools import partial
from types import TracebackType
from typing import Any, Self

from archer_bridge.adapters.sql import calls, domain, events, receipts, recovery, replay, retention, tools
from archer_bridge.adapters.sql.busy import Busy
from archer_bridge.adapters.sql.parts import StoreParts
from archer_bridge.adapters.sql.recovery import Recovered, Survivor
from archer_bridge.adapters.sql.replay import Checked
from archer_bridge.adapters.sql.retention import Ages, Purged
from archer_bridge.adapters.sql.writer import Writer
from archer_bridge.errors import StoreBusy, StoreError, StoreUnavailable
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

PURGED_AT_ONCE = 50
"""Calls in one transaction of `purge`: it shares the writer with live calls."""


class SqlStore:
    """`ports.Store`; made by `open_store`, used from one event loop, closed with `close` or `async with`.

    Every awaited write is durable when it returns. It raises StoreUnavailable when the database does not
    take it, StoreBusy when too many wait, StoreError when the database refuses the row.
    """

    def __init__(self, parts: StoreParts) -> None:
        self._parts = parts
        self._calls, self._tools = Busy(), Busy()
        self._is_closed = False

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    @property
    def owner_id(self) -> str:
        """Whose calls these are."""
        return self._parts.owner_id

    @property
    def database_version(self) -> str:
        """What the database calls itself, for example `SQLite 3.40.1`."""
        return self._parts.version

    @property
    def stats(self) -> StoreStats:
        """How writing goes."""
        return self._writer.stats

    @property
    def _writer(self) -> Writer:
        if self._parts.writer is None:
            raise StoreError("the store was opened to read only")
        return self._parts.writer

    async def open_call(self, new: NewCall) -> CallRow:
        """Insert the call, or return the row that a duplicate webhook made."""
        work = partial(calls.open_call, new=new, now=self._now(), wait=self._parts.stream_wait)
        return await self._writer.write(work)

    async def get_call(self, call_sid: str) -> CallRow | None:
        """Return the call as recorded now."""
        return await self._parts.reader.read(partial(calls.get, call_sid=call_sid))

    async def claim_stream(self, call_sid: str, stream_sid: str, jti: str, owner_id: str) -> CallRow | None:
        """Spend the token and take the call for `owner_id`, or change nothing and return None."""
        asked = calls.Claim(call_sid, stream_sid, jti, owner_id, self._parts.lease)
        with self._calls.asking(call_sid):
            row = await self._writer.write(partial(calls.claim, asked=asked, now=self._now()))
            if row is not None:
                self._calls.hold(call_sid, stream_sid)
        return row

    async def move_call(self, call_sid: str, state: CallState) -> bool:
        """Make one allowed move.

        Raises:
            ValueError: for a state that only `open_call`, `claim_stream` or `end_call` sets.
        """
        if state not in {CallState.ACTIVE, CallState.ENDING}:
            raise ValueError(f"move_call cannot set {state.value!r}; expected active or ending")
        return await self._writer.write(partial(calls.move, call_sid=call_sid, state=state, now=self._now()))

    async def reopen_call(self, call_sid: str, *, at_most: int) -> CallRow | None:
        """Let a call whose stream is gone wait for another one."""
        work = partial(calls.reopen, call_sid=call_sid, at_most=at_most, now=self._now(), wait=self._parts.stream_wait)
        row = await self._writer.write(work)
        if row is not None:
            self._calls.release(call_sid)
        return row

    async def end_call(self, call_sid: str, end: CallEnd, *, stream_sid: str | None = ANY_STREAM) -> bool:
        """Make the one terminal transition.

        While the database is away the call stays this process's, for it is worth another try; when the database
        refuses, the lease is not renewed any more, so that recovery ends the call in time.
        """
        work = partial(calls.end, call_sid=call_sid, ending=end, now=self._now(), stream_sid=stream_sid)
        of = None if stream_sid == ANY_STREAM else stream_sid
        try:
            ended = await self._writer.write(work)
        except (StoreUnavailable, StoreBusy):
            raise
        except StoreError:
            self._calls.release(call_sid, of)
            raise
        row = None if ended else await self.get_call(call_sid)
        if row is None or row.owner_id != self.owner_id or row.state is CallState.ENDED:
            self._calls.release(call_sid, of)  # if not ended by this, it may be here once more, with another stream
        return ended

    def note(self, call_sid: str, kind: str, data: Mapping[str, Any]) -> None:
        """Hand one event over; `data` may change afterwards."""
        note = events.new_note(call_sid, kind, data, self._now())
        self._writer.hand_over(partial(events.append, note=note))

    def add_turn(self, call_sid: str, turn: Turn) -> None:
        """Hand one turn over; the same number and role again replaces it."""
        self._writer.hand_over(partial(calls.put_turn, call_sid=call_sid, turn=turn))

    async def flush(self) -> None:
        """Return once everything handed over before is durable; raises StoreUnavailable if it cannot be."""
        await self._writer.flush()

    async def list_calls(self, *, limit: int = 20) -> Sequence[CallRow]:
        """Return the newest calls first."""
        return await self._parts.reader.read(partial(calls.newest, limit=limit))

    async def call_counts(self, call_sids: Collection[str]) -> Mapping[str, tuple[int, int]]:
        """Return the number of turns and of tool calls of each call."""
        return await self._parts.reader.read(partial(calls.counts, call_sids=call_sids))

    async def talk_seconds(self, since: datetime) -> float:
        """Return the seconds of ended calls that began at or after `since`."""
        return await self._parts.reader.read(partial(calls.talk_seconds, since=since))

    async def turns(self, call_sid: str) -> Sequence[Turn]:
        """Return the transcript in order."""
        return await self._parts.reader.read(partial(calls.transcript, call_sid=call_sid))

    async def events(self, call_sid: str) -> Sequence[CallEvent]:
        """Return the timeline in order."""
        return await self._parts.reader.read(partial(events.timeline, call_sid=call_sid))

    async def tool_rows(self, call_sid: str | None = None, *, status: ToolStatus | None = None) -> Sequence[ToolRow]:
        """Return tool rows in order of their start."""
        return await self._parts.reader.read(partial(tools.rows, call_sid=call_sid, status=status))

    async def count_unknown_tools(self) -> int:
        """Return how many tool rows nobody knows the end of."""
        return await self._parts.reader.read(tools.count_unknown)

    async def arrangements(self, call_sid: str | None = None) -> Sequence[Arrangement]:
        """Return recorded arrangements."""
        return await self._parts.reader.read(partial(domain.recorded, call_sid=call_sid))

    async def receive_webhook(self, dedup_key: str, call_sid: str, kind: str) -> bool:
        """Record a webhook durably; True for its first copy."""
        work = partial(receipts.receive_webhook, dedup_key=dedup_key, call_sid=call_sid, kind=kind, now=self._now())
        return await self._writer.write(work)

    async def begin_tool(self, begin: ToolBegin) -> ToolBegun:
        """Make the row durable, or say which earlier row stands in the way.

        A `started` row of this process that this process does not know to be running is blocked: an earlier
        answer of the database was lost, so its side effect has to be looked up first.
        """
        with self._tools.asking(begin.key):
            work = partial(tools.begin, asked=begin, owner_id=self.owner_id, now=self._now())
            begun, owner = await self._writer.write(work)
            if begun.found is Began.NEW:
                self._tools.hold(begin.key)
        if begun.found is Began.RUNNING and owner == self.owner_id and begun.row.key not in self._tools:
            return ToolBegun(Began.BLOCKED, begun.row)
        return begun

    async def finish_tool(self, key: str, status: ToolStatus, result_json: str, duration_ms: float) -> None:
        """Make the result durable; a row that is not `started` or `unknown` stays as it is."""
        ended = tools.Finish(key, status, result_json, duration_ms)
        try:
            await self._writer.write(partial(tools.finish, ended=ended, now=self._now()))
        finally:
            self._tools.release(key)

    async def deny_tool(self, begin: ToolBegin, result_json: str) -> None:
        """Record a refused call; it blocks nothing."""
        deny = partial(tools.deny, asked=begin, result_json=result_json)
        await self._writer.write(partial(deny, owner_id=self.owner_id, now=self._now()))

    async def settle_unknown(self, key: str, status: ToolStatus, result_json: str) -> bool:
        """Decide an `unknown` row after asking whoever had the side effect; False if it was not unknown.

        Raises:
            ValueError: `status` is not ok or error.
        """
        if status not in {ToolStatus.OK, ToolStatus.ERROR}:
            raise ValueError(f"settle_unknown cannot set {status.value!r}; expected ok or error")
        ended = tools.Finish(key, status, result_json, None)
        return await self._writer.write(partial(tools.settle, ended=ended, now=self._now()))

    async def find_customer(self, phone: str) -> Customer | None:
        """Return the customer with this E.164 number."""
        return await self._parts.reader.read(partial(domain.with_phone, phone=phone))

    async def get_customer(self, customer_id: str) -> Customer | None:
        """Return the customer with this id."""
        return await self._parts.reader.read(partial(domain.with_id, customer_id=customer_id))

    async def add_customers(self, people: Sequence[Customer]) -> int:
        """Insert who is not there yet; return how many were inserted."""
        return await self._writer.write(partial(domain.add_customers, people=people))

    async def record_arrangement(self, arrangement: Arrangement) -> Arrangement:
        """Store it durably, once: the same idempotency key returns what was stored first."""
        return await self._writer.write(partial(domain.record, agreed=arrangement, now=self._now()))

    async def renew_leases(self) -> int:
        """Renew the leases of the calls this process claimed and has not ended; return how many."""
        work = partial(calls.renew, call_sids=self._calls.held)
        return await self._writer.write(partial(work, now=self._now(), lease=self._parts.lease))

    async def recover(self, owner_id: str | None = None) -> Recovered:
        """Settle what dead processes left; at boot, and then every few seconds (see recovery.py)."""
        survivor = Survivor(
            owner_id=owner_id or self.owner_id,
            own_calls=self._calls.names,
            own_tools=self._tools.names,
            is_alone=self._parts.lock is not None,
        )
        return await self._writer.write(partial(recovery.recover, survivor=survivor, now=self._now()))

    async def purge(self, *, words_before: datetime | None, calls_before: datetime | None) -> Purged:
        """Delete what is too old (see retention.py), a few calls a transaction; None: nothing is."""
        ages, done = Ages(words_before, calls_before), Purged()
        while True:
            work = partial(retention.purge, ages=ages, at_most=PURGED_AT_ONCE, now=self._now())
            some = await self._writer.write(work)
            done += some
            if not some.words and not some.calls:
                return done

    async def ping(self) -> None:
        """Write a heartbeat; raises StoreUnavailable when the database takes no writes."""
        await self._writer.write(partial(recovery.beat, owner_id=self.owner_id, now=self._now()))

    async def check(self) -> Checked:
        """Check the database, every timeline's chain, and every call against its timeline."""
        return await self._parts.reader.read(replay.check)

    async def close(self) -> None:
        """Write what was handed over, then release the database; a second close does nothing."""
        if self._is_closed:
            return
        self._is_closed = True
        if self._parts.writer is not None:
            await self._parts.writer.stop()
        await self._parts.reader.close()
        if self._parts.committer is not None:
            await self._parts.committer.close()
        if self._parts.lock is not None:
            self._parts.lock.release()

    def _now(self) -> datetime:
        return self._parts.clock()
