"""Who listens to a call's core: a recording to its audio, the session to everything that is not audio."""

from collections.abc import Callable
from typing import Final, Protocol

from archer_bridge.ports import EngineFault, ToolCalled

CALLER: Final = 0
AGENT: Final = 1
Piece = tuple[int, int, bytes, float]
"""Audio of one side: `CALLER`, the timestamp (ms) of Twilio's stream, mu-law, when its first sample was on the line; or
`AGENT`, the ledger position it was accepted at, mu-law, when its first sample plays, at the earliest."""
Note = Callable[[Piece], None]


class Tap(Protocol):
    """Listens to both sides' audio, for a recording."""

    @property
    def note(self) -> Note:
        """What takes each piece; must return at once, for it is called with every frame."""

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
