"""Cartesia's Managed Agent socket, seen from the client. Sans-I/O.

Theory of operation. The client's first message is `session_create`; the server answers `session_ready`, and drops
audio sent before it, so `audio` holds back the newest moments until then. After that JSON text goes both ways,
discriminated by `type`. Unknown types and fields are ignored: the vendor adds them within a version. We send exactly
the documented fields: unknown ones are refused. There is no client event to end a call: the client closes (1000).

https://docs.cartesia.ai/api-reference/agents/agent-websocket (API version 2026-08-14)
"""

from collections.abc import Callable, Mapping
from enum import Enum, auto
from typing import Any, Final

import msgspec
import pybase64

from archer_bridge.errors import LocalProtocolError
from archer_bridge.models import ToolFinished, ToolRequest
from archer_bridge.ports import (
    EngineAudio,
    EngineClear,
    EngineDigit,
    EngineEvent,
    EngineFault,
    EngineIgnored,
    EngineReady,
    ToolCalled,
    TurnEnded,
    TurnStarted,
    TurnText,
)
from archer_bridge.protocols.frames import BadFrame
from archer_bridge.protocols.scan import cartesia_audio

FORMATS: Final[Mapping[str, str]] = {
    "mulaw_8000": "mulaw/8000/1",
    "pcm_16000": "pcm_s16le/16000/1",
    "pcm_24000": "pcm_s16le/24000/1",
    "pcm_44100": "pcm_s16le/44100/1",
}
"""The vendor's names for audio formats, and ours. Output has the input's format."""

RESULT_LIMIT: Final = 4096
"""Bytes of UTF-8 in one tool result; the vendor replaces a larger one by an error."""
VARIABLES_LIMIT: Final = 64
HELD_BACK_MS: Final = 2000
"""Caller audio kept for the moment the session is ready."""


class _Ready(msgspec.Struct, tag_field="type", tag="session_ready"):
    call_id: str = ""


class _Audio(msgspec.Struct, tag_field="type", tag="audio_output"):
    audio: str


class _Clear(msgspec.Struct, tag_field="type", tag="audio_output_clear"):
    pass


class _Dtmf(msgspec.Struct, tag_field="type", tag="dtmf_output"):
    digit: str


class _Tool(msgspec.Struct, tag_field="type", tag="client_tool_call"):
    tool_call_id: str
    tool_name: str
    parameters: dict[str, Any] | None = None
    expects_response: bool = True


class _Started(msgspec.Struct, tag_field="type", tag="turn_started"):
    turn: int
    role: str


class _Delta(msgspec.Struct, tag_field="type", tag="turn_output_text_delta"):
    turn: int
    text: str


class _Ended(msgspec.Struct, tag_field="type", tag="turn_ended"):
    turn: int
    role: str
    text: str = ""
    interrupted: bool = False


class _Error(msgspec.Struct, tag_field="type", tag="error"):
    code: str = ""
    message: str = ""
    fatal: bool = False


class _Envelope(msgspec.Struct):
    type: str


_Message = _Ready | _Audio | _Clear | _Dtmf | _Tool | _Started | _Delta | _Ended | _Error
_decode: Callable[[str | bytes], _Message] = msgspec.json.Decoder(_Message).decode
_decode_envelope = msgspec.json.Decoder(_Envelope).decode
_encode = msgspec.json.encode
_KNOWN = frozenset(member.__struct_config__.tag for member in _Message.__args__)


class State(Enum):
    """Where the session is."""

    NEW = auto()
    CREATING = auto()
    READY = auto()


AUDIO_HEAD: Final = b'{"type":"audio_input","audio":"'
AUDIO_TAIL: Final = b'"}'
audio_message: Callable[[bytes], bytes] = (AUDIO_HEAD + b"%b" + AUDIO_TAIL).__mod__
"""Return the message for base64 audio (ASCII bytes); a method of bytes, so that it takes no Python call."""


