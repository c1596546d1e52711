"""The server events of the agent socket, as the vendor documents them: field, type, and whether it must be there."""

from typing import Any

NUMBER = (int, float)

AUDIO = {"input_format": (str, True), "output_delivery": (str, True)}
TOOL_CALL = {
    "name": (str, True),
    "arguments": (dict, True),
    "result": (str, False),
    "id": (str, False),
    "dynamic_variable_updates": (list, False),
}
EVENTS: dict[str, dict[str, tuple[Any, bool]]] = {
    "session_ready": {
        "call_id": (str, True),
        "agent_id": (str, True),
        "agent_version_id": (str, True),
        "audio": (AUDIO, True),
    },
    "audio_output": {"audio": (str, True)},
    "audio_output_clear": {},
    "dtmf_output": {"digit": (str, True)},
    "client_tool_call": {
        "tool_call_id": (str, True),
        "tool_name": (str, True),
        "parameters": (dict, True),
        "expects_response": (bool, True),
    },
    "turn_started": {"turn": (int, True), "role": (str, True), "start_time": (NUMBER, True)},
    "turn_output_text_delta": {"turn": (int, True), "role": (str, True), "text": (str, True)},
    "turn_ended": {
        "turn": (int, True),
        "role": (str, True),
        "text": (str, True),
        "interrupted": (bool, True),
        "start_time": (NUMBER, True),
        "end_time": (NUMBER, True),
        "eager_end_timestamp": (NUMBER, False),
        "tool_calls": ([TOOL_CALL], True),
    },
    "error": {"code": (str, True), "message": (str, True), "fatal": (bool, True)},
}
ERROR_CODES = {
    "invalid_event",
    "agent_failed",
    "missing_dynamic_variables",
    "invalid_dynamic_variables",
    "dynamic_variables_not_allowed",
}
FORMATS = {"mulaw_8000", "pcm_16000", "pcm_24000", "pcm_44100"}


def problems(event: dict[str, Any]) -> list[str]:
    """Say what is wrong with a server event; an empty list when nothing is."""
    kind = event.get("type")
    if kind not in EVENTS:
        return [f"unknown type {kind!r}"]
    found = _object(str(kind), {key: event[key] for key in event if key != "type"}, EVENTS[str(kind)])
    if not found and kind == "error" and event["code"] not in ERROR_CODES:
        found.append(f"error.code {event['code']!r}")
    if not found and "role" in event and event["role"] not in {"user", "assistant"}:
        found.append(f"{kind}.role {event['role']!r}")
    if not found and kind == "session_ready" and event["audio"]["input_format"] not in FORMATS:
        found.append(f"audio.input_format {event['audio']['input_format']!r}")
    return found


def _object(where: str, value: Any, fields: dict[str, tuple[Any, bool]]) -> list[str]:
    if not isinstance(value, dict):
        return [f"{where} is {value!r}, not an object"]
    found = [f"{where}.{name} is missing" for name, (_, must) in fields.items() if must and name not in value]
    found += [f"{where}.{name} is not documented" for name in value if name not in fields]
    for name, (kind, _) in fields.items():
        if name in value:
            found += _value(f"{where}.{name}", value[name], kind)
    return found


def _value(where: str, value: Any, kind: Any) -> list[str]:
    if isinstance(kind, dict):
        return _object(where, value, kind)
    if isinstance(kind, list):
        return [problem for item in value for problem in _object(where, item, kind[0])]
    is_bool_for_number = isinstance(value, bool) and kind is not bool
    return [] if isinstance(value, kind) and not is_bool_for_number else [f"{where} is {value!r}"]
