"""What follows a stream: what its verdict says, or another stream.

Twilio asks this when our stream is over, of whichever process its request reaches. Where a verdict was given, it
decides: this process knows its own even before the record has it. Where none was, nobody wanted the call to end: its
connection broke, or its process died. Then the call goes on with another stream, a few times at most. Whoever comes
first to the record decides whether a call goes on or has ended: the two transitions exclude one another.

Asking is believed only when the stream is silent: a request of ours that somebody plays back ends no live call.
"""

import asyncio
from dataclasses import replace

import structlog

from archer_bridge.calls.ending import RECORD_WAIT_S
from archer_bridge.calls.record_keeper import Verdict
from archer_bridge.calls.session import CallSession
from archer_bridge.models import CallEnd, CallRow, Outcome
from archer_bridge.protocols import twiml
from archer_bridge.web import answers
from archer_bridge.web.context import Service

log = structlog.get_logger(__name__)

NOTICE_S = 1.0
"""Twilio's request may be faster than the news that its socket is closed."""
SILENT_S = 0.5
"""A stream that lives has brought a frame in this time: one comes every 20 ms."""
LEAVE_S = 5.0
"""A session that is over has left the line by then."""


async def what_follows(service: Service, call_sid: str, *, our_number: str, caller_waits: bool) -> str:
    """Return the TwiML with which the call goes on or ends.

    Raises:
        StoreError: the record cannot be read or written, and this process knows no verdict.
    """
    session = service.live.session(call_sid)
    if session is None and call_sid in service.live:  # another stream of the call is just proving itself
        service.gate.refuse("webhook", "live_stream", call_sid=call_sid)
        return twiml.nothing()
    if session is not None and not session.ending.has_verdict and not await _let_go(service, session):
        service.gate.refuse("webhook", "live_stream", call_sid=call_sid)
        return twiml.nothing()
    end = _own_verdict(service, call_sid, session)
    if end is None:
        row = await service.store.get_call(call_sid)
        if row is None:
            return answers.apology(service)
        if row.outcome is not None:
            end = CallEnd(row.outcome, row.reason or "", numbers=row.numbers)
        elif (kept := service.agent.keeper.verdict(call_sid)) is not None and "transfer" in kept.end.numbers:
            end = await _transfer_owed(service, call_sid, kept)
        else:
            return await _another_stream(service, row)
    return answers.after(service, end, our_number=our_number, caller_waits=caller_waits)


async def _let_go(service: Service, session: CallSession) -> bool:
    """Wait until the session has left the line; False when its stream is alive."""
    call_sid = session.row.call_sid
    if await service.live.wait_released(call_sid, NOTICE_S):
        return True
    if asyncio.get_running_loop().time() - session.line.core.last_caller_at < SILENT_S:
        return False
    session.stream_is_over("Twilio goes on without the stream")
    return await service.live.wait_released(call_sid, LEAVE_S)


def _own_verdict(service: Service, call_sid: str, session: CallSession | None) -> CallEnd | None:
    """Return how the call ended, if this process decided it a moment ago."""
    if session is not None and session.ending.has_verdict:
        return session.ending.verdict
    kept = service.agent.keeper.verdict(call_sid)
    return None if kept is None or kept.is_broken_off else kept.end


async def _transfer_owed(service: Service, call_sid: str, kept: Verdict) -> CallEnd:
    """The stream broke off when a transfer was promised: the caller is there, and gets it."""
    end = replace(kept.end, outcome=Outcome.TRANSFERRED, reason=f"transfer; {kept.end.reason}")
    service.agent.keeper.take_back(call_sid)
    writing = service.agent.keeper.write(call_sid, Verdict(end, kept.stream_sid))
    await asyncio.wait({writing}, timeout=RECORD_WAIT_S)
    log.info("call_ended", call_sid=call_sid, outcome=end.outcome.value, reason=end.reason, duration_ms=end.duration_ms)
    return end


async def _another_stream(service: Service, row: CallRow) -> str:
    reopened = await service.store.reopen_call(row.call_sid, at_most=service.stream_resumes)
    if reopened is None:
        return answers.apology(service)
    service.agent.keeper.take_back(row.call_sid)
    service.live.promise(row.call_sid, row.from_number)
    log.warning("call_goes_on", call_sid=row.call_sid, was=row.state.value, owner=row.owner_id)
    return answers.connect(service, reopened)
