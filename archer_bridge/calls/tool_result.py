"""A tool's value as the JSON text that the vendor takes: bounded in size, and in the work it costs.

The vendor replaces a result of more than 4096 bytes, counted after decoding the JSON string that carries
it, by an error (https://docs.cartesia.ai/agents/client-tools), so a longer one is cut here, with a notice.
A value is copied only as far as it can matter: ten megabytes cost what four kilobytes do.
"""

import dataclasses
import json
import math
from collections.abc import Iterable, Mapping
from datetime import date, datetime, time
from decimal import Decimal
from enum import Enum
from typing import Any
from uuid import UUID

from pydantic import BaseModel

from archer_bridge.errors import ArcherError

MAX_RESULT_BYTES = 4096
MAX_DEPTH = 32
NOTICE = "This answer was too long and is cut; ask for less at a time."


class UnserialisableResult(ArcherError):
    """A tool returned what has no JSON; says what and where."""

    code = "unserialisable_result"

    def __init__(self, where: str, what: str) -> None:
        super().__init__(where, what)
        self.where = where
        self.what = what

    def __str__(self) -> str:
        return f"the tool returned {self.what} at {self.where}; return text, numbers, lists, dicts or a dataclass"


def encode_result(value: Any, limit: int = MAX_RESULT_BYTES) -> str:
    """Return `value` as JSON text of at most `limit` bytes of UTF-8.

    Too long a value becomes `{"notice": ..., "partial": "<the beginning of its JSON>"}`. Lone surrogates,
    which have no UTF-8, become question marks.

    Raises:
        UnserialisableResult: naming the place in the value.
    """
    budget = _Budget(limit + 1)
    text = _dump(_plain(value, "result", 0, budget))
    if not budget.is_spent and _size(text) <= limit:
        return text
    low, high = 0, min(len(text), limit)
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if _size(_cut(text, middle)) <= limit else (low, middle - 1)
    return _cut(text, low)


def error_result(code: str, message: str, **facts: Any) -> str:
    """Return the JSON text of an error that a model can act on."""
    return encode_result({"error": {"code": code, "message": message[:1000], **facts}})


class _Budget:
    """Characters of JSON that are left; what is taken is never more than what will be written."""

    def __init__(self, left: int) -> None:
        self.left = left

    @property
    def is_spent(self) -> bool:
        return self.left < 0

    def take(self, characters: int) -> None:
        self.left -= characters


def _plain(value: Any, where: str, depth: int, budget: _Budget) -> Any:
    if depth > MAX_DEPTH:
        raise UnserialisableResult(where[:120], f"something nested deeper than {MAX_DEPTH}")
    if isinstance(value, Enum):
        value = value.value
    if value is None or isinstance(value, bool):
        budget.take(4)
        return value
    if isinstance(value, str):
        return _text(str(value), budget)
    if isinstance(value, (int, float)):
        return _number(value, where, budget)
    if isinstance(value, (datetime, date, time)):
        return _text(value.isoformat(), budget)
    if isinstance(value, (Decimal, UUID)):
        return _text(str(value), budget)
    if isinstance(value, (list, tuple)):
        return _list(value, where, depth, budget)
    return _object(_items(value, where), where, depth, budget)


def _items(value: Any, where: str) -> Iterable[tuple[Any, Any]]:
    if isinstance(value, Mapping):
        return value.items()
    if isinstance(value, BaseModel):
        return value
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return ((field.name, getattr(value, field.name)) for field in dataclasses.fields(value))
    raise UnserialisableResult(where[:120], f"a {type(value).__qualname__}")


def _text(text: str, budget: _Budget) -> str:
    kept = text[: max(0, budget.left) + 1]
    budget.take(len(text) + 2)
    return kept


def _number(value: float, where: str, budget: _Budget) -> float:
    if isinstance(value, float):
        if not math.isfinite(value):
            raise UnserialisableResult(where[:120], f"the number {value}")
        budget.take(3)
        return float(value)
    if value.bit_length() > 8192:  # Python refuses to print integers much longer than this
        raise UnserialisableResult(where[:120], "an integer of thousands of digits")
    budget.take(max(1, value.bit_length() * 3 // 10))
    return int(value)


def _list(value: Iterable[Any], where: str, depth: int, budget: _Budget) -> list[Any]:
    budget.take(2)
    plain = []
    for index, item in enumerate(value):
        if budget.is_spent:
            break
        plain.append(_plain(item, f"{where}[{index}]", depth + 1, budget))
    return plain


def _object(items: Iterable[tuple[Any, Any]], where: str, depth: int, budget: _Budget) -> dict[str, Any]:
    budget.take(2)
    plain = {}
    for key, item in items:
        if budget.is_spent:
            break
        if isinstance(key, Enum):
            key = key.value
        if not isinstance(key, (str, int)) or isinstance(key, bool):
            raise UnserialisableResult(where[:120], f"a {type(key).__qualname__} as a key")
        name = _text(str(key), budget)
        plain[name] = _plain(item, f"{where}.{name[:40]}", depth + 1, budget)
        budget.take(1)
    return plain


def _dump(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return text.encode("utf-8", "replace").decode()


def _cut(text: str, length: int) -> str:
    return _dump({"notice": NOTICE, "partial": text[:length]})


def _size(text: str) -> int:
    return len(text.encode())
