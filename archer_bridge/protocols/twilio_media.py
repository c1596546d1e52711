"""Twilio Media Streams, the bidirectional kind, seen from the server. Sans-I/O.

Theory of operation. Twilio opens the socket and sends JSON text messages: `connected`, `start`, then any of
`media`, `dtmf`, `mark`, at last `stop`, which may never come. Numbers in them are strings. `MediaStream.receive`
takes one message and returns one event; what breaks the protocol raises `BadFrame`, which never ends a call by
itself. We may send `media`, `mark` and `clear`, only after `start`, with exactly the documented fields: Twilio
answers an extra field with warning 31951.

On `clear`, Twilio empties its buffer and echoes every outstanding mark, so an echo means "played or discarded";
the playout ledger tells the two apart by the generation in the mark's name.

https://www.twilio.com/docs/voice/media-streams/websocket-messages
"""

from collections.abc import Callable, Mapping
from enum import Enum, auto
from typing import Final

import msgspec
import pybase64

from archer_bridge.errors import LocalProtocolError
from archer_bridge.protocols.frames import BadFrame
from archer_bridge.protocols.scan import Receive, Send, Take, make_sequence, media_sink, open_sender, twilio_media

ENCODING: Final = "audio/x-mulaw"
FRAME_MS: Final = 20
"""What Twilio sends; observed, not promised: any length is accepted."""


class MediaFormat(msgspec.Struct, frozen=True, rename="camel"):
    """The stream's audio format; documented as always mu-law 8000 Hz mono, and checked."""

    encoding: str
    sample_rate: int
    channels: int


class StartBody(msgspec.Struct, frozen=True, rename="camel"):
    """What `start` says about the stream; nothing in it is believed but the token."""

    account_sid: str
    call_sid: str
    stream_sid: str
    media_format: MediaFormat
    tracks: list[str] = []
    custom_parameters: dict[str, str] = {}


class MediaBody(msgspec.Struct, frozen=True):
    """One piece of the caller's audio, still in base64."""

    payload: str
    timestamp: str | int = "0"
    chunk: str | int = "0"
    track: str = "inbound"


class DtmfBody(msgspec.Struct, frozen=True):
    """One key that the caller pressed."""

    digit: str
    track: str = ""


class MarkBody(msgspec.Struct, frozen=True):
    """A mark's name, as we sent it."""

    name: str


class Connected(msgspec.Struct, frozen=True, tag_field="event", tag="connected"):
    """First message of the socket; its version is not gated on."""

    protocol: str = ""
    version: str = ""


class Start(msgspec.Struct, frozen=True, tag_field="event", tag="start", rename="camel"):
    """The stream begins; from here on we may send."""

    stream_sid: str
    start: StartBody
    sequence_number: str | int = "0"


class Media(msgspec.Struct, frozen=True, tag_field="event", tag="media", rename="camel"):
    """Caller audio."""

    stream_sid: str
    media: MediaBody
    sequence_number: str | int = "0"


class Dtmf(msgspec.Struct, frozen=True, tag_field="event", tag="dtmf", rename="camel"):
    """A key press."""

    stream_sid: str
    dtmf: DtmfBody
    sequence_number: str | int = "0"


class Mark(msgspec.Struct, frozen=True, tag_field="event", tag="mark", rename="camel"):
    """The echo of a mark: everything before it was played, or discarded by a `clear`."""

    stream_sid: str
    mark: MarkBody
    sequence_number: str | int = "0"


class Stop(msgspec.Struct, frozen=True, tag_field="event", tag="stop", rename="camel"):
    """The stream is over; may never arrive."""

    stream_sid: str
    sequence_number: str | int = "0"


class Audio(msgspec.Struct, frozen=True, gc=False):
    """Decoded caller audio, with its base64 text for carrying over untouched."""

    data: bytes
    """Raw mu-law, at least one byte."""
    text: bytes
    """The same in base64."""
    timestamp_ms: int
    """Since the start of the stream, by Twilio's clock; may jump where Twilio discarded audio."""
    missing: int
    """Messages lost just before this one, by the sequence number."""


class Unknown(msgspec.Struct, frozen=True):
    """An event this version does not know: ignored."""

    event: str


class _Envelope(msgspec.Struct):
    event: str


Event = Connected | Start | Audio | Dtmf | Mark | Stop | Unknown

_Message = Connected | Start | Media | Dtmf | Mark | Stop
_decode: Callable[[str | bytes], _Message] = msgspec.json.Decoder(_Message).decode
_decode_envelope = msgspec.json.Decoder(_Envelope).decode
_encode = msgspec.json.encode
_KNOWN = frozenset({"connected", "start", "media", "dtmf", "mark", "stop"})
_DIGITS = frozenset("0123456789*#ABCD")


class State(Enum):
    """Where the stream is."""

    CONNECTING = auto()
    WAITING_FOR_START = auto()
    STREAMING = auto()
    STOPPED = auto()


TRANSITIONS: Mapping[tuple[State, type], State] = {
    (State.CONNECTING, Connected): State.WAITING_FOR_START,
    (State.CONNECTING, Start): State.STREAMING,  # tolerated: `connected` carries nothing we need
    (State.WAITING_FOR_START, Connected): State.WAITING_FOR_START,
    (State.WAITING_FOR_START, Start): State.STREAMING,
    (State.STREAMING, Connected): State.STREAMING,
    (State.STREAMING, Media): State.STREAMING,
    (State.STREAMING, Dtmf): State.STREAMING,
    (State.STREAMING, Mark): State.STREAMING,
    (State.STREAMING, Stop): State.STOPPED,
    (State.STOPPED, Mark): State.STOPPED,  # late echoes are harmless
    (State.STOPPED, Stop): State.STOPPED,
}
"""Every move there is; nothing else assigns `state`."""


