"""Values that every layer shares: frozen, free of I/O and of third-party types.

Money is integer cents; `_ms` is milliseconds since the stream's start unless it says otherwise;
wall-clock instants are timezone-aware UTC datetimes.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from enum import StrEnum
from typing import Any


class CallState(StrEnum):
    """Where a call is; the only moves allowed are in `calls/state.py`."""

    CREATED = "created"
    CONNECTING = "connecting"
    ACTIVE = "active"
    ENDING = "ending"
    ENDED = "ended"


class Outcome(StrEnum):
    """How a call ended; a call has exactly one, from the moment it is `ended`."""

    COMPLETED = "completed"
    CALLER_HANGUP = "caller_hangup"
    TRANSFERRED = "transferred"
    VERIFICATION_FAILED = "verification_failed"
    UNKNOWN_CALLER = "unknown_caller"
    BUSY = "busy"
    NO_STREAM = "no_stream"
    VENDOR_UNAVAILABLE = "vendor_unavailable"
    VENDOR_LOST = "vendor_lost"
    PROTOCOL_ERROR = "protocol_error"
    TOOL_POLICY = "tool_policy"
    MAX_DURATION = "max_duration"
    DRAINED = "drained"
    ORPHANED = "orphaned"
    INTERNAL_ERROR = "internal_error"


@dataclass(frozen=True, slots=True)
class Customer:
    """An account holder as the domain knows one."""

    customer_id: str
    phone: str
    name: str
    account_last_4: str
    postal_code: str
    balance_cents: int
    days_overdue: int

    @property
    def first_name(self) -> str:
        """What a polite agent says first."""
        return self.name.split(" ", 1)[0]


@dataclass(frozen=True, slots=True)
class NewCall:
    """What the voice webhook knows of a call before anything else happened."""

    call_sid: str
    account_sid: str
    from_number: str
    to_number: str
    direction: str = "inbound"
    customer_id: str | None = None


@dataclass(frozen=True, slots=True)
class CallRow:
    """A call as the record has it."""

    call_sid: str
    account_sid: str
    direction: str
    from_number: str
    to_number: str
    customer_id: str | None
    state: CallState
    outcome: Outcome | None
    reason: str | None
    owner_id: str | None
    stream_sid: str | None
    created_at: datetime
    answered_at: datetime | None
    ended_at: datetime | None
    duration_ms: int | None
    numbers: Mapping[str, Any] = field(default_factory=dict)
    """The canonical numbers of the call (frames, latencies, marks), as logged in `call_ended`."""
    is_resumed: bool = False
    """The stream just claimed is not the call's first one; told by `claim_stream` only."""


@dataclass(frozen=True, slots=True)
class CallEnd:
    """The one terminal transition."""

    outcome: Outcome
    reason: str
    duration_ms: int | None = None
    """From the monotonic clock; None when no stream ever lived."""
    numbers: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Turn:
    """One turn of talk, as the record keeps it.

    For the agent, `text` is what its engine says was spoken and `heard_text` what the playout ledger
    proved the caller heard. For the caller the two are equal. Latencies are None where unknown:
    `response_ms` runs from the caller's last voiced audio to the first agent audio heard, `engine_ms`
    is the engine's share of it and `bridge_ms` what this bridge added.
    """

    number: int
    role: str
    text: str
    heard_text: str
    interrupted: bool
    started_ms: float
    ended_ms: float
    heard_ms: float = 0.0
    """Milliseconds of this turn's audio that the caller heard."""
    spoken_ms: float = 0.0
    """Milliseconds of audio that the engine produced for this turn."""
    engine_interrupted: bool = False
    response_ms: float | None = None
    engine_ms: float | None = None
    bridge_ms: float | None = None


class ToolStatus(StrEnum):
    """A tool row's state; `unknown` means that a crash hid whether the side effect happened."""

    STARTED = "started"
    OK = "ok"
    ERROR = "error"
    DENIED = "denied"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class ToolRequest:
    """The engine's model asks for a tool."""

    tool_call_id: str
    name: str
    arguments: Mapping[str, Any]
    expects_response: bool = True


@dataclass(frozen=True, slots=True)
class EndCall:
    """Effect of a tool: hang up once the agent's goodbye was heard."""

    reason: str = "completed"
    outcome: Outcome = Outcome.COMPLETED


@dataclass(frozen=True, slots=True)
class Transfer:
    """Effect of a tool: connect the caller to `to` (E.164 or `sip:`) once the announcement was heard.

    An empty `to` means the configured transfer number.
    """

    to: str = ""
    announce: str = ""
    reason: str = ""


Effect = EndCall | Transfer


@dataclass(frozen=True, slots=True)
class ToolFinished:
    """A tool's durable answer, ready for the engine: `result` is at most 4096 bytes of UTF-8."""

    tool_call_id: str
    name: str
    result: str
    is_error: bool
    error_type: str | None
    effect: Effect | None
    duration_ms: float
    expects_response: bool = True


@dataclass(frozen=True, slots=True)
class ToolBegin:
    """A tool row to be made durable before its side effect.

    `key` is the technical key (`call_sid:tool_call_id`); `business_key` names the side effect itself,
    so that asking again under a new id cannot repeat it.
    """

    key: str
    call_sid: str
    tool: str
    arguments_json: str
    """Redacted, canonical JSON."""
    arguments_sha256: str
    business_key: str | None = None


@dataclass(frozen=True, slots=True)
class ToolRow:
    """A tool call as the record has it."""

    key: str
    call_sid: str
    tool: str
    arguments_json: str
    business_key: str | None
    status: ToolStatus
    result_json: str | None
    attempt: int
    started_at: datetime
    done_at: datetime | None
    duration_ms: float | None


class Began(StrEnum):
    """What `begin_tool` found."""

    NEW = "new"
    """The row is durable; go on with the side effect."""
    REPLAY = "replay"
    """It was done already; answer with the stored result."""
    RUNNING = "running"
    """The same thing runs right now."""
    BLOCKED = "blocked"
    """An unknown earlier try must be reconciled first."""


@dataclass(frozen=True, slots=True)
class ToolBegun:
    """The answer of `begin_tool`; `row` is the new row, or the earlier one that decides."""

    found: Began
    row: ToolRow


@dataclass(frozen=True, slots=True)
class Payment:
    """One payment of an arrangement."""

    due: date
    amount_cents: int


@dataclass(frozen=True, slots=True)
class Arrangement:
    """What a customer agreed to; `idempotency_key` is unique, so recording twice returns the first."""

    idempotency_key: str
    call_sid: str
    customer_id: str
    option: str
    payment_type: str
    total_cents: int
    payments: tuple[Payment, ...]
    confirmation: str


@dataclass(frozen=True, slots=True)
class CallEvent:
    """One line of a call's append-only timeline."""

    call_sid: str
    seq: int
    at: datetime
    kind: str
    data: Mapping[str, Any]
