"""A simulated caller and the Twilio between the caller and a bridge.

    phone = Phone(DEMO_ACCOUNT, "+15550100001", "+15550199999", "https://bridge.example.test/webhooks/twilio/incoming",
                  connect_to=("127.0.0.1", 8000))

    async def script(caller: Caller) -> None:
        await caller.agent_finished()
        await caller.say("Hello, I would like to pay my bill.")
        await caller.agent_finished()
        await caller.hang_up()

    report = await phone.call(script)
    report.write_wav("call.wav")

The phone signs its webhooks and its socket, follows TwiML, plays what the bridge sends on a real playback clock, and
keeps exactly what was heard. It runs in real time and on a virtual-time loop.
"""

from archer_bridge.devkit.phone.account import DEMO_ACCOUNT, Account
from archer_bridge.devkit.phone.call import Phone, make_route
from archer_bridge.devkit.phone.caller import Caller, CallerScript
from archer_bridge.devkit.phone.errors import AgentSilent, CallEnded, CallerError, PhoneError
from archer_bridge.devkit.phone.events import EventKind, EventSink, PhoneEvent
from archer_bridge.devkit.phone.exchange import Exchange, Number, listen
from archer_bridge.devkit.phone.options import (
    ALL_STATUS_EVENTS,
    Address,
    PhoneOptions,
    Span,
    StatusCallback,
    StreamFaults,
)
from archer_bridge.devkit.phone.playback import Segment, Underrun
from archer_bridge.devkit.phone.report import (
    CallerTurn,
    CallReport,
    Latency,
    MarkTrace,
    RequestTrace,
    StreamEnd,
    StreamReport,
    Violation,
)
from archer_bridge.devkit.phone.rest import twilio_rest

__all__ = [
    "ALL_STATUS_EVENTS",
    "DEMO_ACCOUNT",
    "Account",
    "Address",
    "AgentSilent",
    "CallEnded",
    "CallReport",
    "Caller",
    "CallerError",
    "CallerScript",
    "CallerTurn",
    "EventKind",
    "EventSink",
    "Exchange",
    "Latency",
    "MarkTrace",
    "Number",
    "Phone",
    "PhoneError",
    "PhoneEvent",
    "PhoneOptions",
    "RequestTrace",
    "Segment",
    "Span",
    "StatusCallback",
    "StreamEnd",
    "StreamFaults",
    "StreamReport",
    "Underrun",
    "Violation",
    "listen",
    "make_route",
    "twilio_rest",
]
