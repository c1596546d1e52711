"""What every public route needs, made once by the composition root."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import structlog

from archer_bridge.calls.registry import LiveCalls
from archer_bridge.engines.archer import ArcherCallAgent
from archer_bridge.ports import Store
from archer_bridge.protocols.stream_token import TokenKeys
from archer_bridge.protocols.twilio_signature import SignatureChecker
from archer_bridge.web.admission import Admission

security_log = structlog.get_logger("archer_bridge.security")


@dataclass(slots=True)
class Gate:
    """Refusals, counted by kind and reason; each is one security event in the log."""

    counts: Counter[tuple[str, str]] = field(default_factory=Counter)

    def refuse(self, kind: str, reason: str, **facts: Any) -> None:
        """Count one refusal and say so."""
        self.counts[kind, reason] += 1
        security_log.warning("refused", kind=kind, reason=reason, **facts)


@dataclass(slots=True)
class Service:
    """The running service as its routes see it."""

    store: Store
    agent: ArcherCallAgent
    live: LiveCalls
    checker: SignatureChecker
    admission: Admission
    keys: TokenKeys
    gate: Gate
    account_sid: str
    public_url: str
    stream_url: str
    owner_id: str
    insecure_dev: bool
    token_ttl_s: float
    start_timeout_s: float
    transfer_to: str
    language: str
    stopping: bool = False
    """The process was told to end: no undrain any more."""
    unauthenticated: int = 0
    """Sockets that have not proved themselves yet."""
