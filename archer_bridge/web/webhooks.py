"""Twilio's webhooks: signed form posts in, TwiML out.

Nothing happens before the signature is checked; the call's row is durable before TwiML is answered; a failure of ours
is answered with TwiML too, so that the caller hears words instead of Twilio's error.
"""

import asyncio
import re
from collections.abc import Awaitable, Callable
from functools import wraps

import structlog
from starlette.datastructures import FormData
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from archer_bridge.errors import StoreError
from archer_bridge.models import CallEnd, CallRow, CallState, NewCall, Outcome
from archer_bridge.protocols import twiml
from archer_bridge.protocols.twilio_signature import SETTINGS_HEADER
from archer_bridge.redaction import redact
from archer_bridge.web.after_stream import LEAVE_S, what_follows
from archer_bridge.web.answers import BUSY, NOBODY, UNKNOWN, apology, connect, xml
from archer_bridge.web.context import Service

log = structlog.get_logger(__name__)

CLOSED_BY_US = "31921"
"""Twilio's code for a stream that the server closed; it counts as an error there even when it was meant.
https://www.twilio.com/docs/api/errors/31921"""

CALL_SID = re.compile(r"CA[0-9a-fA-F]{32}")
DIRECTIONS = frozenset({"inbound", "outbound-api", "outbound-dial"})
BODY_LIMIT = 64 * 1024
ANSWER_WITHIN_S = 2.0
"""Of a record that is slow; what is written goes on without Twilio waiting."""
WORDS_WITHIN_S = 8.0
"""After this a caller hears words, whatever the record does; Twilio itself waits for 15 s."""
ENDED = frozenset({"completed", "busy", "failed", "no-answer", "canceled"})

Handler = Callable[[Request, Service, FormData], Awaitable[Response]]


def signed(handler: Handler) -> Callable[[Request], Awaitable[Response]]:
    """Let only Twilio's requests through: 403 and nothing else for everyone."""

    @wraps(handler)
    async def checked(request: Request) -> Response:
        service: Service = request.app.state.service
        form = await _form(request)
        path = request.url.path + (f"?{request.url.query}" if request.url.query else "")
        signature = request.headers.get("x-twilio-signature")
        genuine = service.checker.accepts_webhook(path, form, signature, settings=request.headers.get(SETTINGS_HEADER))
        if not service.insecure_dev and not genuine:
            service.gate.refuse("webhook", "signature" if signature else "unsigned", path=request.url.path)
            return Response(status_code=403)
        call_sid = str(form.get("CallSid", ""))
        if not CALL_SID.fullmatch(call_sid):
            return Response("CallSid is missing or not a call's id\n", status_code=400, media_type="text/plain")
        if service.account_sid and form.get("AccountSid") != service.account_sid:
            service.gate.refuse("webhook", "other_account", path=request.url.path)
            return Response(status_code=403)
        return await handler(request, service, form)

    return checked


async def _form(request: Request) -> FormData:
    """Read a bounded form body; anything else is nobody's webhook."""
    size = 0
    chunks = []
    async for chunk in request.stream():
        size += len(chunk)
        if size > BODY_LIMIT:
            raise HTTPException(413)
        chunks.append(chunk)
    request._body = b"".join(chunks)  # Starlette's own cache for a body that was read
    if not request.headers.get("content-type", "").startswith("application/x-www-form-urlencoded"):
        return FormData()
    return await request.form(max_fields=300)


@signed
async def incoming(request: Request, service: Service, form: FormData) -> Response:
    """Answer a call: record it, then connect it to our stream."""
    call_sid, caller = str(form["CallSid"]), str(form.get("From", ""))
    if not caller:
        return Response("From is missing\n", status_code=400, media_type="text/plain")
    log.info("twilio_webhook_received", route="incoming", call_sid=call_sid, caller=f"***{caller[-4:]}")
    return xml(await _in_time(_answer(service, form, call_sid, caller), service, call_sid))


async def _in_time(answer: Awaitable[str], service: Service, call_sid: str) -> str:
    """Return the answer, or an apology when the record is away or too slow for a caller who waits."""
    try:
        async with asyncio.timeout(WORDS_WITHIN_S):
            return await answer
    except (StoreError, TimeoutError) as error:
        log.error("record_failed", call_sid=call_sid, error=str(error) or f"no answer in {WORDS_WITHIN_S:g} s")
        return apology(service)


