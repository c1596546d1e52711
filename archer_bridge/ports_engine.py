"""The voice AI end of a call, as a Protocol next to nobody's implementation: what it is told, and what it says."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import msgspec

from archer_bridge.models import ToolFinished, ToolRequest, ToolStatus, Turn


@dataclass(frozen=True, slots=True)
class EngineReady:
    """The engine takes audio from now on."""

    session_id: str


class EngineAudio(msgspec.Struct, frozen=True, gc=False):
    """Agent audio in the engine's format, with its base64 text for carrying over untouched."""

    data: bytes
    text: bytes


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


@dataclass(frozen=True, slots=True)
class EngineLost:
    """The session is gone, and another one is being opened: nothing follows of what was under way."""

    reason: str


EngineEvent = (
    EngineReady
    | EngineLost
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


@dataclass(frozen=True, slots=True)
class ToolMemory:
    """A tool that ran in the call."""

    tool: str
    status: ToolStatus
    result_json: str


@dataclass(frozen=True, slots=True)
class Recall:
    """What a new session must know of a call that it did not hear from its beginning."""

    turns: Sequence[Turn] = ()
    """What was said, as far as it was heard, in order."""
    tools: Sequence[ToolMemory] = ()
    """What ran, in order."""
    running: Sequence[str] = ()
    """Tools whose answer was not there yet."""
    last_turn: int = 0
    """The highest number of a turn so far: numbers go on from there."""
    same_tools: bool = True
    """What the tools proved in this call (who the caller is, what was offered) still holds for them."""


class Memory(Protocol):
    """What the call can tell its engine when a session broke off."""

    def wants_more(self) -> bool:
        """Whether the call would go on with another session."""

    def recall(self) -> Recall:
        """Return what there is to know now."""


class Engine(Protocol):
    """The voice AI end of a call. The call does not know which one it is."""

    @property
    def format_name(self) -> str:
        """The audio format both ways, as text (`mulaw/8000/1`)."""

    async def run(self, on_event: Callable[[EngineEvent], None], memory: Memory) -> Closed:
        """Connect, then call `on_event` for everything the engine sends, until it closes for good.

        A session that breaks off is followed by another one, `EngineLost` and `EngineReady` in between, while
        `memory` wants it.

        Raises:
            EngineError: it could not be reached, or refused; at first, or after a loss.
        """

    def restart(self, reason: str) -> bool:
        """Give the present session up for another one; False when there will be none."""

    def send_audio(self, data: bytes, text: bytes | None) -> None:
        """Hand over caller audio in the engine's format; `text` is its base64 form, when there is one."""

    def send_digit(self, digit: str) -> None:
        """Hand over one key press."""

    def send_tool_result(self, finished: ToolFinished) -> None:
        """Answer a tool call, once."""

    async def close(self) -> None:
        """End the engine's side; safe to call at any time."""
