"""A tool call's arguments as they may be kept: canonical JSON, with what is secret masked."""

import hashlib
import json
import re
from collections.abc import Mapping, Set
from typing import Any

MASK = "***"
_DIGITS = re.compile(r"(?:\d[ -]?){12,18}\d")
_MAX_TEXT = 500


def masked(arguments: Mapping[str, Any], names: Set[str]) -> dict[str, Any]:
    """Return the arguments with the named ones, and anything like a card number, masked."""
    return {str(name)[:64]: MASK if name in names else _clean(value, 0) for name, value in arguments.items()}


def canonical(arguments: Mapping[str, Any]) -> str:
    """Return JSON that is equal for equal arguments."""
    text = json.dumps(arguments, ensure_ascii=False, sort_keys=True, separators=(",", ":"), default=str)
    return text.encode("utf-8", "replace").decode()


def digest(text: str) -> str:
    """Return the SHA-256 of a canonical text, in hex."""
    return hashlib.sha256(text.encode()).hexdigest()


def _clean(value: Any, depth: int) -> Any:
    if isinstance(value, str):
        return _DIGITS.sub(_without_card, value[:_MAX_TEXT])
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) >= 10**11:
        return MASK  # long enough for a card number, too long for anything a tool asks for
    if isinstance(value, Mapping) and depth < 4:
        return {str(key)[:64]: _clean(item, depth + 1) for key, item in list(value.items())[:50]}
    if isinstance(value, (list, tuple)) and depth < 4:
        return [_clean(item, depth + 1) for item in value[:50]]
    return value if value is None or isinstance(value, (bool, int, float)) else MASK


def _without_card(match: re.Match[str]) -> str:
    digits = [int(digit) for digit in match[0] if digit.isdigit()]
    doubled = [digit * 2 - 9 * (digit > 4) for digit in digits[-2::-2]]
    is_card = (sum(digits[-1::-2]) + sum(doubled)) % 10 == 0  # Luhn
    return MASK if is_card else match[0]
