"""Every number of a call, for its record and its one canonical log line."""

from collections.abc import Mapping
from typing import Any

from archer_bridge.calls.core import CallCore
from archer_bridge.calls.downlink import Downlink
from archer_bridge.calls.playout import BYTES_PER_MS, Playout
from archer_bridge.calls.transcript import Transcript
from archer_bridge.calls.uplink import Uplink


def call_numbers(
    *,
    core: CallCore,
    downlink: Downlink,
    playout: Playout,
    uplink: Uplink,
    transcript: Transcript,
    tool_ms: list[float],
    fillers: int,
    now: float,
) -> Mapping[str, Any]:
    """Return the numbers as the record keeps them; milliseconds unless the name says otherwise."""
    responses = sorted(transcript.responses_ms)
    return {
        "first_heard_ms": transcript.first_heard_ms,
        "response_ms_median": round(responses[len(responses) // 2], 1) if responses else None,
        "response_ms_worst": round(responses[-1], 1) if responses else None,
        "bridge_ms_worst": round(max(transcript.added_ms), 1) if transcript.added_ms else None,
        "frames_in": uplink.frames,
        "frames_missing": uplink.missing,
        "gaps_filled_ms": uplink.filled_ms,
        "messages_out": downlink.messages,
        "agent_ms_accepted": round(playout.accepted / BYTES_PER_MS),
        "agent_ms_heard": round(playout.heard_total(now) / BYTES_PER_MS),
        "barge_ins": core.speech.barge_ins,
        "stale_frames": core.speech.stale_frames,
        "marks_sent": playout.marks_sent,
        "marks_played": playout.marks_played,
        "marks_flushed": playout.marks_flushed,
        "bad_frames": dict(core.bad_frames),
        "digits": core.digits,
        "fillers": fillers,
        "tools": len(tool_ms),
        "tool_ms_worst": round(max(tool_ms), 1) if tool_ms else None,
    }
