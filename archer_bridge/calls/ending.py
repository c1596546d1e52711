"""How a call ends: the farewell that may come first, the one verdict, and the one record of it.

The first verdict counts; it stops the transcript and the recording at that instant. A farewell puts the verdict off
until the last word was heard. The record is made once, whoever asks for it, and the canonical line is logged once,
whether or not the store took the record.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Any

from structlog.typing import FilteringBoundLogger

from archer_bridge.calls.farewell import Farewell
from archer_bridge.calls.flag import Flag
from archer_bridge.calls.record_keeper import RecordKeeper, Verdict
from archer_bridge.models import CallEnd, EndCall, Outcome, Transfer
from archer_bridge.ports import Closed, Store

RECORD_WAIT_S = 1.0
"""How long the line waits for its record; the writing goes on."""
HELD_S = 1.5
"""A stream that broke off is no hang-up before this has passed: Twilio may ask how the call goes on."""
NO_CLOSE_CODE = frozenset({1005, 1006})
"""The connection broke; uvicorn says 1005, which is also a close frame without a code."""
SERVICE_RESTART = 1012
"""The close code with which our own server ends every socket when it is stopped without waiting for calls."""

SumUp = Callable[[float], Mapping[str, Any]]
"""Settles what is open at this instant and returns the call's numbers."""


