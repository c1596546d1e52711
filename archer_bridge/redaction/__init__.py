"""Takes out of text what must not be kept: card numbers and their codes, social security numbers, e-mail addresses,
phone numbers up to the last four digits, keys and tokens. Pure.

It stands in front of every sink: the log, the record's texts, what the command line shows. It errs on the side of
what money and law protect (a card number heard with one wrong digit is masked when it is grouped like one, or
announced as one) and leaves alone what the record is for: amounts, dates, postal codes, confirmation numbers, the
last four digits of an account. What it cannot know: a card number said in pieces of less than eight digits over
several turns, and a national phone number outside North America without its plus sign.

`redact(redact(text)) == redact(text)`.
"""

import json
from collections.abc import Callable, Mapping
from typing import Any

from archer_bridge.redaction.numbers import number_spans
from archer_bridge.redaction.words import is_secret_name, word_spans

__all__ = ["MASK", "redact", "redact_heard", "redact_item", "redact_json", "redact_value"]

MASK = "***"
_BIG = 10**12
"""Integers from here on are long enough to be a card number."""

_SHORT, _MANY = 64, 4096
_clean: set[str] = set()
"""Short texts that were looked at and had nothing to hide: names, routes and identifiers come again and again."""

_PASSES = 4
"""A mask may bring what stood around it together; what is left then is taken out in another pass."""


def redact(text: str) -> str:
    """Return the text without what must not be kept."""
    if text in _clean:
        return text
    whole = text
    for _ in range(_PASSES):
        before, text = text, _replaced(text, _spans(text))
        if text == before:
            break
    if text == whole and len(text) <= _SHORT:
        if len(_clean) >= _MANY:
            _clean.clear()
        _clean.add(text)
    return text


def redact_heard(text: str, heard: str) -> tuple[str, str]:
    """Redact what was said and the part of it that was heard: half a card number is a secret too."""
    if not text.startswith(heard):
        return redact(text), redact(heard)
    spans = _spans(text)
    cut = [(start, min(end, len(heard)), mask) for start, end, mask in spans if start < len(heard)]
    return _replaced(text, spans), _replaced(heard, cut)


def redact_value(value: Any, *, show: Callable[[Any], str] = str, depth: int = 8) -> Any:
    """Redact a JSON-like value: texts, what is under a secret's name, integers that are card numbers.

    Anything else in it becomes its text, by `show`.
    """
    if isinstance(value, str):
        return redact(value)
    if value is None or isinstance(value, (bool, float)):
        return value
    if isinstance(value, int):
        return MASK if abs(value) >= _BIG and redact(str(abs(value))) == MASK else value
    if not isinstance(value, (Mapping, list, tuple)):
        return redact(show(value))
    if depth == 0:
        return MASK
    if isinstance(value, Mapping):
        return {_key(name): redact_item(name, item, show=show, depth=depth - 1) for name, item in value.items()}
    return [redact_value(item, show=show, depth=depth - 1) for item in value]


def redact_item(name: Any, value: Any, *, show: Callable[[Any], str] = str, depth: int = 8) -> Any:
    """Redact a value that stands under a name: all of it, when the name is a secret's."""
    if isinstance(name, str) and value not in (None, "", True, False) and is_secret_name(name):
        return MASK
    return redact_value(value, show=show, depth=depth)


def redact_json(text: str) -> str:
    """Redact JSON text so that it stays JSON; unchanged JSON keeps its very bytes."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return redact(text)
    clean = redact_value(value)
    return text if clean == value else json.dumps(clean, ensure_ascii=False, separators=(",", ":"), default=str)


def _key(name: Any) -> Any:
    return redact(name) if isinstance(name, str) else name


def _replaced(text: str, spans: list[tuple[int, int, str]]) -> str:
    parts, position = [], 0
    for start, end, mask in sorted(spans, key=lambda span: (span[0], -span[1])):
        if end <= position:
            continue
        parts += [text[position : max(start, position)], mask if start >= position else ""]
        position = end
    return "".join([*parts, text[position:]])


def _spans(text: str) -> list[tuple[int, int, str]]:
    """Return (start, end, what stands there instead) of everything that must go."""
    return [*((start, end, MASK) for start, end in word_spans(text)), *number_spans(text, MASK)]
