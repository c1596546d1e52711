"""A tool call's arguments as they may be kept: canonical JSON, with what is secret masked."""

import hashlib
import json
from collections.abc import Mapping, Set
from typing import Any

from archer_bridge.redaction import MASK, redact, redact_item

_MAX_TEXT = 500


def masked(arguments: Mapping[str, Any], names: Set[str]) -> dict[str, Any]:
    """Return the arguments with the named ones, and everything that must not be kept, masked."""
    return {
        redact(str(name)[:_MAX_TEXT])[:64]: MASK if name in names else _entry(name, value)
        for name, value in arguments.items()
    }


def canonical(arguments: Mapping[str, Any]) -> str:
    """Return JSON that is equal for equal arguments."""
    text = json.dumps(arguments, ensure_ascii=False, sort_keys=True, separators=(",", ":"), default=str)
    return text.encode("utf-8", "replace").decode()


def digest(text: str) -> str:
    """Return the SHA-256 of a canonical text, in hex."""
    return hashlib.sha256(text.encode()).hexdigest()


def _entry(name: Any, value: Any, depth: int = 0) -> Any:
    return redact_item(str(name), _clean(value, depth))


def _clean(value: Any, depth: int) -> Any:
    if isinstance(value, str):
        return redact(value[: 2 * _MAX_TEXT])[:_MAX_TEXT]
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) >= 10**11:
        return MASK  # long enough for a card number, too long for anything a tool asks for
    if isinstance(value, Mapping) and depth < 4:
        return {
            redact(str(key)[:_MAX_TEXT])[:64]: _entry(key, item, depth + 1) for key, item in list(value.items())[:50]
        }
    if isinstance(value, (list, tuple)) and depth < 4:
        return [_clean(item, depth + 1) for item in value[:50]]
    return value if value is None or isinstance(value, (bool, int, float)) else MASK
