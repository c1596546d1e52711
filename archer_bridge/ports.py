"""What the call needs from the world, as Protocols next to nobody's implementation."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

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
    ToolRow,
    ToolStatus,
    Turn,
)
from archer_bridge.ports_engine import (
    Closed,
    Engine,
    EngineAudio,
    EngineClear,
    EngineDigit,
    EngineEvent,
    EngineFault,
    EngineIgnored,
    EngineLost,
    EngineReady,
    Memory,
    Recall,
    ToolCalled,
    ToolMemory,
    TurnEnded,
    TurnStarted,
    TurnText,
)
from archer_bridge.tally import Tally

__all__ = [
    "ANY_STREAM",
    "CallRecord",
    "Closed",
    "Dialer",
    "DomainStore",
    "Engine",
    "EngineAudio",
    "EngineClear",
    "EngineDigit",
    "EngineEvent",
    "EngineFault",
    "EngineIgnored",
    "EngineLost",
    "EngineReady",
    "Memory",
    "Recall",
    "Store",
    "StoreStats",
    "TextSocket",
    "ToolCalled",
    "ToolLedger",
    "ToolMemory",
    "TurnEnded",
    "TurnStarted",
    "TurnText",
]


class TextSocket(Protocol):
    """A WebSocket that carries text messages, seen by the synchronous core."""

    def write(self, message: bytes, droppable: bool = False) -> None:
        """Send one complete UTF-8 text message; never blocks and never raises for a lost peer.

        A peer that does not read makes messages wait, up to a bound; then the oldest `droppable` ones are dropped.
        """

    async def pump(self, on_message: Callable[[str | bytes], None]) -> Closed:
        """Call `on_message` for every text message, in order, until the socket closes."""

    async def close(self, code: int = 1000, reason: str = "") -> None:
        """Send what is waiting, then close; safe to call at any time and more than once."""


Dialer = Callable[[str, Mapping[str, str]], Awaitable[TextSocket]]
"""Opens a client socket to a URL with headers; raises EngineError."""


ANY_STREAM = "*"
"""Whatever stream the call has, if any."""


@dataclass(frozen=True, slots=True)
class StoreStats:
    """How writing to the record goes; counts since the store was opened."""

    queue_depth: int
    """Writes that wait."""
    batches: int
    rows: int
    dropped: int
    """Handed-over rows lost: the queue was full, or the database refused them."""
    is_available: bool
    """The latest commit succeeded."""
    commit_seconds: Tally
    """How long the commits took."""
    committed_at: float = float("-inf")
    """Loop time of the latest commit."""


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

    async def end_call(self, call_sid: str, end: CallEnd, *, stream_sid: str | None = ANY_STREAM) -> bool:
        """Make the one terminal transition; False when the call had ended already, or went on with another stream.

        Args:
            call_sid: the call.
            end: how it ended.
            stream_sid: the stream that the call must have for this to count; None: it must be waiting for one.
        """

    async def reopen_call(self, call_sid: str, *, at_most: int) -> CallRow | None:
        """Let a call whose stream is gone wait for another one: `connecting | active | ending -> created`.

        Returns None, having changed nothing, when the call ended, is unknown, or was reopened `at_most` times.
        """

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

    @property
    def stats(self) -> StoreStats:
        """How writing goes."""

    async def ping(self) -> None:
        """Write something small and durable; raises StoreError when the database takes no writes."""

    async def close(self) -> None:
        """Write what was handed over, then release the database."""
