"""What all calls of this process came to: sums that the metrics are made from. Nothing here names a caller."""

from collections import Counter, defaultdict

from archer_bridge.models import CallEnd, Turn
from archer_bridge.tally import MINUTES, Tally


class CallTotals:
    """Sums over ended calls, heard turns and answered tools."""

    def __init__(self) -> None:
        self.ended: Counter[str] = Counter()
        """Calls by outcome: those that had a stream, and those whose stream never came."""
        self.seconds = Tally(MINUTES)
        self.first_audio = Tally()
        """From the stream's start to the first word heard."""
        self.caller_gaps = Tally()
        """Seconds of caller audio missing, a call that missed any."""
        self.turns: defaultdict[str, Tally] = defaultdict(Tally)
        """Seconds from the caller's last word to the answer's first, by stage."""
        self.frames: Counter[str] = Counter()
        self.dropped: Counter[str] = Counter()
        self.sequence_gaps = 0
        self.reconnects = 0
        """Engine sessions opened again in the middle of a call."""
        self.tools: defaultdict[tuple[str, str], Tally] = defaultdict(Tally)
        """Seconds to a tool's answer, by tool and status."""

    def call_ended(self, end: CallEnd) -> None:
        """Add one ended call."""
        self.ended[end.outcome.value] += 1
        if end.duration_ms is not None:  # else no stream ever lived
            self.seconds.observe(end.duration_ms / 1000)
        numbers = end.numbers
        if (heard_ms := numbers.get("first_heard_ms")) is not None:
            self.first_audio.observe(heard_ms / 1000)
        if filled_ms := numbers.get("gaps_filled_ms"):
            self.caller_gaps.observe(filled_ms / 1000)
        self.frames["in"] += numbers.get("frames_in", 0)
        self.frames["out"] += numbers.get("messages_out", 0)
        self.reconnects += numbers.get("engine_resumed", 0)
        self.sequence_gaps += numbers.get("frames_missing", 0)
        self.dropped["stale"] += numbers.get("stale_frames", 0)
        for reason, count in numbers.get("bad_frames", {}).items():
            self.dropped[reason] += count

    def turn_heard(self, turn: Turn) -> None:
        """Add one turn; only an answer to the caller has latencies."""
        for stage, took_ms in (("total", turn.response_ms), ("agent", turn.engine_ms), ("bridge", turn.bridge_ms)):
            if took_ms is not None:
                self.turns[stage].observe(took_ms / 1000)

    def tool_answered(self, tool: str, status: str, seconds: float) -> None:
        """Add one answer of a tool that is enabled."""
        self.tools[tool, status].observe(seconds)
