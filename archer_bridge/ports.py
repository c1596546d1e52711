"""What the call needs from the world, as Protocols next to nobody's implementation."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

import msgspec

from archer_bridge.models import (
    Arrangement,
    CallEnd,
    CallEvent,
    CallRow,
    CallState,
    Customer,
    NewCall,
    ToolBegin,
    ToolBegun,
    ToolFinished,
    ToolRequest,
    ToolRow,
    ToolStatus,
    Turn,
)


@dataclass(frozen=True, slots=True)
class EngineReady:
    """The engine takes audio from now on."""

    session_id: str


class EngineAudio(msgspec.Struct, frozen=True, gc=False):
    """Agent audio in the engine's format, with its base64 text for carrying over untouched."""

    data: bytes
    text: str


@dataclass(frozen=True, slots=True)
class EngineClear:
    """The caller barged in: what was not heard yet must not be heard."""


@dataclass(frozen=True, slots=True)
class TurnStarted:
    """A turn began; turns of both roles share one increasing counter."""

    turn: int
    role: str


@dataclass(frozen=True, slots=True)
class TurnText:
    """About one word of the agent, as spoken; append verbatim."""

    turn: int
    text: str


@dataclass(frozen=True, slots=True)
class TurnEnded:
    """A turn is over; `text` is what the engine says was spoken."""

    turn: int
    role: str
    text: str
    interrupted: bool


@dataclass(frozen=True, slots=True)
class ToolCalled:
    """The engine's model asks for a tool."""

    request: ToolRequest


@dataclass(frozen=True, slots=True)
class EngineDigit:
    """The engine wants a DTMF digit sent to the far end."""

    digit: str


@dataclass(frozen=True, slots=True)
class EngineFault:
    """The engine complained; fatal ones are followed by its closing."""

    code: str
    message: str
    fatal: bool


@dataclass(frozen=True, slots=True)
class EngineIgnored:
    """An event this version does not know."""

    kind: str


EngineEvent = (
    EngineReady
    | EngineAudio
    | EngineClear
    | TurnStarted
    | TurnText
    | TurnEnded
    | ToolCalled
    | EngineDigit
    | EngineFault
    | EngineIgnored
)


@dataclass(frozen=True, slots=True)
class Closed:
    """How a peer's connection ended: the WebSocket close code (1006: without a close frame) and its reason."""

    code: int
    reason: str = ""


class Engine(Protocol):
    """The voice AI end of a call. The call does not know which one it is."""

    @property
    def format_name(self) -> str:
        """The audio format both ways, as text (`mulaw/8000/1`)."""

    async def run(self, on_event: Callable[[EngineEvent], None]) -> Closed:
        """Connect, then call `on_event` for everything the engine sends, until it closes.

        Raises:
            EngineError: it could not be reached, or refused.
        """

    def send_audio(self, data: bytes, text: str | None) -> None:
        """Hand over caller audio in the engine's format; `text` is its base64 form, when there is one."""

    def send_digit(self, digit: str) -> None:
        """Hand over one key press."""

    def send_tool_result(self, finished: ToolFinished) -> None:
        """Answer a tool call, once."""

    async def close(self) -> None:
        """End the engine's side; safe to call at any time."""


class TextSocket(Protocol):
    """A WebSocket that carries text messages, seen by the synchronous core."""

    def write(self, message: bytes, *, droppable: bool = False) -> None:
        """Send one complete UTF-8 text message; never blocks and never raises for a lost peer.

        A peer that does not read makes messages wait, up to a bound; then the oldest `droppable` ones are dropped.
        """

    async def pump(self, on_message: Callable[[str | bytes], None]) -> Closed:
        """Call `on_message` for every text message, in order, until the socket closes."""

    async def close(self, code: int = 1000, reason: str = "") -> None:
        """Send what is waiting, then close; safe to call at any time and more than once."""


Dialer = Callable[[str, Mapping[str, str]], Awaitable[TextSocket]]
"""Opens a client socket to a URL with headers; raises EngineError."""


class CallRecord(Protocol):
    """The durable record of calls."""

    async def open_call(self, new: NewCall) -> CallRow:
        """Insert the call, or return the row that a duplicate webhook made. Durable on return."""

    async def get_call(self, call_sid: str) -> CallRow | None:
        """Return the call as recorded now."""

    async def claim_stream(self, call_sid: str, stream_sid: str, jti: str, owner_id: str) -> CallRow | None:
        """Spend the one-time token id and move `created -> connecting`, in one transaction.

        Returns None, having changed nothing, when the token was spent before or the call is not waiting
        for a stream.
        """

    async def move_call(self, call_sid: str, state: CallState) -> bool:
        """Make one allowed, not terminal, transition; False when the row was not in a state for it."""

    async def end_call(self, call_sid: str, end: CallEnd) -> bool:
        """Make the one terminal transition; False when the call had ended already."""

    def note(self, call_sid: str, kind: str, data: Mapping[str, Any]) -> None:
        """Hand one event to the call's append-only timeline; never waits."""

    def add_turn(self, call_sid: str, turn: Turn) -> None:
        """Hand one finished turn to the transcript; never waits."""

    async def flush(self) -> None:
        """Return once everything handed over before is durable."""

    async def list_calls(self, *, limit: int = 20) -> Sequence[CallRow]:
        """Return the newest calls first."""

    async def talk_seconds(self, since: datetime) -> float:
        """Return the seconds of ended calls that began at or after `since`."""

    async def turns(self, call_sid: str) -> Sequence[Turn]:
        """Return the transcript in order."""

    async def events(self, call_sid: str) -> Sequence[CallEvent]:
        """Return the timeline in order."""

    async def tool_rows(self, call_sid: str | None = None, *, status: ToolStatus | None = None) -> Sequence[ToolRow]:
        """Return tool rows in order of their start."""

    async def arrangements(self, call_sid: str | None = None) -> Sequence[Arrangement]:
        """Return recorded arrangements."""


class ToolLedger(Protocol):
    """The part of the record that makes tools run exactly once."""

    async def begin_tool(self, begin: ToolBegin) -> ToolBegun:
        """Make the row durable, or say which earlier row stands in the way."""

    async def finish_tool(self, key: str, status: ToolStatus, result_json: str, duration_ms: float) -> None:
        """Make the result durable; a row that is not `started` or `unknown` stays as it is."""

    async def deny_tool(self, begin: ToolBegin, result_json: str) -> None:
        """Record a refused call; it blocks nothing."""


class DomainStore(Protocol):
    """Customers and arrangements: what the shipped tools work on."""

    async def find_customer(self, phone: str) -> Customer | None:
        """Return the customer with this E.164 number."""

    async def get_customer(self, customer_id: str) -> Customer | None:
        """Return the customer with this id."""

    async def record_arrangement(self, arrangement: Arrangement) -> Arrangement:
        """Store it durably, once: the same idempotency key returns what was stored first."""


class Store(CallRecord, ToolLedger, DomainStore, Protocol):
    """Everything together, as the composition root opens it."""

    async def close(self) -> None:
        """Write what was handed over, then release the database."""
