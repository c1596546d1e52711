"""Text as a speech engine should read it: account numbers and codes digit by digit, amounts as amounts."""

import re

_DIGITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
_MONTHS = "January|February|March|April|May|June|July|August|September|October|November|December"
_TOKEN = re.compile(
    r"(?P<amount>\$\s?\d[\d,]*(?:\.\d+)?|\d{1,3}(?:,\d{3})+(?:\.\d+)?|\d+\.\d+|\d{4}-\d{2}-\d{2}\b|\d+/\d+(?:/\d+)?)"
    rf"|(?P<date>(?:{_MONTHS})\s+\d{{1,2}}(?:st|nd|rd|th)?(?:,\s*\d{{4}})?)"
    r"|(?P<code>(?<!\w)\+?[A-Z0-9]+(?:-[A-Z0-9]+)*(?!\w))"
)
_SPELLED_DIGITS = 4  # "120 days" is a count; "4821" is read digit by digit


def pronounceable(text: str) -> str:
    """`text` with account numbers, phone numbers, postal codes and reference codes spelled out.

    Dollar amounts, numbers with thousands separators or decimals, and dates stay as they are.
    """
    return _TOKEN.sub(lambda match: _spelled(match["code"]) if match["code"] else match[0], text)


def _spelled(code: str) -> str:
    has_digit = any(char.isdecimal() for char in code)
    is_count = code.isdecimal() and len(code) < _SPELLED_DIGITS
    if not has_digit or is_count:
        return code
    parts = [part for part in code.lstrip("+").split("-") if part]
    return ", ".join(_said(part) for part in parts)


def _said(part: str) -> str:
    # Zeros in a row blur into each other unless each has its own beat.
    beat = ", " if "000" in part else " "
    return beat.join(_DIGITS[int(char)] if char.isdecimal() else char for char in part)
