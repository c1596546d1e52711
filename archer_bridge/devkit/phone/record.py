"""What one call leaves behind, collected while it runs and frozen into a `CallReport`."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from archer_bridge.devkit.phone.line import Line
from archer_bridge.devkit.phone.report import (
    CallerTurn,
    CallReport,
    EndedBy,
    RequestTrace,
    StreamReport,
    Violation,
)
from archer_bridge.devkit.phone.tape import SAMPLES_PER_MS


@dataclass(slots=True)
class Record:
    """The call's notebook."""

    line: Line
    requests: list[RequestTrace] = field(default_factory=list)
    """With `at_ms` in the loop's own time; made relative to the answer by `freeze`."""
    violations: list[Violation] = field(default_factory=list)
    twiml: list[str] = field(default_factory=list)
    verbs: list[str] = field(default_factory=list)
    streams: list[StreamReport] = field(default_factory=list)
    turns: list[CallerTurn] = field(default_factory=list)
    pressed: list[tuple[float, str]] = field(default_factory=list)
    statuses: list[Mapping[str, str]] = field(default_factory=list)
    stream_events: list[Mapping[str, str]] = field(default_factory=list)
    ended_by: EndedBy = "bridge"
    end_detail: str = ""
    script_error: str = ""

    def violation(self, code: int, detail: str) -> None:
        """Note what the bridge did wrong."""
        self.violations.append(Violation(code, detail, self.line.clock.now_ms()))
        self.line.emit("violation", f"{code} {detail}")

    def verb(self, name: str) -> None:
        """Note that a verb is being executed."""
        self.verbs.append(name)
        self.line.emit("twiml", name)

    def ended(self, by: EndedBy, detail: str = "") -> None:
        """Note why the call ended."""
        self.ended_by, self.end_detail = by, detail

    def freeze(self, call_sid: str, from_number: str, to_number: str) -> CallReport:
        """Make the report; the line has been stopped."""
        line, end = self.line, self.line.end
        duration_ms = end / SAMPLES_PER_MS
        origin_ms = line.clock.origin_s * 1000.0
        return CallReport(
            call_sid=call_sid,
            from_number=from_number,
            to_number=to_number,
            ended_by=self.ended_by,
            end_detail=self.end_detail,
            duration_ms=duration_ms,
            heard=line.heard.read(0, end),
            said=line.said.read(0, end),
            streams=tuple(self.streams),
            turns=tuple(replace(t, end_ms=min(t.end_ms, duration_ms)) for t in self.turns if t.start_ms < duration_ms),
            pressed=tuple(self.pressed),
            violations=tuple(self.violations),
            twiml=tuple(self.twiml),
            requests=tuple(replace(trace, at_ms=trace.at_ms - origin_ms) for trace in self.requests),
            statuses=tuple(self.statuses),
            stream_events=tuple(self.stream_events),
            verbs=tuple(self.verbs),
            script_error=self.script_error,
        )


def loop_ms() -> float:
    """The running loop's time in ms."""
    return asyncio.get_running_loop().time() * 1000.0
