"""What every public route needs, made once by the composition root."""

import asyncio
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import structlog

from archer_bridge.adapters.vitals import Vitals
from archer_bridge.calls.breaker import Breaker, BreakerState
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
    vitals: Vitals = field(default_factory=Vitals)
    breaker: Breaker | None = None
    stream_resumes: int = 2
    """How often a call goes on with another stream."""
    unanswered: set[str] = field(default_factory=set)
    """Calls that ended in a drain and Twilio has still to ask about: they hear their goodbye from us then."""
    all_asked: asyncio.Event = field(default_factory=asyncio.Event)
    _asked_early: set[str] = field(default_factory=set)
    """Asked about in a drain before their session had left the line."""
    stopping: bool = False
    """The process was told to end: no undrain any more."""
    unauthenticated: int = 0
    """Sockets that have not proved themselves yet."""

    def left(self, call_sid: str) -> None:
        """The call has left the line; a process that is to end stays for Twilio's question what follows."""
        session = self.live.session(call_sid)
        if self.stopping and session is not None and session.is_asked_about and call_sid not in self._asked_early:
            self.unanswered.add(call_sid)
            self.all_asked.clear()
        self._asked_early.discard(call_sid)
        self.live.release(call_sid)

    def asked(self, call_sid: str) -> None:
        """Twilio asks what follows."""
        if self.stopping and call_sid in self.live:
            self._asked_early.add(call_sid)
        self.unanswered.discard(call_sid)
        if not self.unanswered:
            self.all_asked.set()

    @property
    def breaker_state(self) -> BreakerState:
        """Whether the engine is thought to be in trouble; closed where nothing watches it."""
        return self.breaker.state if self.breaker is not None else BreakerState.CLOSED
