"""How the simulated Twilio and the far ends of the call behave; the defaults are a healthy call."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal
from urllib.parse import parse_qsl, urlsplit

from archer_bridge.devkit.phone.signing import SignatureForm

Address = tuple[str, int]
"""Host and port to connect to."""

DialOutcome = Literal["completed", "busy", "no-answer", "failed"]
StatusEvent = Literal["initiated", "ringing", "answered", "completed"]
ALL_STATUS_EVENTS: tuple[StatusEvent, ...] = ("initiated", "ringing", "answered", "completed")


@dataclass(frozen=True, slots=True)
class StatusCallback:
    """Where call progress is posted; Twilio's default is the `completed` event only."""

    url: str
    events: tuple[StatusEvent, ...] = ("completed",)


@dataclass(frozen=True, slots=True)
class HttpPolicy:
    """Timeouts and retries of a webhook request (twilio.com/docs/usage/webhooks/webhooks-connection-overrides)."""

    connect_s: float = 5.0
    read_s: float = 15.0
    total_s: float = 15.0
    retries: int = 1
    retry_on: frozenset[str] = frozenset({"ct"})
    """Which failures are tried again: `ct`, `rt`, `4xx`, `5xx` or `all`."""

    @classmethod
    def from_url(cls, url: str) -> "HttpPolicy":
        """Read the overrides in the URL's fragment, such as `#ct=1000&rc=2&rp=ct,rt`; limits as documented."""
        keys = dict(parse_qsl(urlsplit(url).fragment))
        return cls(
            connect_s=min(10_000, max(100, int(keys.get("ct", 5_000)))) / 1000,
            read_s=min(15_000, max(100, int(keys.get("rt", 15_000)))) / 1000,
            total_s=min(15_000, max(100, int(keys.get("tt", 15_000)))) / 1000,
            retries=min(5, max(0, int(keys.get("rc", 1)))),
            retry_on=frozenset(keys.get("rp", "ct").split(",")),
        )


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch of a stream's time, in ms since the stream's first frame."""

    at_ms: float
    for_ms: float

    def covers(self, ms: float) -> bool:
        """Whether `ms` lies in it."""
        return self.at_ms <= ms < self.at_ms + self.for_ms


@dataclass(frozen=True, slots=True)
class StreamFaults:
    """What goes wrong on a media stream. Times are ms since its first media frame; None is never."""

    signature_form: SignatureForm = "plain"
    start: Literal["normal", "late", "never", "duplicate"] = "normal"
    start_delay_s: float = 2.0
    """How late a `late` start comes (media is held back until then)."""
    media_before_start: int = 0
    """Media frames sent before `start`."""
    gaps: tuple[Span, ...] = ()
    """Caller audio that is lost on the way: no frame, the timestamp jumps."""
    bursts: tuple[Span, ...] = ()
    """Frames held back and then delivered at once."""
    slow_reader: Span | None = None
    """The stream does not read its socket for a while."""
    half_dead_at_ms: float | None = None
    """Nothing is sent or read any more, and the socket stays open."""
    half_dead_for_s: float = 35.0
    """How long Twilio takes to notice a half-dead socket."""
    abrupt_at_ms: float | None = None
    """Twilio's end of the socket is reset (RST), without `stop` and close."""
    abrupt_end: bool = False
    """When the call ends, the socket is reset instead of closed (and there is no `stop`)."""
    no_stop: bool = False
    """The socket is closed properly, but `stop` never comes."""
    lost_marks: frozenset[int] = frozenset()
    """Which marks (1 = the first one) are never echoed."""
    lost_mark_probability: float = 0.0
    mark_echo_delay_ms: float = 0.0
    second_socket_at_ms: float | None = None
    """A second socket for the same call is opened, with a `start` of the same callSid."""
    media_format: Mapping[str, str | int] = field(
        default_factory=lambda: {"encoding": "audio/x-mulaw", "sampleRate": 8000, "channels": 1}
    )


@dataclass(frozen=True, slots=True)
class PhoneOptions:
    """Everything about a simulated call that is not its numbers and URLs."""

    seed: int = 0
    """Decides timestamps' jitter, lost marks and voices."""
    voice: str = "auto"
    """Which offline voice speaks, as in `devkit.voices.open_voice`."""
    faults: StreamFaults = StreamFaults()
    after_tcp_loss: Literal["continue", "end"] = "continue"
    """What happens to the call when the stream's TCP connection dies; Twilio does not document it."""
    duplicate_webhook: bool = False
    """The first voice webhook is delivered twice, at once, with the same idempotency token."""
    dial_outcome: DialOutcome = "completed"
    dial_ring_s: float = 2.0
    dial_duration_s: float = 5.0
    dial_greeting: str = "Hello, this is the payments desk."
    """What the human who answers a `<Dial>` says."""
    handshake_timeout_s: float = 10.0
    """How long the socket upgrade may take; Twilio's own limit is not documented."""
    max_call_s: float = 14_400.0
    """Twilio's default TimeLimit: four hours."""
    linger_s: float = 120.0
    """How long the caller stays on the line after the script's last step before hanging up."""
    extra_form: Mapping[str, str] = field(default_factory=dict)
    """More form fields of every voice webhook, signed like the rest (`StirVerstat`, `CallerName`, ...)."""
