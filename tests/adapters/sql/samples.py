"""Values that the store's tests write."""

import itertools
from datetime import UTC, date, datetime, timedelta

from archer_bridge.models import Arrangement, CallEnd, NewCall, Outcome, Payment, ToolBegin, Turn

_sids = itertools.count(1)


def new_sid() -> str:
    """Return a call SID that no other test uses."""
    return f"CA{next(_sids):032x}"


def new_call(call_sid: str | None = None, *, customer_id: str | None = None) -> NewCall:
    """Return a call as the webhook tells it."""
    return NewCall(call_sid or new_sid(), "AC" + "0" * 32, "+15550100001", "+15550199999", customer_id=customer_id)


def done(outcome: Outcome = Outcome.COMPLETED, reason: str = "said goodbye") -> CallEnd:
    """Return an ending."""
    return CallEnd(outcome, reason, duration_ms=61_500, numbers={"frames_in": 3075, "tools": 2})


def turn(number: int = 1, text: str = "Hello, this is Archer.", *, heard: str | None = None) -> Turn:
    """Return an agent's turn; `heard` is what the caller heard of it, all of it by default."""
    heard_text = text if heard is None else heard
    return Turn(
        number,
        "agent",
        text,
        heard_text,
        interrupted=heard_text != text,
        started_ms=1000.0 * number,
        ended_ms=1000.0 * number + 800.5,
        heard_ms=400.0,
        spoken_ms=800.5,
        response_ms=512.25,
        engine_ms=500.0,
        bridge_ms=12.25,
    )


def tool(key: str, call_sid: str, *, business_key: str | None = None) -> ToolBegin:
    """Return a tool call to begin."""
    return ToolBegin(key, call_sid, "process_payment", '{"option":"full_payment"}', "a" * 64, business_key)


def plan(call_sid: str, *, key: str = "arrangement-1", cents: int = 90_000) -> Arrangement:
    """Return an arrangement of six payments that sum to `cents`."""
    share, rest = divmod(cents, 6)
    amounts = [share + (number < rest) for number in range(6)]
    payments = tuple(Payment(date(2026, 12 - number, 22), amount) for number, amount in enumerate(amounts))
    return Arrangement(key, call_sid, "demo-dana-reyes", "payment_plan", "payment_plan", cents, payments, "A-7Q2K9D")


class SetClock:
    """A wall clock that a test moves."""

    def __init__(self) -> None:
        self.now = datetime(2026, 11, 22, 12, 0, 0, 123456, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now

    def advance(self, **duration: float) -> None:
        """Move the clock, also backwards."""
        self.now += timedelta(**duration)
