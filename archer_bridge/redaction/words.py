"""Secrets that words give away: keys, tokens, passwords, e-mail addresses, a stream's parameters. Pure."""

import re
from collections.abc import Iterator
from functools import lru_cache

_PATTERNS = (
    ("<param", re.compile(r"<Parameter\b[^>]*?\bvalue=(?:\"(?P<a>[^\"]*)\"|'(?P<b>[^']*)')", re.IGNORECASE)),
    ("param", re.compile(r"custom_?parameters[\"']?\s*[:=]\s*(?P<a>\{[^{}]*\})", re.IGNORECASE)),
    ("bearer", re.compile(r"\bBearer\s+(?P<a>[^\s\"',;]{6,})", re.IGNORECASE)),
    *(
        (
            word,
            re.compile(
                rf"(?<![a-z])(?:[a-z]+[_-])?{word}(?:_secondary)?(?:[\"']?\s*[:=]\s*|\s+is\s+)[\"']?"
                r"(?!Bearer\b|\*\*\*|\[|\{|\()(?P<a>[^\s\"',;&<>]{6,})",
                re.IGNORECASE,
            ),
        )
        for word in ("token", "key", "secret", "password", "passwd", "signature", "authorization")
    ),
    ("sk_car_", re.compile(r"\bsk_car_(?P<a>[A-Za-z0-9_-]{4,})")),
    ("sk_", re.compile(r"\bsk_(?!car_)(?P<a>[A-Za-z0-9_-]{12,})")),
    ("sk-", re.compile(r"\bsk-(?P<a>[A-Za-z0-9_-]{16,})")),
    ("ac", re.compile(r"\bAC(?P<a>[0-9a-fA-F]{32})\b")),
    ("sk", re.compile(r"\bSK(?P<a>[0-9a-fA-F]{32})\b")),
    ("eyj", re.compile(r"\b(?P<a>eyJ[\w-]{6,}\.[\w-]{6,}(?:\.[\w-]*)?)")),
    ("v1.", re.compile(r"\b(?P<a>v1\.CA[0-9a-fA-F]{8,}\.[\w.-]+)")),
    ("@", re.compile(r"(?P<a>[\w.+%-]{1,64}@(?:[\w-]{1,63}\.){1,8}[A-Za-z]{2,24})")),
    (
        " at ",
        re.compile(
            r"\b(?P<a>\w+(?:(?:\s+(?:dot|underscore|dash|hyphen|plus)\s+|[._+-])\w+){0,6}\s+at\s+\w+(?:\s*[.-]\s*\w+|\s+mail)?"
            r"(?:\s+(?:dot|period|point)\s+(?:\w\s+)*\w+){1,3})\b",
            re.IGNORECASE,
        ),
    ),
)
"""What the lower-cased text must contain, and the pattern whose group `a` (or `b`) must go."""
_SECRET_KEYS = re.compile(
    r"(?:cvv2?|cvc2?|csc|security_?code|card_?number|pan|ssn|social_security(?:_number)?|pin|password|secret|authorization"
    r"|api_?key|(?:auth|access|stream)_?token|token|custom_?parameters|x-twilio-signature)",
    re.IGNORECASE,
)


@lru_cache(maxsize=1024)
def is_secret_name(name: str) -> bool:
    """Whether a value under this name is secret whatever it looks like."""
    return _SECRET_KEYS.fullmatch(name) is not None


def word_spans(text: str) -> Iterator[tuple[int, int]]:
    """Yield start and end of every secret; they may overlap."""
    lower = text.lower()
    for hint, pattern in _PATTERNS:
        if hint in lower:
            for match in pattern.finditer(text):
                yield match.span("a" if match["a"] is not None else "b")
