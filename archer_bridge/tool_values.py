"""The values a tool is given and gives back; plugins import them from `archer_bridge.tool_api`."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field
from datetime import UTC, datetime
from typing import Any, Protocol

from archer_bridge.errors import ArcherError
from archer_bridge.models import Arrangement, Customer, Effect, Payment


class ToolError(ArcherError):
    """The tool refuses, on purpose and *before any side effect*: the model is told `code` and `message`.

    From a tool with side effects it promises that nothing happened, so the request may be made again;
    any other exception leaves the row `unknown`, and blocked.
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(code, message)
        self.code = code
        self.message = message

    def __str__(self) -> str:
        return self.message


@dataclass(frozen=True, slots=True)
class CallFacts:
    """What the bridge knows of the call, none of it from the model or the caller's words."""

    call_sid: str
    caller_number: str
    """E.164."""
    customer_id: str | None
    """Who has this number; nobody has proved to be them."""


@dataclass(frozen=True, slots=True)
class Offer:
    """Terms the caller may accept in this call; `payments` sum to `total_cents`."""

    option: str
    total_cents: int
    payments: tuple[Payment, ...]


@dataclass(frozen=True, slots=True)
class Reply:
    """A tool's full answer, when a plain value does not say it all.

    Everything beside `value` takes effect once the answer is durable, and not at all before.
    """

    value: Any = None
    """What the model is told: JSON-like, a dataclass or a pydantic model."""
    _: KW_ONLY
    effect: Effect | None = None
    verified_customer: str | None = None
    """The caller has proved to be this customer, for the rest of this call."""
    offers: Sequence[Offer] | None = None
    """Replaces what was offered before; needs a verified customer."""
    failed: bool = False
    """A failed attempt, counted against `max_failures`; the value gets `attempts_left`."""


class ToolStore(Protocol):
    """The customers and arrangements of the bridge's database."""

    async def find_customer(self, phone: str) -> Customer | None:
        """Return the customer with this E.164 number."""

    async def get_customer(self, customer_id: str) -> Customer | None:
        """Return the customer with this id."""

    async def record_arrangement(self, arrangement: Arrangement) -> Arrangement:
        """Store it durably, once; the same idempotency key returns what was stored first.

        In a call it is refused (ToolError) unless it is this call's, for the verified customer, on offered
        terms and under `ctx.idempotency_key`.
        """

    async def arrangements(self, call_sid: str | None = None) -> Sequence[Arrangement]:
        """Return what was recorded."""


class ToolLogger(Protocol):
    """Structured log: a snake_case event and facts; the call's id is on every line."""

    def debug(self, event: str, **facts: Any) -> Any:
        """Log for developers."""

    def info(self, event: str, **facts: Any) -> Any:
        """Log the normal course of things."""

    def warning(self, event: str, **facts: Any) -> Any:
        """Log what went wrong without stopping the tool."""

    def error(self, event: str, **facts: Any) -> Any:
        """Log what someone must look at."""


@dataclass(frozen=True, slots=True)
class ToolContext:
    """What a tool is given: a snapshot, taken when it starts."""

    call: CallFacts
    verified_customer: str | None
    """Id of the customer the caller has proved to be in this call."""
    offers: Mapping[str, Offer]
    """Terms offered in this call, by option."""
    store: ToolStore
    settings: Any
    """The `[tools.NAME]` table, or the object that `settings_type` made of it."""
    log: ToolLogger
    say: Callable[[str], None]
    """Ask for words to be spoken while the tool goes on; they may be left out when the agent speaks."""
    idempotency_key: str
    """The same for the same side effect: hand it to any backend that takes one."""
    now: datetime = field(default_factory=lambda: datetime.now(UTC))
    """Wall clock at the start of the tool, UTC."""