async def _answer(service: Service, form: FormData, call_sid: str, caller: str) -> str:
    customer = await service.store.find_customer(caller)
    row = await service.store.open_call(
        NewCall(
            call_sid,
            str(form.get("AccountSid", "")),
            caller,
            str(form.get("To", "")),
            direction if (direction := str(form.get("Direction", ""))) in DIRECTIONS else "inbound",
            customer.customer_id if customer else None,
        )
    )
    if row.state is CallState.ENDED:
        return twiml.say_and_hang_up(UNKNOWN if row.outcome is Outcome.UNKNOWN_CALLER else "")
    if customer is None:
        await service.store.end_call(
            call_sid, CallEnd(Outcome.UNKNOWN_CALLER, "no customer has this number"), stream_sid=None
        )
        log.info("call_ended", call_sid=call_sid, outcome=Outcome.UNKNOWN_CALLER.value)
        return twiml.say_and_hang_up(UNKNOWN, language=service.language)
    if (refusal := await service.admission.refusal(call_sid, row.from_number)) is not None:
        await service.store.end_call(call_sid, CallEnd(Outcome.BUSY, refusal), stream_sid=None)
        log.warning("call_ended", call_sid=call_sid, outcome=Outcome.BUSY.value, live=len(service.live))
        return twiml.say_and_hang_up(BUSY, language=service.language)
    return connect(service, row)


@signed
async def stream_ended(request: Request, service: Service, form: FormData) -> Response:
    """Say what follows the stream, or a transfer: by what the record says."""
    call_sid = str(form["CallSid"])
    dialled = str(form.get("DialCallStatus", ""))
    log.info("twilio_webhook_received", route="stream-ended", call_sid=call_sid, dialled=dialled or None)
    service.asked(call_sid)
    if dialled:
        return xml(await _after_transfer(service, call_sid, dialled, bridged=str(form.get("DialBridged", ""))))
    caller_waits, our_number = form.get("CallStatus") == "in-progress", str(form.get("To", ""))
    answer = what_follows(service, call_sid, our_number=our_number, caller_waits=caller_waits)
    return xml(await _in_time(answer, service, call_sid))


async def _after_transfer(service: Service, call_sid: str, dialled: str, *, bridged: str) -> str:
    await _note_fact(service, call_sid, "dialled", {"status": dialled, "bridged": bridged})
    words = "" if dialled in {"completed", "answered"} else NOBODY
    return twiml.say_and_hang_up(words, language=service.language)


@signed
async def status(request: Request, service: Service, form: FormData) -> Response:
    """Note a call status callback: a fact, never the outcome of a call with a live stream."""
    call_sid, call_status = str(form["CallSid"]), str(form.get("CallStatus", ""))
    log.info("twilio_webhook_received", route="status", call_sid=call_sid, status=call_status)
    row = await _note_fact(service, call_sid, "twilio_status", {"status": call_status})
    if row is not None and row.state is CallState.ENDED:
        service.live.forget(call_sid)
        return xml(twiml.nothing())
    # A session that is leaving may have lost its call to another process, where it waits for a stream in vain.
    if call_status in ENDED and await service.live.wait_released(call_sid, LEAVE_S):
        # No stream will come any more; a call that has one is for its owner to end. Twilio says this once: a record
        # that is away just now is told when it is back.
        service.live.forget(call_sid)
        ending = service.agent.keeper.end_waiting(call_sid, f"Twilio: {call_status}")
        await asyncio.wait({ending}, timeout=ANSWER_WITHIN_S)
    return xml(twiml.nothing())


@signed
async def stream_status(request: Request, service: Service, form: FormData) -> Response:
    """Note a Stream status callback: the only place where Twilio says what was wrong with our socket."""
    call_sid, event = str(form["CallSid"]), str(form.get("StreamEvent", ""))
    error = str(form.get("StreamError", ""))
    is_trouble = bool(error) and CLOSED_BY_US not in error
    (log.warning if is_trouble else log.info)(
        "twilio_webhook_received", route="stream-status", call_sid=call_sid, stream_event=event, error=error or None
    )
    await _note_fact(service, call_sid, "stream_status", {"event": event, "error": redact(error)[:500]})
    return xml(twiml.nothing())


async def _note_fact(service: Service, call_sid: str, kind: str, data: dict[str, str]) -> CallRow | None:
    """Add a fact to a call that the record knows; return the call, or None when it is unknown, or the record away."""
    try:
        row = await service.store.get_call(call_sid)
    except StoreError as error:  # the writer keeps the fact until the record is back, and drops a stranger's then
        log.error("record_failed", call_sid=call_sid, error=str(error))
        service.store.note(call_sid, kind, data)
        return None
    if row is not None:
        service.store.note(call_sid, kind, data)
    return row


ROUTES = [
    Route("/webhooks/twilio/incoming", incoming, methods=["POST"]),
    Route("/webhooks/twilio/stream-ended", stream_ended, methods=["POST"]),
    Route("/webhooks/twilio/status", status, methods=["POST"]),
    Route("/webhooks/twilio/stream-status", stream_status, methods=["POST"]),
]
