"""What a tool definition must look like: https://docs.cartesia.ai/api-reference/agents/tools/create"""

import copy
import re
from collections.abc import Mapping
from typing import Any

from archer_bridge.devkit.cartesia.auth import ApiError

_NAME = re.compile(r"[a-zA-Z][a-zA-Z0-9_-]{0,63}")
_SCALARS = {"string", "integer", "number", "boolean"}
_COMMON = {"type", "name", "description", "parameters", "pre_tool_speech", "execution_mode"}
_FIELDS = {
    "client": _COMMON | {"expects_response", "response_timeout_secs"},
    "webhook": _COMMON | {"url", "method", "auth", "headers", "response_timeout_secs"},
}
_CHOICES = {"pre_tool_speech": ("auto", "force", "off"), "execution_mode": ("immediate", "async")}
_MAX_DESCRIPTION = 2000
_TIMEOUT_S = (1, 120)
_DEFAULT_TIMEOUT_S = 20


def check_tool(body: Mapping[str, Any]) -> dict[str, Any]:
    """Return the definition with its defaults filled in.

    Raises:
        ApiError: 400, naming the field and the rule.
    """
    kind = body.get("type")
    if kind not in _FIELDS:
        raise ApiError(400, f"type must be one of client, webhook, not {kind!r}")
    unknown = set(body) - _FIELDS[kind]
    if unknown:
        raise ApiError(400, f"unknown fields: {', '.join(sorted(unknown))}")
    name = body.get("name")
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise ApiError(400, f"name must match ^{_NAME.pattern}$, not {name!r}")
    _check_description("description", body.get("description"))
    _check_parameters(body.get("parameters", {"type": "object", "properties": {}}))
    for field, choices in _CHOICES.items():
        if body.get(field, choices[0]) not in choices:
            raise ApiError(400, f"{field} must be one of {', '.join(choices)}, not {body[field]!r}")
    if kind == "webhook" and not str(body.get("url", "")).startswith("https://"):
        raise ApiError(400, "url must be an https URL")
    return {**copy.deepcopy(dict(body)), **_defaults(body)}


def _defaults(body: Mapping[str, Any]) -> dict[str, Any]:
    filled: dict[str, Any] = {field: body.get(field, choices[0]) for field, choices in _CHOICES.items()}
    filled["parameters"] = copy.deepcopy(body.get("parameters", {"type": "object", "properties": {}}))
    expects = body.get("expects_response", True)
    if not isinstance(expects, bool):
        raise ApiError(400, f"expects_response must be a boolean, not {expects!r}")
    timeout = body.get("response_timeout_secs")
    if not expects:
        if timeout is not None:
            raise ApiError(400, "response_timeout_secs is only allowed with expects_response true")
        return {**filled, "expects_response": False}
    timeout = _DEFAULT_TIMEOUT_S if timeout is None else timeout
    low, high = _TIMEOUT_S
    if isinstance(timeout, bool) or not isinstance(timeout, int) or not low <= timeout <= high:
        raise ApiError(400, f"response_timeout_secs must be {low} to {high}, not {timeout!r}")
    return {**filled, "response_timeout_secs": timeout} | (
        {"expects_response": True} if body["type"] == "client" else {}
    )


def _check_description(where: str, text: Any) -> None:
    if not isinstance(text, str) or not 1 <= len(text) <= _MAX_DESCRIPTION:
        raise ApiError(400, f"{where} must be a text of 1 to {_MAX_DESCRIPTION} characters")


def _check_parameters(schema: Any) -> None:
    if not isinstance(schema, dict) or schema.get("type") != "object":
        raise ApiError(400, 'parameters must be an object schema: {"type": "object", …}')
    unknown = set(schema) - {"type", "properties", "required"}
    if unknown:
        raise ApiError(400, f"parameters: unknown keywords: {', '.join(sorted(unknown))}")
    properties = schema.get("properties", {})
    if not isinstance(properties, dict):
        raise ApiError(400, "parameters.properties must be an object")
    for name, prop in properties.items():
        _check_property(f"parameters.properties.{name}", prop)
    required = schema.get("required", [])
    if not isinstance(required, list) or not all(isinstance(name, str) and name in properties for name in required):
        raise ApiError(400, "parameters.required must list names of properties")


def _check_property(where: str, prop: Any) -> None:
    if not isinstance(prop, dict):
        raise ApiError(400, f"{where} must be an object")
    unknown = set(prop) - {"type", "description", "enum", "items"}
    if unknown:
        raise ApiError(400, f"{where}: unknown keywords: {', '.join(sorted(unknown))}")
    kind = prop.get("type")
    if kind == "array":
        items = prop.get("items")
        if not isinstance(items, dict) or items.get("type") not in _SCALARS:
            raise ApiError(400, f"{where}.items.type must be one of {', '.join(sorted(_SCALARS))}")
    elif kind not in _SCALARS:
        raise ApiError(400, f"{where}.type must be one of array, {', '.join(sorted(_SCALARS))}, not {kind!r}")
    if "description" in prop:
        _check_description(f"{where}.description", prop["description"])
    if "enum" in prop:
        values = prop["enum"]
        strings = isinstance(values, list) and bool(values) and all(isinstance(value, str) for value in values)
        if kind != "string" or not strings:
            raise ApiError(400, f"{where}.enum must be a list of strings, on a string property")
