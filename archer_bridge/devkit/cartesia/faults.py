"""Faults the simulated agent socket can be told to have: one table of names, parameters and meanings."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from archer_bridge.errors import ArcherError


class FaultError(ArcherError):
    """A fault text that cannot be used; `text` is what was given."""

    code = "fault_error"

    def __init__(self, text: str, problem: str) -> None:
        super().__init__(text, problem)
        self.text = text
        self.problem = problem

    def __str__(self) -> str:
        return f"fault {self.text!r}: {self.problem}"


@dataclass(frozen=True, slots=True)
class Refusal:
    """Answer the upgrade with an HTTP status; `times` counts refused upgrades, None means all."""

    status: int
    times: int | None = None


@dataclass(frozen=True, slots=True)
class CloseAfter:
    """Close the socket `seconds` after `session_ready`."""

    seconds: float
    code: int = 1011
    reason: str = "agent failed"


@dataclass(frozen=True, slots=True)
class Faults:
    """Every fault of the agent socket; the default is a healthy one. Times count from `session_ready`."""

    refuse: Refusal | None = None
    never_ready: bool = False
    slow_ready_s: float = 0.0
    close_after: CloseAfter | None = None
    reset_after_s: float | None = None
    stall_after_s: float | None = None
    garbage_frame: bool = False
    binary_frame: bool = False
    big_frame_bytes: int = 0
    no_clear: bool = False
    late_chunks: int = 0
    double_clear: bool = False
    repeat_tool_call: bool = False
    unknown_tool: bool = False
    burst: bool = False
    oversized_events: bool = False
    odd_chunks: bool = False
    error_event: bool = False
    fatal_error_after_s: float | None = None

    @classmethod
    def parse(cls, texts: Iterable[str]) -> "Faults":
        """Read `NAME` or `NAME=VALUE` texts.

        Raises:
            FaultError: an unknown name (the error lists the known ones) or a value of the wrong form.
        """
        faults = cls()
        for text in texts:
            name, has_value, value = text.partition("=")
            spec = FAULTS.get(name)
            if spec is None:
                raise FaultError(text, f"no such fault; known are {', '.join(FAULTS)}")
            if spec.form is None and has_value:
                raise FaultError(text, "takes no value")
            if spec.form is not None and not has_value and spec.default is None:
                raise FaultError(text, f"needs a value: {spec.usage}")
            faults = replace(faults, **{spec.field: spec.value_of(text, value if has_value else None)})
        return faults


@dataclass(frozen=True, slots=True)
class FaultSpec:
    """One row of the table; `form` is the value's form, None for a plain switch."""

    name: str
    field: str
    doc: str
    form: str | None = None
    read: Callable[[str], Any] = bool
    default: str | None = None

    @property
    def usage(self) -> str:
        """How the fault is written on a command line."""
        if self.form is None:
            return self.name
        return f"{self.name}[={self.form}]" if self.default is not None else f"{self.name}={self.form}"

    def value_of(self, text: str, value: str | None) -> Any:
        """Read the value, or the default where none is given."""
        if self.form is None:
            return True
        try:
            return self.read(value if value is not None else self.default or "")
        except ValueError as problem:
            raise FaultError(text, f"{problem}; write {self.usage}") from problem


def _seconds(text: str) -> float:
    value = float(text)
    if not 0 <= value < float("inf"):
        raise ValueError(f"{text} is not a time in seconds")
    return value


def _count(text: str) -> int:
    value = int(text)
    if value < 1:
        raise ValueError(f"{text} is not a count of at least 1")
    return value


def _refusal(text: str) -> Refusal:
    status, _, times = text.partition(":")
    if not 400 <= int(status) <= 599:
        raise ValueError(f"{status} is not an HTTP error status")
    return Refusal(int(status), _count(times) if times else None)


def _close_after(text: str) -> CloseAfter:
    seconds, _, rest = text.partition(":")
    code, _, reason = rest.partition(":")
    number = int(code) if code else 1011
    if number not in {1000, 1001, *range(1007, 1015), *range(3000, 5000)}:
        raise ValueError(f"{number} is not a close code that may be sent")
    return CloseAfter(_seconds(seconds), number, reason or ("" if code else "agent failed"))


_TABLE = (
    FaultSpec("refuse", "refuse", "answer the upgrade with this HTTP status", "STATUS[:TIMES]", _refusal),
    FaultSpec("never-ready", "never_ready", "accept the socket, then never send session_ready"),
    FaultSpec("slow-ready", "slow_ready_s", "send session_ready this late", "SECONDS", _seconds),
    FaultSpec("close-after", "close_after", "close the socket mid-call", "SECONDS[:CODE[:REASON]]", _close_after),
    FaultSpec("reset-after", "reset_after_s", "reset the TCP connection mid-call", "SECONDS", _seconds),
    FaultSpec("stall-after", "stall_after_s", "stop sending but keep the socket open", "SECONDS", _seconds),
    FaultSpec("garbage-frame", "garbage_frame", "send a text frame that is not JSON"),
    FaultSpec("binary-frame", "binary_frame", "send a binary frame"),
    FaultSpec("big-frame", "big_frame_bytes", "send one frame of this size", "BYTES", _count, "1048576"),
    FaultSpec("no-clear", "no_clear", "do not send audio_output_clear on barge-in"),
    FaultSpec("late-chunks", "late_chunks", "send old audio after the clear", "COUNT", _count, "5"),
    FaultSpec("double-clear", "double_clear", "send audio_output_clear twice"),
    FaultSpec("repeat-tool-call", "repeat_tool_call", "send every client_tool_call twice with one id"),
    FaultSpec("unknown-tool", "unknown_tool", "call a tool nobody registered, once, at the start"),
    FaultSpec("burst", "burst", "deliver audio at once in every mode"),
    FaultSpec("oversized-events", "oversized_events", "put a whole sentence into one audio_output"),
    FaultSpec("odd-chunks", "odd_chunks", "cut audio into chunks of odd, changing sizes"),
    FaultSpec("error-event", "error_event", "send a non-fatal error event after session_ready"),
    FaultSpec("fatal-error", "fatal_error_after_s", "fail: fatal error event, close 1011", "SECONDS", _seconds, "0"),
)

FAULTS: Mapping[str, FaultSpec] = {spec.name: spec for spec in _TABLE}
