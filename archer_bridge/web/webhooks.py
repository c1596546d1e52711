"""Twilio's webhooks: signed form posts in, TwiML out.

Nothing happens before the signature is checked; the call's row is durable before TwiML is answered; a failure of ours
is answered with TwiML too, so that the caller hears words instead of Twilio's error.
"""

import re
import secrets
import time
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
from archer_bridge.web.context import Service

log = structlog.get_logger(__name__)

CLOSED_BY_US = "31921"
"""Twilio's code for a stream that the server closed; it counts as an error there even when it was meant.
https://www.twilio.com/docs/api/errors/31921"""

CALL_SID = re.compile(r"CA[0-9a-fA-F]{32}")
DIRECTIONS = frozenset({"inbound", "outbound-api", "outbound-dial"})
BODY_LIMIT = 64 * 1024
SORRY = "We are sorry, we have a technical problem. Please call again in a few minutes. Goodbye."
BUSY = "All our lines are busy at the moment. Please call again in a few minutes. Goodbye."
UNKNOWN = (
    "We are sorry, we could not match the number you are calling from with an account. "
    "Please call from the number on your account. Goodbye."
)
NOBODY = "We are sorry, nobody could take your call. Please call again later. Goodbye."
NO_TRANSFER = "We are sorry, nobody is available to take your call right now. Please call again later. Goodbye."

TOO_LONG = "We have come to the longest time for one call. Please call again, and we will go on from there. Goodbye."
RESTARTING = "We are sorry, we have to interrupt this call for a moment. Please call again in a few minutes. Goodbye."

OURS = frozenset(
    {
        Outcome.VENDOR_UNAVAILABLE,
        Outcome.VENDOR_LOST,
        Outcome.INTERNAL_ERROR,
        Outcome.PROTOCOL_ERROR,
        Outcome.ORPHANED,
    }
)
"""Ends that are not the caller's doing, and were not spoken of: the caller hears an apology."""

Handler = Callable[[Request, Service, FormData], Awaitable[Response]]


def xml(document: str) -> Response:
    """Return TwiML."""
    return Response(document, media_type="text/xml")


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
    try:
        return xml(await _answer(service, form, call_sid, caller))
    except StoreError as error:
        log.error("record_failed", call_sid=call_sid, error=str(error))
        return xml(twiml.say_and_hang_up(SORRY, language=service.language))


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
        await service.store.end_call(call_sid, CallEnd(Outcome.UNKNOWN_CALLER, "no customer has this number"))
        log.info("call_ended", call_sid=call_sid, outcome=Outcome.UNKNOWN_CALLER.value)
        return twiml.say_and_hang_up(UNKNOWN, language=service.language)
    if (refusal := await service.admission.refusal(call_sid, row.from_number)) is not None:
        await service.store.end_call(call_sid, CallEnd(Outcome.BUSY, refusal))
        log.warning("call_ended", call_sid=call_sid, outcome=Outcome.BUSY.value, live=len(service.live))
        return twiml.say_and_hang_up(BUSY, language=service.language)
    return connect(service, row)


def connect(service: Service, row: CallRow) -> str:
    """Return the TwiML that opens our stream, with a fresh one-time token."""
    token = service.keys.issue(
        row.call_sid, row.account_sid, expires_at=time.time() + service.token_ttl_s, token_id=secrets.token_hex(16)
    )
    return twiml.connect_stream(
        stream_url=service.stream_url,
        action_url=f"{service.public_url}/webhooks/twilio/stream-ended",
        status_url=f"{service.public_url}/webhooks/twilio/stream-status",
        parameters={
            "call_sid": row.call_sid,
            "customer_id": row.customer_id or "",
            "customer_phone": row.from_number,
            "token": token,
        },
        language=service.language,
    )


@signed
async def stream_ended(request: Request, service: Service, form: FormData) -> Response:
    """Say what follows the stream, or a transfer: by what the record says."""
    call_sid = str(form["CallSid"])
    dialled = str(form.get("DialCallStatus", ""))
    log.info("twilio_webhook_received", route="stream-ended", call_sid=call_sid, dialled=dialled or None)
    try:
        row = await service.store.get_call(call_sid)
    except StoreError as error:
        log.error("record_failed", call_sid=call_sid, error=str(error))
        return xml(twiml.say_and_hang_up(SORRY, language=service.language))
    if row is None:
        return xml(twiml.say_and_hang_up(SORRY, language=service.language))
    if dialled:
        service.store.note(call_sid, "dialled", {"status": dialled, "bridged": str(form.get("DialBridged", ""))})
        answered = dialled in {"completed", "answered"}
        return xml(twiml.say_and_hang_up("" if answered else NOBODY, language=service.language))
    return xml(_what_follows(service, row))


def _what_follows(service: Service, row: CallRow) -> str:
    match row.outcome:
        case Outcome.TRANSFERRED if service.transfer_to:
            return twiml.transfer(
                service.transfer_to,
                action_url=f"{service.public_url}/webhooks/twilio/stream-ended",
                caller_id=row.to_number,
                language=service.language,
            )
        case Outcome.TRANSFERRED:
            return twiml.say_and_hang_up(NO_TRANSFER, language=service.language)
        case Outcome.MAX_DURATION:
            return twiml.say_and_hang_up(TOO_LONG, language=service.language)
        case Outcome.DRAINED:
            return twiml.say_and_hang_up(RESTARTING, language=service.language)
        case outcome if outcome is None or outcome in OURS:
            return twiml.say_and_hang_up(SORRY, language=service.language)
        case _:
            return twiml.say_and_hang_up("")


@signed
async def status(request: Request, service: Service, form: FormData) -> Response:
    """Note a call status callback: a fact, never the outcome of a call with a live stream."""
    call_sid, call_status = str(form["CallSid"]), str(form.get("CallStatus", ""))
    log.info("twilio_webhook_received", route="status", call_sid=call_sid, status=call_status)
    await _note_fact(service, call_sid, "twilio_status", {"status": call_status})
    over = call_status in {"completed", "busy", "failed", "no-answer", "canceled"}
    if over and call_sid not in service.live:
        try:
            await service.store.end_call(call_sid, CallEnd(Outcome.NO_STREAM, f"Twilio: {call_status}"))
        except StoreError as error:
            log.error("record_failed", call_sid=call_sid, error=str(error))
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


async def _note_fact(service: Service, call_sid: str, kind: str, data: dict[str, str]) -> None:
    try:
        if await service.store.get_call(call_sid) is not None:
            service.store.note(call_sid, kind, data)
    except StoreError as error:
        log.error("record_failed", call_sid=call_sid, error=str(error))


ROUTES = [
    Route("/webhooks/twilio/incoming", incoming, methods=["POST"]),
    Route("/webhooks/twilio/stream-ended", stream_ended, methods=["POST"]),
    Route("/webhooks/twilio/status", status, methods=["POST"]),
    Route("/webhooks/twilio/stream-status", stream_status, methods=["POST"]),
]
