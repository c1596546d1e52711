"""The media stream's messages: what the bridge may send, checked as strictly as documented; what Twilio sends.

Source: twilio.com/docs/voice/media-streams/websocket-messages. Exactly the documented fields may be sent: an extra or
missing field, an unknown event or another stream's SID is warning 31951, a binary frame 31950.
"""

import base64
import binascii
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

BINARY = 31950
INVALID = 31951
_FILE_HEADERS = (b"RIFF", b".snd")


@dataclass(frozen=True, slots=True)
class Media:
    """Audio to play, raw mu-law; `complaint` when it is accepted but wrong (noise will be heard)."""

    data: bytes
    complaint: str = ""


@dataclass(frozen=True, slots=True)
class MarkSent:
    """Tell me when everything before this has been played."""

    name: str


@dataclass(frozen=True, slots=True)
class Clear:
    """Forget what is buffered."""


@dataclass(frozen=True, slots=True)
class Bad:
    """A message Twilio ignores, with its warning code."""

    code: int
    detail: str


def read_message(frame: str | bytes, stream_sid: str) -> Media | MarkSent | Clear | Bad:
    """Check one frame from the bridge."""
    if isinstance(frame, bytes):
        return Bad(BINARY, f"a binary frame of {len(frame)} bytes: expected JSON text")
    try:
        message = json.loads(frame)
    except json.JSONDecodeError as error:
        return Bad(INVALID, f"not JSON: {error}")
    if not isinstance(message, dict):
        return Bad(INVALID, f"a JSON {type(message).__name__}: expected an object")
    event = message.get("event")
    inner = {"media": "media", "mark": "mark", "clear": None}.get(event, "") if isinstance(event, str) else ""
    if inner == "":
        return Bad(INVALID, f"event {event!r}: expected media, mark or clear")
    expected = {"event", "streamSid"} | ({inner} if inner else set())
    if problem := _fields(message, expected, str(event)):
        return Bad(INVALID, problem)
    if message["streamSid"] != stream_sid:
        return Bad(INVALID, f"{event}: streamSid {message['streamSid']!r}: expected {stream_sid!r}")
    if event == "media":
        return _media(message["media"])
    return _mark(message["mark"]) if event == "mark" else Clear()


def _fields(value: Any, expected: set[str], where: str) -> str:
    if not isinstance(value, dict):
        return f"{where}: a JSON {type(value).__name__}: expected an object"
    extra, missing = sorted(set(value) - expected), sorted(expected - set(value))
    if extra or missing:
        found = [f"extra {', '.join(extra)}"] * bool(extra) + [f"missing {', '.join(missing)}"] * bool(missing)
        return f"{where}: {'; '.join(found)}"
    return ""


def _media(media: Any) -> Media | Bad:
    if problem := _fields(media, {"payload"}, "media.media"):
        return Bad(INVALID, problem)
    payload = media["payload"]
    if not isinstance(payload, str):
        return Bad(INVALID, f"media.media.payload: {type(payload).__name__}: expected a base64 string")
    try:
        data = base64.b64decode(payload, validate=True)
    except (binascii.Error, ValueError) as error:
        return Bad(INVALID, f"media.media.payload: bad base64: {error}")
    if not data:
        return Bad(INVALID, "media.media.payload: no audio in it")
    if data.startswith(_FILE_HEADERS):
        kind = data[:4].decode("ascii")
        return Media(data, f"media.media.payload begins with {kind!r}: expected raw mu-law without a file header")
    return Media(data)


def _mark(mark: Any) -> MarkSent | Bad:
    if problem := _fields(mark, {"name"}, "mark.mark"):
        return Bad(INVALID, problem)
    name = mark["name"]
    if not isinstance(name, str) or not name:
        return Bad(INVALID, f"mark.mark.name: {name!r}: expected a non-empty string")
    return MarkSent(name)


CONNECTED = json.dumps({"event": "connected", "protocol": "Call", "version": "1.0.0"})


class Composer:
    """Writes Twilio's side of one stream: string-typed counters, `sequenceNumber` from "1" at `start`."""

    def __init__(self, account_sid: str, call_sid: str, stream_sid: str) -> None:
        self.account_sid = account_sid
        self.call_sid = call_sid
        self.stream_sid = stream_sid
        self._sequence = 0
        self._chunk = 0

    def start(self, parameters: Mapping[str, str], media_format: Mapping[str, str | int]) -> str:
        """Compose `start`."""
        body = {
            "accountSid": self.account_sid,
            "streamSid": self.stream_sid,
            "callSid": self.call_sid,
            "tracks": ["inbound"],
            "mediaFormat": dict(media_format),
            "customParameters": dict(parameters),
        }
        return self._message("start", body)

    def media(self, data: bytes, timestamp: int) -> str:
        """Compose a frame of caller audio; `timestamp` in ms."""
        self._chunk += 1
        payload = base64.b64encode(data).decode("ascii")
        chunk = {"track": "inbound", "chunk": str(self._chunk), "timestamp": str(timestamp), "payload": payload}
        return self._message("media", chunk)

    def dtmf(self, digit: str) -> str:
        """Compose one pressed key; the track is the literal `inbound_track`, as documented."""
        return self._message("dtmf", {"track": "inbound_track", "digit": digit})

    def mark(self, name: str) -> str:
        """Compose the echo of a mark."""
        return self._message("mark", {"name": name})

    def stop(self) -> str:
        """Compose the end."""
        return self._message("stop", {"accountSid": self.account_sid, "callSid": self.call_sid})

    def _message(self, event: str, body: Mapping[str, object]) -> str:
        self._sequence += 1
        message = {"event": event, "sequenceNumber": str(self._sequence), "streamSid": self.stream_sid, event: body}
        return json.dumps(message, separators=(",", ":"))
