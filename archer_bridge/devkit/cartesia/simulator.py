"""The handle of a running simulator: its settings, account, calls, counters and events."""

import asyncio
import itertools
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from starlette.requests import HTTPConnection

from archer_bridge.devkit.cartesia.agent_link import AgentLink
from archer_bridge.devkit.cartesia.auth import V1_VERSIONS, ApiError, Credential, Gate
from archer_bridge.devkit.cartesia.events import Counters, EventFeed
from archer_bridge.devkit.cartesia.faults import Faults, Refusal
from archer_bridge.devkit.cartesia.options import SimulatorOptions
from archer_bridge.devkit.cartesia.sound import Listener
from archer_bridge.devkit.cartesia.store import Account
from archer_bridge.devkit.voices import Voice, open_ear, open_voice


@dataclass(slots=True)
class CallRecord:
    """What `GET /agents/calls/{id}` tells about one call."""

    id: str
    agent_id: str
    start_time: datetime
    status: str = "active"
    end_time: datetime | None = None
    error_message: str | None = None
    transcript: list[dict[str, Any]] = field(default_factory=list)

    def as_json(self, *, with_transcript: bool) -> dict[str, Any]:
        """Return the wire form."""
        fields: dict[str, Any] = {
            "id": self.id,
            "agent_id": self.agent_id,
            "status": self.status,
            "start_time": self.start_time.isoformat(),
            "end_time": self.end_time.isoformat() if self.end_time else None,
            "error_message": self.error_message,
        }
        return {**fields, "transcript": self.transcript} if with_transcript else fields


class CartesiaSimulator:
    """One simulated account and everything that happens in it; `app.state.simulator`.

    `options` may be replaced between calls (`set_faults` does it for faults); calls in progress keep theirs.
    """

    def __init__(self, options: SimulatorOptions) -> None:
        self.options = options
        self.account = Account.preset()
        self.gate = Gate(options.api_key)
        self.feed = EventFeed()
        self.counters = Counters()
        self.calls: dict[str, CallRecord] = {}
        self.sessions: dict[str, AgentLink] = {}
        self.failures: list[BaseException] = []  # what brains and raw sessions raised
        self._refusals = 0
        self._numbers = itertools.count(1)
        self._voice: Voice | None = None

    def set_faults(self, *texts: str) -> None:
        """Give later calls these faults, as on the command line; without any, none.

        Raises:
            FaultError: a text that cannot be used.
        """
        self.options = replace(self.options, faults=Faults.parse(texts))
        self._refusals = 0

    async def open_voice(self) -> None:
        """Open the voice and load its models, and those of its ear, so that the first call waits for neither.

        Raises:
            ModuleNotFoundError: the local voice is asked for and not installed.
        """
        self._voice = open_voice(self.options.voice, seed=self.options.seed)
        for engine in (self._voice, open_ear(self.options.voice)):
            if engine.blocking:
                await asyncio.to_thread(engine.warm)

    @property
    def voice(self) -> Voice:
        """The agent's voice, shared by all calls; open after the application's start-up."""
        if self._voice is None:
            raise RuntimeError("the simulator's voice is not open; run the application with its lifespan")
        return self._voice

    async def open_listener(self, encoding: str, rate: int) -> Listener:
        """Make an ear for one stream of this encoding and rate."""
        name = self.options.voice  # its models are loaded; its own detector takes a moment
        ear = await asyncio.to_thread(open_ear, name) if self.voice.blocking else open_ear(name)
        return Listener(ear, encoding, rate)

    def admit_agent(self, connection: HTTPConnection, agent_id: str) -> Credential:
        """Decide on the upgrade of an agent socket.

        Raises:
            ApiError: the HTTP refusal.
        """
        refusal = self.options.faults.refuse
        if refusal is not None and self._refuses(refusal):
            raise ApiError(refusal.status, "simulated refusal")
        credential = self.gate.admit(connection, grant="agent", versions=V1_VERSIONS)
        self.account.agent(agent_id)
        limit = self.options.max_sessions
        if limit is not None and len(self.sessions) >= limit:
            raise ApiError(429, f"{limit} agent calls are running, which is the limit")
        return credential

    def begin_call(self, agent_id: str) -> CallRecord:
        """Open the record of a new call."""
        call = CallRecord(f"ac_{next(self._numbers):08x}", agent_id, datetime.now(UTC))
        self.calls[call.id] = call
        return call

    def end_call(self, call: CallRecord, *, by: str, code: int, reason: str) -> None:
        """Close the record of a call and tell the feed."""
        call.end_time = datetime.now(UTC)
        call.status = "failed" if by == "server" and code != 1000 else "completed"
        call.error_message = reason if call.status == "failed" else None
        self.feed.publish("closed", call_id=call.id, by=by, code=code, reason=reason)

    def _refuses(self, refusal: Refusal) -> bool:
        self._refusals += 1
        return refusal.times is None or self._refusals <= refusal.times
