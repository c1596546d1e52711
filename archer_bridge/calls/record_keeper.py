"""The verdicts of a process that are not in the record yet: kept, told on request, written as soon as it is possible.

A database that is away for some seconds costs no outcome, and no caller waits for it. What is still unwritten when
the process dies is settled by the survivors (`orphaned`).

A call whose stream broke off is held for a moment before its verdict is written: Twilio may ask what follows, and the
call then goes on with a new stream.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

import structlog

from archer_bridge.errors import StoreBusy, StoreError, StoreUnavailable
from archer_bridge.models import CallEnd, CallRow, CallState, Outcome
from archer_bridge.ports import Store

log = structlog.get_logger(__name__)

FIRST_RETRY_S = 0.1
LONGEST_RETRY_S = 5.0
ANSWER_S = 5.0
"""A store that has not answered by then is asked again."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """How the call ended on this stream; `is_broken_off`: by nobody's wish, so that the call may go on."""

    end: CallEnd
    stream_sid: str | None
    """None: it waited for a stream that never came."""
    is_broken_off: bool = False


class RecordKeeper:
    """Writes verdicts; one a process, so that shutting down can wait for what is left."""

    def __init__(self, store: Store, *, ended: Callable[[CallEnd], None] = lambda end: None) -> None:
        """`ended` is told each verdict that this process put into the record."""
        self._store = store
        self._ended = ended
        self._open: dict[str, tuple[Verdict, asyncio.Task[bool]]] = {}
        self._asking: dict[str, asyncio.Task[bool]] = {}

    def __len__(self) -> int:
        return len(self._open.keys() | self._asking.keys())

    def verdict(self, call_sid: str) -> Verdict | None:
        """Return a verdict that is not in the record yet."""
        found = self._open.get(call_sid)
        return None if found is None else found[0]

    def write(self, call_sid: str, verdict: Verdict, *, after_s: float = 0.0) -> "asyncio.Task[bool]":
        """Write a verdict until it is written; the task tells whether it is the call's outcome.

        Args:
            call_sid: the call.
            verdict: how it ended.
            after_s: how long it may be taken back before the first try.
        """
        work = self._write(call_sid, verdict, after_s)
        task = asyncio.get_running_loop().create_task(work, name=f"record {call_sid}")
        self._open[call_sid] = (verdict, task)
        task.add_done_callback(lambda done: self._forget(call_sid, done))
        return task

    def end_waiting(self, call_sid: str, reason: str) -> "asyncio.Task[bool]":
        """End a call that waits for a stream, for none will come; the record is asked until it answers.

        The task tells whether this ended it.
        """
        if (asking := self._asking.get(call_sid)) is not None:
            return asking
        task = asyncio.get_running_loop().create_task(self._end_waiting(call_sid, reason), name=f"ask {call_sid}")
        self._asking[call_sid] = task
        task.add_done_callback(lambda _: self._asking.pop(call_sid))
        return task

    def take_back(self, call_sid: str) -> None:
        """Do not write the verdict of a call that goes on."""
        found = self._open.get(call_sid)
        if found is not None and found[0].is_broken_off:
            found[1].cancel()

    async def close(self, timeout_s: float) -> int:
        """Wait until everything is written; return how many calls were not in time, which are given up."""
        tasks = [*(task for _, task in self._open.values()), *self._asking.values()]
        if tasks:
            await asyncio.wait(tasks, timeout=timeout_s)
        left = len(self)
        for task in [*(task for _, task in self._open.values()), *self._asking.values()]:
            task.cancel()
        return left

    def _forget(self, call_sid: str, task: "asyncio.Task[bool]") -> None:
        found = self._open.get(call_sid)
        if found is not None and found[1] is task:
            del self._open[call_sid]

    async def _end_waiting(self, call_sid: str, reason: str) -> bool:
        row = await self._row(call_sid)
        if row is None or row.state is not CallState.CREATED:
            return False
        outcome = Outcome.NO_STREAM if row.answered_at is None else Outcome.CALLER_HANGUP
        return await self.write(call_sid, Verdict(CallEnd(outcome, reason), stream_sid=None))

    async def _row(self, call_sid: str) -> CallRow | None:
        pause_s = 0.0
        while True:
            try:
                async with asyncio.timeout(ANSWER_S):
                    return await self._store.get_call(call_sid)
            except (StoreUnavailable, StoreBusy, TimeoutError) as error:
                if not pause_s:
                    log.error("record_failed", call_sid=call_sid, error=str(error) or f"no answer in {ANSWER_S:g} s")
            except StoreError as error:  # not to be read, ever
                log.error("record_failed", call_sid=call_sid, error=str(error))
                return None
            pause_s = min(2 * pause_s, LONGEST_RETRY_S) or FIRST_RETRY_S
            await asyncio.sleep(pause_s)

    async def _write(self, call_sid: str, verdict: Verdict, after_s: float) -> bool:
        if after_s:
            await asyncio.sleep(after_s)
        pause_s, tries = FIRST_RETRY_S, 1
        while (recorded := await self._try(call_sid, verdict, tries)) is None:
            await asyncio.sleep(pause_s)
            pause_s = min(2 * pause_s, LONGEST_RETRY_S)
            tries += 1
        recorded = recorded or await self._has_outcome(call_sid, verdict.end)
        if tries > 1:
            log.info("record_late", call_sid=call_sid, tries=tries, recorded=recorded)
        if recorded:
            self._ended(verdict.end)
        return recorded

    async def _try(self, call_sid: str, verdict: Verdict, tries: int) -> bool | None:
        """Return whether the verdict is the call's outcome; None: ask again."""
        try:
            async with asyncio.timeout(ANSWER_S):
                return await self._store.end_call(call_sid, verdict.end, stream_sid=verdict.stream_sid)
        except (StoreUnavailable, StoreBusy, TimeoutError) as error:
            if tries == 1:
                log.error("record_failed", call_sid=call_sid, error=str(error) or f"no answer in {ANSWER_S:g} s")
            return None
        except Exception:  # refused for good; who survives this process settles the row
            log.exception("record_failed", call_sid=call_sid)
            return False

    async def _has_outcome(self, call_sid: str, end: CallEnd) -> bool:
        """Whether an earlier try, of this or of the store's own, reached the database although its answer was lost."""
        try:
            row = await self._store.get_call(call_sid)
        except StoreError:
            return False
        return row is not None and (row.outcome, row.duration_ms) == (end.outcome, end.duration_ms)
