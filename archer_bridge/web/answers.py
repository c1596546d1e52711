"""What Twilio is told to do: our words, and the TwiML of each situation."""

import secrets
import time

from starlette.responses import Response

from archer_bridge.models import CallEnd, CallRow, Outcome
from archer_bridge.protocols import twiml
from archer_bridge.web.context import Service

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

WORDS = {
    Outcome.TRANSFERRED: NO_TRANSFER,
    Outcome.MAX_DURATION: TOO_LONG,
    Outcome.DRAINED: RESTARTING,
    Outcome.VENDOR_UNAVAILABLE: SORRY,
    Outcome.VENDOR_LOST: SORRY,
    Outcome.INTERNAL_ERROR: SORRY,
    Outcome.PROTOCOL_ERROR: SORRY,
    Outcome.ORPHANED: SORRY,
}
"""What a caller hears at an end that was not spoken of; at any other nothing is left to say."""


def xml(document: str) -> Response:
    """Return TwiML."""
    return Response(document, media_type="text/xml")


def connect(service: Service, row: CallRow) -> str:
    """Return the TwiML that opens our stream, with a fresh one-time token."""
    token = service.keys.issue(
        row.call_sid, row.account_sid, expires_at=time.time() + service.token_ttl_s, token_id=secrets.token_hex(16)
    )
    return twiml.connect_stream(
        stream_url=service.stream_url,
        action_url=action_url(service),
        status_url=f"{service.public_url}/webhooks/twilio/stream-status",
        parameters={
            "call_sid": row.call_sid,
            "customer_id": row.customer_id or "",
            "customer_phone": row.from_number,
            "token": token,
        },
        language=service.language,
    )


def action_url(service: Service) -> str:
    """Return the address that Twilio asks what follows a stream, or a transfer."""
    return f"{service.public_url}/webhooks/twilio/stream-ended"


def apology(service: Service) -> str:
    """Return the TwiML of our own trouble."""
    return twiml.say_and_hang_up(SORRY, language=service.language)


def after(service: Service, end: CallEnd, *, our_number: str, caller_waits: bool) -> str:
    """Return the TwiML that follows a call's end.

    Args:
        service: the service.
        end: how the call ended; a transfer's number and announcement are beside its numbers.
        our_number: shown to a person whom the call is transferred to.
        caller_waits: Twilio says that the caller is still on the line.
    """
    wanted = end.numbers.get("transfer") or {}
    to = wanted.get("to") or service.transfer_to
    if end.outcome is Outcome.TRANSFERRED and to:
        return twiml.transfer(
            to,
            action_url=action_url(service),
            caller_id=our_number,
            announce=wanted.get("announce", ""),
            language=service.language,
        )
    words = WORDS.get(end.outcome, "")
    if end.outcome is Outcome.CALLER_HANGUP and caller_waits:
        words = SORRY  # the line was dead, not the caller
    return twiml.say_and_hang_up(words, language=service.language)
