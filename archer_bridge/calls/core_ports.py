"""Who listens to a call's core: a recording to its audio, the session to everything that is not audio."""

from typing import Protocol

from archer_bridge.ports import EngineFault, ToolCalled
from archer_bridge.protocols.twilio_media import Audio


class Tap(Protocol):
    """Listens to both sides' audio, for a recording."""

    def caller(self, audio: Audio, now: float) -> None:
        """Caller audio arrived."""

    def agent(self, start: int, audio: bytes) -> None:
        """Agent audio was accepted at ledger position `start`."""

    def cut(self, position: int, now: float) -> None:
        """Agent audio from `position` on was flushed."""


class CoreListener(Protocol):
    """What a call does outside its core; every method returns at once."""

    def stream_stopped(self) -> None:
        """Twilio said that the stream is over."""

    def too_many_bad_frames(self, reason: str) -> None:
        """The caller's side sends nothing usable any more."""

    def engine_ready(self, session_id: str) -> None:
        """The agent listens."""

    def engine_lost(self, reason: str) -> None:
        """The agent's session broke off, and another one is being opened."""

    def tool_called(self, event: ToolCalled) -> None:
        """The agent asks for a tool."""

    def barged_in(self, flushed_ms: float) -> None:
        """The caller interrupted; this much agent audio was taken back."""

    def engine_digit(self, digit: str) -> None:
        """The agent wants a key pressed on the phone line."""

    def engine_fault(self, event: EngineFault) -> None:
        """The engine complained."""

    def wrong_format(self, side: str, evidence: str) -> None:
        """Audio of one side (`caller`, `engine`) is not what was promised; the call goes on."""
