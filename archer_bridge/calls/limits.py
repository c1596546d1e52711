"""What bounds one call."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class CallLimits:
    """A call's timers, in seconds, and sizes; see [calls] and [audio] in config.toml."""

    idle_timeout_s: float = 20.0
    max_duration_s: float = 3300.0
    bad_frames_in_a_row: int = 50
    goodbye_wait_s: float = 20.0
    dead_air_s: float = 4.0
    lead_ms: int = 400
    mark_every_ms: int = 400
