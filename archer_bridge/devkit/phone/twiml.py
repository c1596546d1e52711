"""TwiML as the phone understands it: a document becomes verbs and a list of what Twilio would warn about.

An unknown verb or attribute, a bad value or a child in the wrong place is Twilio's schema warning 12200: it is noted,
the offending part is skipped, and the rest of the document is executed (twilio.com/docs/api/errors/12200). What is
wrong with a `<Stream>` itself makes the stream fail when it is executed; see `stream_problem`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import urlsplit

from archer_bridge.devkit.phone.errors import TwimlError
from archer_bridge.devkit.phone.verbs import (
    Connect,
    Dial,
    Hangup,
    Pause,
    Play,
    Redirect,
    Reject,
    Say,
    Stream,
    Verb,
)
from archer_bridge.devkit.phone.xml import Element, read_xml

MAX_PARAMETER = 500
"""`<Parameter>` name and value together stay under this (twilio.com/docs/voice/twiml/stream)."""


@dataclass(frozen=True, slots=True)
class Document:
    """What to execute, in order, and Twilio's warnings about the rest as (code, detail)."""

    verbs: tuple[Verb, ...]
    warnings: tuple[tuple[int, str], ...]


_ATTRIBUTES: dict[str, frozenset[str]] = {
    "Response": frozenset(),
    "Say": frozenset({"voice", "language", "loop"}),
    "Play": frozenset({"digits", "loop"}),
    "Pause": frozenset({"length"}),
    "Connect": frozenset({"action", "method"}),
    "Stream": frozenset({"url", "name", "track", "statusCallback", "statusCallbackMethod"}),
    "Parameter": frozenset({"name", "value"}),
    "Dial": frozenset({"action", "method", "timeout", "callerId", "timeLimit", "answerOnBridge", "record"}),
    "Number": frozenset({"url", "method", "statusCallback", "statusCallbackEvent", "statusCallbackMethod"}),
    "Redirect": frozenset({"method"}),
    "Hangup": frozenset(),
    "Reject": frozenset({"reason"}),
}
_CHILDREN: dict[str, frozenset[str]] = {
    "Response": frozenset({"Say", "Play", "Pause", "Connect", "Dial", "Redirect", "Hangup", "Reject"}),
    "Connect": frozenset({"Stream"}),
    "Stream": frozenset({"Parameter"}),
    "Dial": frozenset({"Number"}),
}
_METHODS = ("GET", "POST")


