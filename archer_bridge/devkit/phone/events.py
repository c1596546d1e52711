"""What the phone tells while a call runs, for printing it live."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

EventKind = Literal[
    "ringing",
    "answered",
    "caller_said",
    "dtmf",
    "agent_audio_started",
    "agent_audio_ended",
    "mark",
    "cleared",
    "twiml",
    "stream",
    "violation",
    "ended",
]


@dataclass(frozen=True, slots=True)
class PhoneEvent:
    """One thing that happened, `at_ms` on the call's timeline (0 = answered; 0 before that, too).

    `text` by kind: what the caller says, the digit, the mark's name, the TwiML verb, `started` or `stopped`, the
    violation, why the call ended. `audio` is the mu-law that was heard, for `agent_audio_ended` only.
    """

    kind: EventKind
    at_ms: float
    text: str = ""
    audio: bytes = b""


EventSink = Callable[[PhoneEvent], None]
"""Called synchronously in the event loop; must not block."""
