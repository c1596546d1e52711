"""How a simulator is set up, and the two ways to give its agent another mind."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from archer_bridge.devkit.cartesia.faults import Faults
from archer_bridge.devkit.dialogue import Action, ArcherDialogue

if TYPE_CHECKING:
    from archer_bridge.devkit.cartesia.agent_link import AgentLink

DEFAULT_API_KEY = "sk_car_simulator"


class AgentBrain(Protocol):
    """Decides what the agent says and does. Called in the event loop; must not block."""

    def open(self) -> list[Action]:
        """Return what the agent does when the session is ready."""

    def heard(self, text: str) -> list[Action]:
        """Return what it does when the caller said `text` ("" when it was unintelligible)."""

    def pressed(self, digits: str) -> list[Action]:
        """Return what it does when the caller typed `digits` (ended by # or a pause; # not included)."""

    def tool_result(self, name: str, result: str, is_error: bool) -> list[Action]:
        """Return what it does when a tool it called has answered, failed or timed out."""


MakeBrain = Callable[[Mapping[str, str | int | float | bool]], AgentBrain]
RawSession = Callable[["AgentLink"], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class SimulatorOptions:
    """Settings of one simulator; the default behaves as the vendor documents.

    `agent` makes the mind of one call from its dynamic variables. `raw_session` replaces the agent
    altogether: it gets each accepted socket before anything was exchanged, and the call ends when it
    returns. `any_tool` lets the agent call tools that are not attached to it.
    """

    voice: str = "auto"
    api_key: str = DEFAULT_API_KEY
    agent: MakeBrain = ArcherDialogue
    raw_session: RawSession | None = None
    faults: Faults = field(default_factory=Faults)
    any_tool: bool = False
    seed: int = 0
    # agent socket
    max_sessions: int | None = None  # above it: 429 concurrency_limited
    first_event_s: float = 10.0
    ready_s: float = 0.05  # from session_create to session_ready; audio sent meanwhile is dropped
    idle_s: float = 120.0  # without a valid client event
    chunk_ms: float = 40.0
    lead_ms: float = 160.0  # how far speaking_pace runs ahead of the ear
    thinking_s: float = 0.0  # silence before the agent answers
    digits_pause_s: float = 2.0
    clear_when_silent: bool = False  # audio_output_clear although nothing plays
    end_turn_before_hangup: bool = False  # the vendor closes mid-turn, without turn_ended
    unknown_events: bool = False  # event types nobody has documented yet
    unknown_fields: bool = False  # fields nobody has documented yet
    # speech to text and text to speech
    tts_speed: float = 8.0  # audio seconds made in one second
    tts_idle_s: float = 300.0
    tts_concurrency: int | None = None  # active contexts; above it: 429 event
    tts_context_expiry_s: float = 1.0
    stt_idle_s: float = 180.0  # the manual socket; none is documented for turns
    stt_eager_end: bool = True