class _Reader:
    """Turns elements into verbs, collecting warnings."""

    def __init__(self) -> None:
        self.warnings: list[tuple[int, str]] = []

    def warn(self, detail: str, code: int = 12200) -> None:
        self.warnings.append((code, detail))

    def check(self, element: Element) -> None:
        """Warn about unknown attributes and children, and drop those children."""
        allowed = _CHILDREN.get(element.name, frozenset())
        for name in sorted(set(element.attributes) - _ATTRIBUTES[element.name]):
            self.warn(f"<{element.name}> has no attribute {name!r}")
        for child in element.children:
            if child.name not in allowed:
                expected = ", ".join(sorted(allowed)) or "nothing"
                self.warn(f"<{child.name}> is not allowed in <{element.name}>: expected {expected}")
        element.children = [child for child in element.children if child.name in allowed]
        for child in element.children:
            self.check(child)

    def number(self, element: Element, name: str, default: int, low: int = 0) -> int:
        text = element.attributes.get(name, str(default))
        if text.isdecimal() and int(text) >= low:
            return int(text)
        self.warn(f"<{element.name} {name}={text!r}>: expected a whole number from {low}")
        return default

    def choice(self, element: Element, name: str, allowed: tuple[str, ...], default: str) -> str:
        text = element.attributes.get(name, default)
        if text in allowed:
            return text
        self.warn(f"<{element.name} {name}={text!r}>: expected one of {', '.join(allowed)}")
        return default

    def say(self, element: Element) -> Verb | None:
        text = " ".join(element.text.split())
        if not text:
            self.warn("<Say> has no text", 13520)
            return None
        return Say(text, self.number(element, "loop", 1))

    def play(self, element: Element) -> Verb | None:
        digits = element.attributes.get("digits", "")
        if not digits or set(digits) - set("0123456789*#ABCDwW"):
            self.warn(f"<Play digits={digits!r}>: only digits (0-9 * # A-D, w to wait) are played here")
            return None
        return Play(digits)

    def pause(self, element: Element) -> Verb | None:
        return Pause(self.number(element, "length", 1, 1))

    def connect(self, element: Element) -> Verb | None:
        if len(element.children) != 1:
            self.warn(f"<Connect> has {len(element.children)} nouns: expected one <Stream>")
            return None
        stream = self.stream(element.children[0])
        method = self.choice(element, "method", _METHODS, "POST")
        return Connect(stream, element.attributes.get("action", ""), method)

    def stream(self, element: Element) -> Stream:
        parameters: dict[str, str] = {}
        for child in element.children:
            name, value = child.attributes.get("name", ""), child.attributes.get("value", "")
            if not name or len(name) + len(value) >= MAX_PARAMETER:
                detail = (
                    f"name and value have {len(name) + len(value)} characters: expected a name and < {MAX_PARAMETER}"
                )
                self.warn(f"<Parameter name={name!r}>: {detail}")
                continue
            parameters[name] = value
        callback = element.attributes.get("statusCallback", "")
        if callback and urlsplit(callback).scheme not in {"http", "https"}:
            self.warn(f"<Stream statusCallback={callback!r}>: expected an absolute URL")
            callback = ""
        return Stream(
            element.attributes.get("url", "").strip(),
            parameters,
            status_callback=callback,
            status_method=self.choice(element, "statusCallbackMethod", _METHODS, "POST"),
            name=element.attributes.get("name", ""),
            track=element.attributes.get("track", "inbound_track"),
        )

    def dial(self, element: Element) -> Verb | None:
        numbers = [child.text.strip() for child in element.children] or [element.text.strip()]
        if not numbers[0]:
            self.warn("<Dial> has no number", 13223)
            return None
        method = self.choice(element, "method", _METHODS, "POST")
        timeout_s = self.number(element, "timeout", 30, 1)
        return Dial(numbers[0], element.attributes.get("action", ""), method, timeout_s)

    def redirect(self, element: Element) -> Verb | None:
        return Redirect(element.text.strip(), self.choice(element, "method", _METHODS, "POST"))

    def hangup(self, element: Element) -> Verb | None:
        return Hangup()

    def reject(self, element: Element) -> Verb | None:
        return Reject(self.choice(element, "reason", ("rejected", "busy"), "rejected"))


_VERBS: dict[str, Callable[[_Reader, Element], Verb | None]] = {
    "Say": _Reader.say,
    "Play": _Reader.play,
    "Pause": _Reader.pause,
    "Connect": _Reader.connect,
    "Dial": _Reader.dial,
    "Redirect": _Reader.redirect,
    "Hangup": _Reader.hangup,
    "Reject": _Reader.reject,
}


def read_twiml(text: str | bytes) -> Document:
    """Read a document.

    Raises:
        TwimlError: 12100, not XML; 12102, the root is not `<Response>`.
    """
    root = read_xml(text)
    if root.name != "Response":
        raise TwimlError(12102, f"the root element is <{root.name}>: expected <Response>")
    reader = _Reader()
    reader.check(root)
    verbs = (_VERBS[child.name](reader, child) for child in root.children)
    return Document(tuple(verb for verb in verbs if verb is not None), tuple(reader.warnings))


def stream_problem(stream: Stream, url: str) -> tuple[int, str] | None:
    """Why Twilio would not open this stream, as (code, detail); `url` is the absolute form of its URL."""
    parts = urlsplit(url)
    if stream.track != "inbound_track":
        return 31941, f"<Stream track={stream.track!r}>: only inbound_track is possible under <Connect>"
    if parts.scheme != "wss" or not parts.hostname:
        return 31922, f"<Stream url={url!r}>: expected a wss:// URL"
    if parts.query:
        return 31920, f"<Stream url={url!r}>: a query string is not supported, use <Parameter>"
    return None
