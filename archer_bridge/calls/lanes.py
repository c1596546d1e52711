"""Express lanes: nearly every frame goes from one socket to the other without a line of Python.

A lane carries a plain frame: one that does no more than count, in a call of which nothing else is going on. It leaves
every other frame as it came, before anything has changed; then the core, the uplink and the downlink have the word, as
they have for every frame where no C compiler was. What both must know is in an `Inflow` and an `Outflow`, which are
theirs together, so that there is nothing to reconcile. A lane is opened by the core, after a message that it took
itself, when nothing stands in the way, and closed by whatever might.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, Protocol

try:
    from archer_bridge.calls import _lanes as kernel
except ImportError:
    kernel = None  # type: ignore[assignment]

KERNEL_VERSION: Final = 2
"""A kernel compiled from another source is left alone."""
NEVER: Final = float("-inf")
"""The time of what has not happened."""

Convert = Callable[[bytes], bytes]


@dataclass(slots=True)
class Inflow:
    """Caller audio so far. `*_ms` lie on the timeline of Twilio's stream, `*_at` on the call's clock (s)."""

    frames: int = 0
    missing: int = 0
    """Messages that never came, by sequence number."""
    last_ms: int = 0
    last_at: float = 0.0
    offset: float = float("inf")
    """Where Twilio's timeline lies on our clock, as the fastest frame so far tells."""
    next_ms: float = 0.0
    """Where the next frame is expected; of no meaning before the first one."""
    ahead_ms: int = 0
    """Silence sent since the last frame, in place of frames that may still come."""
    voiced_until_ms: float = NEVER
    """The end of the last voiced frame."""


@dataclass(slots=True)
class Outflow:
    """Agent audio so far: bytes of mu-law, and seconds of the call's clock."""

    accepted: int = 0
    """Taken over from the engine."""
    sent: int = 0
    """Handed to Twilio's socket."""
    acknowledged: int = 0
    """Everything before this position is proved heard, or was flushed."""
    marked: int = 0
    """The position of the last mark."""
    messages: int = 0
    """Media messages sent."""
    trip_s: float = 0.0
    """One way, half of the fastest round trip; 0 until the first echo."""
    careful_trip_s: float = 0.0
    """The same, with more than was ever seen assumed until then."""
    zero: float = 0.0
    """The pacing clock: a position was played no earlier than this plus its own length."""
    ends: float = 0.0
    """When what was sent has been played, by the careful clock."""
    accepted_at: float = NEVER
    """When the engine last gave audio."""
    sent_at: float = NEVER
    """When audio was last sent."""


class CallerLane(Protocol):
    """The caller's frames on their way to the engine."""

    is_open: bool
    """Whether frames are taken."""

    def take(self, data: bytes, text: bytes, timestamp_ms: int, /) -> bool:
        """Carry over a frame of mu-law and its base64 form; False: it was left."""


class EngineLane(Protocol):
    """The engine's audio on its way to the caller."""

    is_open: bool
    """Whether audio is taken."""
    converts: tuple[Convert, ...]
    """What audio goes through, one after the other; nothing when its base64 form is passed on untouched."""

    @property
    def taken(self) -> int:
        """How many events were taken, and not given to somebody else."""

    def take(self, event: Any, /) -> None:
        """Take an event of the engine's, or give it to who takes all the others."""


def _none(*_: Any) -> None:
    return None


is_compiled: Final = kernel is not None and kernel.VERSION == KERNEL_VERSION
make_inflow: Callable[[], Inflow] = kernel.Inflow if is_compiled else Inflow
make_outflow: Callable[[], Outflow] = kernel.Outflow if is_compiled else Outflow
make_caller_lane: Callable[..., CallerLane | None] = kernel.CallerLane if is_compiled else _none
make_engine_lane: Callable[..., EngineLane | None] = kernel.EngineLane if is_compiled else _none