class AgentSession:
    """One session's protocol state: `receive` for what the server sent, the other methods make what we send."""

    def __init__(self, *, bytes_per_ms: float) -> None:
        """Args: bytes_per_ms: of the session's audio format, to bound what is held back."""
        self.state = State.NEW
        self.dropped_ms = 0.0
        """Caller audio that was too old to keep while the session was not ready."""
        self._bytes_per_ms = bytes_per_ms
        self._turns_before = 0
        self._scope = ""
        self._held: list[tuple[bytes, float]] = []  # a deque takes ten times the memory, and is empty all the call
        self._held_ms = 0.0

    def scoped(self, turns_before: int, scope: str) -> None:
        """Tell this session from others of the same call.

        Args:
            turns_before: is added to the numbers of the turns, which begin at 1 in each session.
            scope: goes before tool call ids, which need not be unique among sessions.
        """
        self._turns_before = turns_before
        self._scope = scope

    def create(self, input_format: str, delivery: str, variables: Mapping[str, str | int | float | bool]) -> bytes:
        """Return the first message of the session."""
        if self.state is not State.NEW:
            raise LocalProtocolError("session_create is the first message and is sent once")
        if len(variables) > VARIABLES_LIMIT:
            raise LocalProtocolError(f"{len(variables)} dynamic variables; the vendor takes {VARIABLES_LIMIT}")
        self.state = State.CREATING
        audio = {"input_format": input_format, "output_delivery": delivery}
        return _encode({"type": "session_create", "audio": audio, "dynamic_variables": dict(variables)})

    def hold_back(self, message: bytes, n_bytes: int) -> None:
        """Keep an audio message while the session is not ready; the oldest go first.

        Args:
            message: from `audio_message`.
            n_bytes: how much audio it holds.
        """
        milliseconds = n_bytes / self._bytes_per_ms
        self._held.append((message, milliseconds))
        self._held_ms += milliseconds
        while self._held_ms > HELD_BACK_MS:
            _, oldest_ms = self._held.pop(0)
            self._held_ms -= oldest_ms
            self.dropped_ms += oldest_ms

    def take_held(self) -> list[bytes]:
        """Return what was held back, oldest first; call it when the session is ready."""
        messages = [message for message, _ in self._held]
        self._held.clear()
        self._held_ms = 0.0
        return messages

    @staticmethod
    def digit(digit: str) -> bytes | None:
        """Return the message for one key, or None for a key that the vendor does not take (A-D)."""
        return _encode({"type": "dtmf_input", "digit": digit}) if digit in "0123456789*#" else None

    def tool_result(self, finished: ToolFinished) -> bytes | None:
        """Return the answer to a tool call, or None: another session asked, and this one would not know the id."""
        if not finished.tool_call_id.startswith(self._scope):
            return None
        if len(finished.result.encode()) > RESULT_LIMIT:
            raise LocalProtocolError(f"tool result of {finished.name} is over {RESULT_LIMIT} bytes")
        message: dict[str, Any] = {
            "type": "client_tool_result",
            "tool_call_id": finished.tool_call_id.removeprefix(self._scope),
            "result": finished.result,
            "is_error": finished.is_error,
        }
        if finished.error_type:
            message["error_type"] = finished.error_type[:64]
        return _encode(message)

    def receive(self, message: str | bytes) -> EngineEvent:
        """Return the one event in one text message.

        Raises:
            BadFrame: not JSON, wrong types or bad base64; the session goes on.
        """
        if (audio := cartesia_audio(message)) is not None:
            return EngineAudio(*audio)
        try:
            wire = _decode(message)
        except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
            return _not_decoded(message, error)
        if type(wire) is _Audio:
            try:
                return EngineAudio(pybase64.b64decode(wire.audio, validate=True), wire.audio.encode())
            except ValueError as error:
                raise BadFrame("bad_media", str(error)) from None
        if type(wire) is _Ready:
            self.state = State.READY
            return EngineReady(wire.call_id)
        return self._event(wire)

    def _event(self, wire: _Message) -> EngineEvent:
        match wire:
            case _Clear():
                return EngineClear()
            case _Delta():
                return TurnText(self._turns_before + wire.turn, wire.text)
            case _Started():
                return TurnStarted(self._turns_before + wire.turn, wire.role)
            case _Ended():
                return TurnEnded(self._turns_before + wire.turn, wire.role, wire.text, wire.interrupted)
            case _Tool():
                call_id = self._scope + wire.tool_call_id
                return ToolCalled(ToolRequest(call_id, wire.tool_name, wire.parameters or {}, wire.expects_response))
            case _Dtmf():
                return EngineDigit(wire.digit)
            case _Error():
                return EngineFault(wire.code, wire.message, wire.fatal)
            case _:
                raise LocalProtocolError(f"no event for {type(wire).__name__}")


def _not_decoded(message: str | bytes, error: Exception) -> EngineIgnored:
    try:
        envelope = _decode_envelope(message)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        raise BadFrame("not_json", str(error)) from None
    if envelope.type not in _KNOWN:
        return EngineIgnored(envelope.type[:64])
    raise BadFrame("bad_shape", str(error)) from None