class MediaStream:
    """One stream's protocol state: `receive` for what Twilio sent, `media`/`mark`/`clear` for what we send."""

    def __init__(self) -> None:
        self.state = State.CONNECTING
        self.stream_sid = ""
        self.missing = 0
        """Messages lost so far, by sequence number."""
        self._sequence = make_sequence()
        self._sid = b""
        self._media = (b"", b"")
        self._mark_head = b""
        self._clear = b""

    def receive(self, message: str | bytes) -> Event:
        """Return the one event in one text message.

        Raises:
            BadFrame: not JSON, wrong types, wrong stream, bad base64, or out of order.
        """
        if self.state is State.STREAMING and (media := twilio_media(message, self._sid)) is not None:
            number, timestamp, data, text = media  # nearly every message
            if number == self._sequence.last + 1:
                self._sequence.last = number
                return Audio(data, text, timestamp, 0)
            return Audio(data, text, timestamp, self._gap(number))
        try:
            event = _decode(message)
        except msgspec.MsgspecError as error:
            return self._not_decoded(message, error)
        except (UnicodeError, RecursionError) as error:
            raise BadFrame("not_json", type(error).__name__) from None
        state = TRANSITIONS.get((self.state, type(event)))
        if state is None:
            raise BadFrame("out_of_order", f"{type(event).__name__.lower()} while {self.state.name.lower()}")
        if isinstance(event, Connected):
            self.state = state
            return event
        if isinstance(event, Start):
            self._open(event)
        elif event.stream_sid != self.stream_sid:
            raise BadFrame("wrong_stream", event.stream_sid[:64])
        elif isinstance(event, Media):
            return self._audio(event)
        elif isinstance(event, Dtmf) and event.dtmf.digit not in _DIGITS:
            raise BadFrame("bad_digit")
        self.state = state
        self._gap(event.sequence_number)
        return event

    def sink(self, take: Take | None, otherwise: Receive) -> Receive:
        """Return a function for this stream's messages, once it has begun.

        Frames that follow the last one may go to `take`, without passing through `receive`; while the stream goes on.
        What it leaves, and everything else, goes to `otherwise`, as it came.
        """
        self._check_open()
        return media_sink(self._sid, self._sequence, take, otherwise)

    def _audio(self, event: Media) -> Audio:
        body, missing = event.media, self._gap(event.sequence_number)
        try:
            data, timestamp = pybase64.b64decode(body.payload, validate=True), int(body.timestamp)
        except ValueError as error:
            raise BadFrame("bad_media", str(error)) from None
        if not data:
            raise BadFrame("empty_media")
        return Audio(data, body.payload.encode(), timestamp, missing)

    def _not_decoded(self, message: str | bytes, error: Exception) -> Unknown:
        try:
            envelope = _decode_envelope(message)
        except (msgspec.MsgspecError, UnicodeError, RecursionError):
            raise BadFrame("not_json", str(error)) from None
        if envelope.event not in _KNOWN:
            return Unknown(envelope.event[:64])
        raise BadFrame("bad_shape", str(error)) from None

    def _gap(self, number: str | int) -> int:
        """Count what is missing before this sequence number; 0 when it tells nothing."""
        try:
            sequence = int(number)
        except ValueError:
            return 0
        last = self._sequence.last
        missing = sequence - last - 1 if last and sequence > last else 0
        self._sequence.last = max(last, sequence)
        self.missing += missing
        return missing

    def _open(self, event: Start) -> None:
        audio = event.start.media_format
        if (audio.encoding, audio.sample_rate, audio.channels) != (ENCODING, 8000, 1):
            raise BadFrame("bad_format", f"{audio.encoding}/{audio.sample_rate}/{audio.channels}")
        if event.stream_sid != event.start.stream_sid:
            raise BadFrame("wrong_stream", event.start.stream_sid[:64])
        self.stream_sid = event.stream_sid
        sid = _encode(event.stream_sid)
        self._sid = sid[1:-1]
        self._media = b'{"event":"media","streamSid":' + sid + b',"media":{"payload":"', b'"}}'
        self._mark_head = b'{"event":"mark","streamSid":' + sid + b',"mark":{"name":'
        self._clear = b'{"event":"clear","streamSid":' + sid + b"}"

    def sender(self, write: Callable[[bytes], None]) -> Send:
        """Return a function that plays raw mu-law, any length, given it and its base64 form (ASCII bytes) or None."""
        self._check_open()
        return open_sender(*self._media, write)

    def mark(self, name: str) -> bytes:
        """Return a message whose echo proves that everything before it was played, or discarded."""
        self._check_open()
        return self._mark_head + _encode(name) + b"}}"

    def clear(self) -> bytes:
        """Return a message that empties Twilio's buffer and makes it echo every outstanding mark."""
        self._check_open()
        return self._clear

    def _check_open(self) -> None:
        if not self._clear:
            raise LocalProtocolError(f"nothing may be sent while {self.state.name.lower()}: no streamSid yet")
