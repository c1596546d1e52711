"""The log: events, not prose. snake_case names, facts as keys, one line each, whatever a fact contains.

`EVENTS` lists every event with its levels and meaning; docs/logs.md is the same list for operators, and a test compares
both with the code. Every line of a call has its call_sid; `call_ended` is the one canonical line with every number.
A log that cannot be written at once (full disk, closed pipe, stalled reader) loses lines, never a call.
"""

import json
import logging
import select
import sys
from collections.abc import MutableMapping
from typing import Any

if "rich" not in sys.modules and "structlog" not in sys.modules:
    # structlog imports rich where it is installed, and with it pygments: 5 MiB for tracebacks nobody wants here.
    sys.modules["rich"] = None  # type: ignore[assignment]  # "not installed"
    import structlog

    del sys.modules["rich"]
else:
    import structlog

from archer_bridge.log_events import EVENTS
from archer_bridge.redaction import redact_item

__all__ = ["EVENTS", "configure", "is_debug"]

FIRST = ("ts", "level", "event", "call_sid", "stream_sid")
"""Keys that a JSON line begins with."""

NEVER_SECRET = frozenset({"ts", "level", "call_sid", "stream_sid"})
"""Made here, or checked ids: the only facts that are not searched for secrets."""

PIECE = 1000
"""Characters written at once: 4000 bytes at most, which a pipe that has any room takes without waiting (pipe(7))."""

_level = logging.INFO


def is_debug() -> bool:
    """Whether raw messages are wanted; asked once a call, when its sockets are put together."""
    return _level <= logging.DEBUG


def configure(*, level: str = "info", style: str = "auto", stream: Any = None) -> None:
    """Set the process's log up; `style` is json, console, or auto: console on a terminal."""
    global _level
    _level = logging.getLevelNamesMapping()[level.upper()]
    out = Out(stream or sys.stderr)
    is_console = style == "console" or (style == "auto" and out.isatty())
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="ts"),
    ]
    rendering: list[Any] = [structlog.processors.format_exc_info, redacted]
    if is_console:  # plain tracebacks: the pretty ones print local variables, secrets and all
        console = structlog.dev.ConsoleRenderer(
            colors=out.isatty(), timestamp_key="ts", exception_formatter=structlog.dev.plain_traceback
        )
        rendering += [_printable, console]
    else:
        rendering.append(render_json)
    structlog.configure(
        processors=[*shared, *rendering],
        wrapper_class=structlog.make_filtering_bound_logger(_level),
        logger_factory=structlog.WriteLoggerFactory(file=out),  # type: ignore[arg-type]  # it uses write and flush
        cache_logger_on_first_use=True,
    )
    # Libraries that log through the standard library: warnings and worse, in the same shape. Twilio's client and
    # uvicorn's access log would print phone numbers.
    formatter = structlog.stdlib.ProcessorFormatter(
        processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *rendering],
        foreign_pre_chain=[*shared, structlog.stdlib.ExtraAdder(allow=())],
    )
    handler = logging.StreamHandler(out)
    handler.setFormatter(formatter)
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(max(_level, logging.WARNING))
    logging.captureWarnings(True)


class Out:
    """A text stream whose trouble is its own: lines that cannot be written at once are counted and lost.

    A pipe whose reader stalls would otherwise stop the event loop, and every call with it.
    """

    def __init__(self, stream: Any) -> None:
        self.lost = 0
        self._stream = stream
        self._poll = _room_of(stream)
        self._is_torn = False
        """The beginning of a line was written, and its end was not."""

    def write(self, text: str) -> int:
        """Write, if possible; characters the stream's encoding lacks are escaped."""
        try:
            encoding = getattr(self._stream, "encoding", None) or "utf-8"
            whole = text.encode(encoding, "backslashreplace").decode(encoding)
            for start in range(0, len(whole), PIECE):
                if self._poll is not None and not self._poll.poll(0):
                    self.lost += 1
                    self._is_torn = self._is_torn or start > 0
                    break
                piece = whole[start : start + PIECE]
                self._stream.write(f"\n{piece}" if self._is_torn else piece)
                self._stream.flush()
                self._is_torn = False
        except (OSError, ValueError):  # ValueError: closed
            self.lost += 1
        return len(text)

    def flush(self) -> None:
        """Flush, if possible."""
        try:
            self._stream.flush()
        except (OSError, ValueError):
            self.lost += 1

    def isatty(self) -> bool:
        """Whether a person reads it."""
        return bool(getattr(self._stream, "isatty", lambda: False)())


def _room_of(stream: Any) -> "select.poll | None":
    """Return what tells whether a write of one piece would be taken at once; None for what is no descriptor."""
    try:
        poll = select.poll()  # not everywhere: https://docs.python.org/3/library/select.html#select.poll
        poll.register(stream.fileno(), select.POLLOUT)
    except (AttributeError, OSError, ValueError):
        return None
    return poll


def redacted(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Take secrets out of every fact, rendered exceptions included; runs only for lines that are written."""
    for key, value in event.items():
        if key not in NEVER_SECRET:
            event[key] = redact_item(key, value, show=_shown)
    return event


def render_json(_: Any, __: str, event: MutableMapping[str, Any]) -> str:
    """Return one line of strict JSON (ASCII, no NaN), the keys everybody looks for first."""
    ordered = {key: event.pop(key) for key in FIRST if key in event} | dict(event)
    try:
        return _STRICT.encode(ordered)
    except (ValueError, TypeError, RecursionError):  # NaN, a key that is no text, a circle
        return json.dumps({str(key): _shown(value) for key, value in ordered.items()})


def _shown(value: Any) -> str:
    if isinstance(value, str):
        return value
    try:
        return repr(value)
    except Exception as error:  # the value's own code failed: that is no reason to lose the line
        return f"<{type(value).__name__}, whose repr raised {type(error).__name__}>"


_STRICT = json.JSONEncoder(default=_shown, allow_nan=False)


def _printable(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Escape what could move the cursor of a terminal or fake a line on it; tracebacks keep theirs."""
    for key, value in event.items():
        if isinstance(value, str) and not value.isprintable():
            lines = value.split("\n") if key == "exception" else [value]
            event[key] = "\n".join(line.encode("unicode_escape").decode("ascii") for line in lines)
    return event