class Ending:
    """One call's end."""

    def __init__(
        self,
        call_sid: str,
        stream_sid: str,
        store: Store,
        *,
        keeper: RecordKeeper,
        log: FilteringBoundLogger,
        goodbye_wait_s: float,
        sum_up: SumUp,
        began: float | None = None,
    ) -> None:
        """Begin with no end in sight; `began` is the start of the call's first stream, on the loop's clock."""
        self.farewell: Farewell | None = None
        self.is_broken_off = False
        """Nobody wanted the call to end: it may go on with another stream."""
        self._call_sid = call_sid
        self._stream_sid = stream_sid
        self._keeper = keeper
        self._store = store
        self._log = log
        self._goodbye_wait_s = goodbye_wait_s
        self._sum_up = sum_up
        self._clock = asyncio.get_running_loop().time
        self._began = self._clock() if began is None else began
        self._end: CallEnd | None = None
        self._is_given = Flag()
        self._record: asyncio.Task[None] | None = None

    # ---- the verdict -----------------------------------------------------------------------------------------

    @property
    def is_given(self) -> bool:
        """Whether the call has its outcome."""
        return self._end is not None

    @property
    def has_verdict(self) -> bool:
        """Whether it has its outcome for good: not only a stream that broke off."""
        return self.is_given and not self.is_broken_off

    @property
    def verdict(self) -> CallEnd:
        """How the call ended; to be asked for once that is known."""
        assert self._end is not None
        return self._end

    def wait(self) -> Awaitable[None]:
        """Return what is done once the verdict is given."""
        return self._is_given.wait()

    def give(self, outcome: Outcome, reason: str, **facts: Any) -> None:
        """Give the verdict, if there is none yet; `facts` are kept beside the call's numbers."""
        if self._end is None:
            now = self._clock()
            try:
                numbers = self._sum_up(now)
            except Exception:  # the session's edge: a call whose sums fail ends all the same
                self._log.exception("call_failed", outcome=outcome.value)
                numbers = {}
            self._end = CallEnd(outcome, reason, round((now - self._began) * 1000), {**numbers, **facts})
            self._is_given.set()

    def failed(self, error: Exception) -> None:
        """A bug of ours: it ends this call, and is told with its traceback."""
        self._log.error("call_failed", exc_info=error)
        first = error.exceptions[0] if isinstance(error, ExceptionGroup) else error
        self.give(Outcome.INTERNAL_ERROR, f"{type(first).__name__} in the session")

    def caller_left(self, reason: str) -> None:
        """The caller is gone; during a goodbye that is what was wanted."""
        effect = self.farewell.effect if self.farewell is not None else None
        if isinstance(effect, EndCall):
            self.give(effect.outcome, f"{effect.reason}; the caller hung up first")
        else:
            self.give(Outcome.CALLER_HANGUP, reason)

    def stream_closed(self, closed: Closed) -> None:
        """The caller's socket is closed: by them, by our own server, or by nobody."""
        reason = f"the stream's socket closed ({closed.code})"
        if closed.code == SERVICE_RESTART:
            self.give(Outcome.DRAINED, "the bridge was stopped")
        elif closed.code in NO_CLOSE_CODE:
            self.broke_off(reason)
        else:
            self.caller_left(reason)

    def broke_off(self, reason: str) -> None:
        """The stream is gone, and Twilio did not say that the caller is.

        A goodbye was said; a transfer is still owed to a caller who is there, as Twilio's question will tell.
        """
        if self.is_given:
            return
        effect = self.farewell.effect if self.farewell is not None else None
        if isinstance(effect, EndCall):
            self.farewell_over()
        else:
            self.is_broken_off = True
            self.give(Outcome.CALLER_HANGUP, reason, **_wanted(effect))

    def engine_left(self, closed: Closed, *, was_ready: bool) -> None:
        """The engine closed its side for good: politely (1000), or not."""
        if was_ready and closed.code == 1000 and self.farewell is None:
            self.bid_farewell(EndCall("the agent ended the call"))
        if self.farewell is not None:
            self.farewell.engine_is_gone()
        elif was_ready:
            self.give(Outcome.VENDOR_LOST, f"the agent was lost ({closed.code} {closed.reason})".replace(" )", ")"))
        else:
            self.give(Outcome.VENDOR_UNAVAILABLE, f"the agent closed before it was ready ({closed.code})")

    def engine_failed(self, reason: str, *, was_ready: bool) -> None:
        """No session with the engine began: at first, or after one that broke off."""
        if self.farewell is not None:
            self.farewell.engine_is_gone()
        else:
            self.give(Outcome.VENDOR_LOST if was_ready else Outcome.VENDOR_UNAVAILABLE, reason)

    # ---- the farewell ----------------------------------------------------------------------------------------

    def bid_farewell(self, effect: EndCall | Transfer) -> Farewell:
        """Let the call end once the last word was heard; the first farewell counts."""
        if self.farewell is None:
            self.farewell = Farewell(effect, since=self._clock(), longest_s=self._goodbye_wait_s)
            facts = {"effect": type(effect).__name__, "reason": effect.reason}
            self._log.info("farewell", **facts)
            self._store.note(self._call_sid, "farewell", facts)
        return self.farewell

    def farewell_over(self) -> None:
        """The last word was heard: do what the farewell was for."""
        assert self.farewell is not None
        effect = self.farewell.effect
        if isinstance(effect, Transfer):
            wanted = _wanted(effect)
            self._store.note(self._call_sid, "transfer", wanted["transfer"])
            self.give(Outcome.TRANSFERRED, effect.reason or "transfer to a person", **wanted)
        else:
            self.give(effect.outcome, effect.reason)

    # ---- the record ------------------------------------------------------------------------------------------

    async def record(self) -> None:
        """Return once the verdict is durable, or the store has been waited for long enough.

        A cancelled caller does not cancel the writing. The verdict on a stream that broke off waits for Twilio's word.
        """
        if self._record is None:
            self._record = asyncio.create_task(self._write(self.verdict), name=f"record {self._call_sid}")
        await asyncio.shield(self._record)

    async def _write(self, end: CallEnd) -> None:
        verdict = Verdict(end, self._stream_sid, self.is_broken_off)
        writing = self._keeper.write(self._call_sid, verdict, after_s=HELD_S if self.is_broken_off else 0.0)
        if self.is_broken_off:
            self._log.warning("stream_broke_off", reason=end.reason)
            self._store.note(self._call_sid, "stream_broke_off", {"reason": end.reason})
            writing.add_done_callback(partial(self._held, end))
            return
        await asyncio.wait({writing}, timeout=RECORD_WAIT_S)
        self._tell(end, recorded=_result(writing))

    def _held(self, end: CallEnd, writing: "asyncio.Task[bool]") -> None:
        if _result(writing):
            self._tell(end, recorded=True)
        else:
            self._log.info("stream_ended", reason=end.reason, duration_ms=end.duration_ms, **end.numbers)

    def _tell(self, end: CallEnd, *, recorded: bool) -> None:
        self._log.info(
            "call_ended",
            outcome=end.outcome.value,
            reason=end.reason,
            duration_ms=end.duration_ms,
            recorded=recorded,
            **end.numbers,
        )


def _wanted(effect: Transfer | None) -> dict[str, dict[str, str]]:
    """Return what the answer to Twilio's question needs of a transfer."""
    return {} if effect is None else {"transfer": {"to": effect.to, "announce": effect.announce}}


def _result(writing: "asyncio.Task[bool]") -> bool:
    return writing.done() and not writing.cancelled() and writing.result()
