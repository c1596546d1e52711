"""What one call is going to suffer, and what was seen of it."""

import random
from collections.abc import Callable
from dataclasses import dataclass, field

from archer_bridge.adapters.sql.seed import DEMO_CUSTOMERS
from archer_bridge.models import Customer
from tests.support.rush.faults import Fault, draw

STRANGER = "+15550100099"


@dataclass
class Plan:
    """One call: who calls, what goes wrong, and what both far ends saw."""

    call_sid: str
    number: int
    customer: Customer
    faults: dict[str, Fault]
    talk_s: float = 0.2
    """Seconds of audio in each thing that the agent says."""
    wants_human: bool = False
    on_payment: Callable[[], None] = lambda: None
    """Called when the vendor has asked for the payment."""

    answered_connect: bool = False
    """The webhook answered with a stream."""
    sessions: int = 0
    """Vendor sessions of this call."""
    step: str = ""
    """Where the vendor's script is."""
    said_done: list[str] = field(default_factory=list)
    """Confirmations that the vendor was told."""
    refused: list[str] = field(default_factory=list)
    """Error codes that the payment, or a verification with wrong details, was answered with."""
    documents: list[str] = field(default_factory=list)
    """What each TwiML told Twilio to do, in order."""
    heard: list[str] = field(default_factory=list)
    """Sentences that Twilio spoke for us."""
    statuses: list[int] = field(default_factory=list)
    """HTTP status of every answer to Twilio; 0 for none."""
    webhook_ms: list[float] = field(default_factory=list)
    audio_at: list[float] = field(default_factory=list)
    """Loop time of each audio message that the caller's side got."""
    stream_lost: list[float] = field(default_factory=list)
    """Loop time at which a stream's socket ended, not by the caller's doing."""
    goodbye_at: float | None = None
    """Loop time at which the agent had nothing more to say, or had handed the call over."""
    left_at: float | None = None
    """Loop time at which the caller hung up or was cut off."""
    began_at: float = 0.0
    ended_at: float = 0.0

    @property
    def from_number(self) -> str:
        """The number the call comes from."""
        return STRANGER if "stranger" in self.faults else self.customer.phone

    def __contains__(self, fault: str) -> bool:
        return fault in self.faults


def new_plan(choose: random.Random, number: int, *, healthy: float = 0.15, faulty: bool = True) -> Plan:
    """Draw one call; `healthy` is the share of calls without a fault of their own."""
    faults = draw(choose) if faulty and choose.random() >= healthy else {}
    return Plan(
        call_sid=f"CA{choose.getrandbits(128):032x}",
        number=number,
        customer=choose.choice(DEMO_CUSTOMERS),
        faults=faults,
        talk_s=choose.uniform(0.1, 0.4),
        wants_human=choose.random() < 0.1,
    )
