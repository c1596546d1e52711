"""The TwiML verbs the phone executes, as values; URLs as written in the document."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Say:
    """Speak a text."""

    text: str
    loop: int = 1


@dataclass(frozen=True, slots=True)
class Play:
    """Send DTMF digits (`w` is half a second of silence)."""

    digits: str


@dataclass(frozen=True, slots=True)
class Pause:
    """Be silent for whole seconds."""

    length_s: int = 1


@dataclass(frozen=True, slots=True)
class Stream:
    """The bidirectional media stream of a `<Connect>`; URLs as written."""

    url: str
    parameters: Mapping[str, str]
    status_callback: str = ""
    status_method: str = "POST"
    name: str = ""
    track: str = "inbound_track"


@dataclass(frozen=True, slots=True)
class Connect:
    """Connect the call to a stream; `action` is asked when it is over."""

    stream: Stream
    action: str = ""
    method: str = "POST"


@dataclass(frozen=True, slots=True)
class Dial:
    """Ring somebody else."""

    number: str
    action: str = ""
    method: str = "POST"
    timeout_s: int = 30


@dataclass(frozen=True, slots=True)
class Redirect:
    """Go on with another document."""

    url: str
    method: str = "POST"


@dataclass(frozen=True, slots=True)
class Hangup:
    """End the call."""


@dataclass(frozen=True, slots=True)
class Reject:
    """Do not answer the call."""

    reason: str = "rejected"


Verb = Say | Play | Pause | Connect | Dial | Redirect | Hangup | Reject
