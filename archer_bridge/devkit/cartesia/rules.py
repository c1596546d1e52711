"""What a client may send on the agent socket, checked as strictly as the vendor says it does.

https://docs.cartesia.ai/api-reference/agents/agent-websocket
"""

import re
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Struct

from archer_bridge.errors import ArcherError

RESULT_LIMIT = 4096
_MAX_VARIABLES = 64
_VARIABLE_NAME = re.compile(r"[A-Za-z0-9_]{1,64}")
_RESERVED = ("system__", "secret__")

Variables = dict[str, str | int | float | bool]


class RuleError(ArcherError):
    """A client event that breaks a rule; `event_code` is the wire's error code."""

    code = "simulated_rule_error"

    def __init__(self, event_code: str, message: str) -> None:
        super().__init__(event_code, message)
        self.event_code = event_code
        self.message = message

    def __str__(self) -> str:
        return f"{self.event_code}: {self.message}"


class AudioSettings(Struct, frozen=True, forbid_unknown_fields=True):
    """The formats of a session; output has the format of the input."""

    input_format: Literal["mulaw_8000", "pcm_16000", "pcm_24000", "pcm_44100"]
    output_delivery: Literal["speaking_pace", "as_available"] = "speaking_pace"


class SessionCreate(Struct, frozen=True, forbid_unknown_fields=True, tag="session_create"):
    """The first event; the only one in which unknown fields are rejected."""

    audio: AudioSettings
    dynamic_variables: dict[str, Any] = {}


class AudioInput(Struct, frozen=True, tag="audio_input"):
    """Caller audio in the session's format; base64 on the wire."""

    audio: bytes


class DtmfInput(Struct, frozen=True, tag="dtmf_input"):
    """One key."""

    digit: Annotated[str, Meta(pattern=r"^[0-9*#]\Z")]


class ClientToolResult(Struct, frozen=True, tag="client_tool_result"):
    """What a client tool returned."""

    tool_call_id: Annotated[str, Meta(max_length=256)]
    result: str
    is_error: bool = False
    error_type: str | None = None


ClientEvent = SessionCreate | AudioInput | DtmfInput | ClientToolResult

_decoder: msgspec.json.Decoder[ClientEvent] = msgspec.json.Decoder(ClientEvent)


def read_event(text: str) -> ClientEvent:
    """Read one client event.

    Raises:
        RuleError: `invalid_event`: not JSON, unknown type, or a field that breaks its rule.
    """
    try:
        event = _decoder.decode(text)
    except msgspec.MsgspecError as problem:
        raise RuleError("invalid_event", str(problem)) from problem
    if isinstance(event, ClientToolResult) and len((event.error_type or "").encode()) > 256:
        raise RuleError("invalid_event", "error_type is longer than 256 bytes")
    return event


def check_variables(given: dict[str, Any], *, by_key: bool, needed: set[str]) -> Variables:
    """Return the dynamic variables of a session.

    Raises:
        RuleError: with the wire code the vendor names for each case.
    """
    if given and not by_key:
        raise RuleError("dynamic_variables_not_allowed", "dynamic_variables need an API key, not an access token")
    if len(given) > _MAX_VARIABLES:
        raise RuleError("invalid_dynamic_variables", f"{len(given)} dynamic variables; at most {_MAX_VARIABLES}")
    for name, value in given.items():
        if not _VARIABLE_NAME.fullmatch(name):
            rule = "1 to 64 letters, digits or underscores"
            raise RuleError("invalid_dynamic_variables", f"name {name!r} is not {rule}")
        if name.startswith(_RESERVED):
            raise RuleError("invalid_dynamic_variables", f"name {name!r} has a reserved prefix")
        if not isinstance(value, str | int | float | bool):
            raise RuleError("invalid_dynamic_variables", f"{name!r} is not a string, number or boolean")
    missing = needed - set(given)
    if missing:
        raise RuleError("missing_dynamic_variables", f"the agent needs {', '.join(sorted(missing))}")
    return given
