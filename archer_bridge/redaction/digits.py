"""Digits as people write and say them: "4111-1111", "4 1 1 1", "four one double one", "forty-one eleven". Pure.

A *run* is digits with nothing between them but what people put between digits. It is cut at dates, times and amounts
of money, so that two of those side by side never look like one long number.
"""

import re
import sys
from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from dataclasses import dataclass

UNITS = {"zero": "0", "oh": "0", "o": "0", "nought": "0"} | {
    word: str(value)
    for value, word in enumerate(("one", "two", "three", "four", "five", "six", "seven", "eight", "nine"), 1)
}
TEENS = {
    word: str(value)
    for value, word in enumerate(
        ["ten", "eleven", "twelve", "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen"],
        10,
    )
}
TENS = {
    word: str(value)
    for value, word in zip(
        range(20, 100, 10), ["twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"], strict=True
    )
}
REPEATS = {"double": 2, "triple": 3}
_WORDS = "|".join([*UNITS, *TEENS, *TENS, *REPEATS, "hundred"])
_ATOM = re.compile(rf"(?<![^\W_])(?:\d+|(?:{_WORDS}))(?![^\W_])", re.IGNORECASE)
_GAP = re.compile(
    r"(?:[\s,.()_\u2010-\u2015\u200b\u2060\ufeff-]|\+|\b(?:and|then|uh|um|er|dash|hyphen|space)\b){0,12}", re.IGNORECASE
)
_STRONG_GAP = re.compile(r"[^\s]|\s{3}")
_NOT_A_NUMBER = re.compile(
    r"""(?<![\d.,-])(?:
        \d{4}-\d{2}-\d{2}(?:[T\ ]\d{2}:\d{2}(?::\d{2}(?:\.\d+)?)?(?:Z|[+-]\d{2}:?\d{2})?)?   # 2026-12-22T10:00:00Z
      | \d{1,2}[/.-]\d{1,2}[/.-](?:\d{4}|\d{2})                                            # 12/22/2026
      | \d{1,2}:\d{2}(?::\d{2}(?:\.\d+)?)?                                                 # 10:30
      | [$€£]\s?\d[\d,]{0,14}(?:\.\d{1,2})?                                                # $1,234.57
      | \d{1,3}(?:,\d{3}){1,3}(?:\.\d{1,2})?                                               # 1,234.57
      | \d{1,9}\.\d{1,3}                                                                   # 900.00, 12.345
    )(?![\d-]|[.,]\d)""",
    re.VERBOSE,
)
LONGEST = 400
"""Atoms in one run; more is no number that anybody says, and is taken in pieces."""


@dataclass(frozen=True, slots=True)
class Atom:
    """One written number or spoken word (or pair: "forty one"), as digits."""

    start: int
    end: int
    digits: str
    spoken: bool
    strong: bool
    """Whether more than a space is between this and the atom before it: "one two three, four five"."""


Run = tuple[Atom, ...]


def runs(text: str) -> Iterator[Run]:
    """Yield every run of digits in the text, in order."""
    kept = [match.span() for match in _NOT_A_NUMBER.finditer(text)]
    found: list[Atom] = []
    for atom in _atoms(text, kept):
        if found and (len(found) == LONGEST or not _joined(text, found[-1].end, atom.start, kept)):
            yield tuple(found)
            found = []
        found.append(atom)
    if found:
        yield tuple(found)


def groups(run: Run) -> list[tuple[Atom, ...]]:
    """Split into what was written or said together: spoken digits, and written single ones, up to a strong gap."""
    parts: list[list[Atom]] = []
    for atom in run:
        single = atom.spoken or len(atom.digits) == 1
        joins = parts and single and not atom.strong and (parts[-1][-1].spoken or len(parts[-1][-1].digits) == 1)
        if joins:
            parts[-1].append(atom)
        else:
            parts.append([atom])
    return [tuple(part) for part in parts]


def digits_of(atoms: tuple[Atom, ...]) -> str:
    """Return the atoms' digits together."""
    return "".join(atom.digits for atom in atoms)


def _joined(text: str, end: int, start: int, kept: list[tuple[int, int]]) -> bool:
    if start - end > 24:
        return False
    at = bisect_left(kept, (end, 0))
    if at < len(kept) and kept[at][0] < start:
        return False
    return _GAP.fullmatch(text, end, start) is not None


def _atoms(text: str, kept: list[tuple[int, int]]) -> Iterator[Atom]:
    waiting: list[re.Match[str]] = []
    matches = [match for match in _ATOM.finditer(text) if not _is_kept(match.start(), kept)]
    position, last_end = 0, 0
    while position < len(matches):
        waiting = matches[position : position + 5]
        digits, used = _value(text, waiting)
        position += used
        if digits:
            start, end = waiting[0].start(), waiting[used - 1].end()
            strong = _STRONG_GAP.search(text, last_end, start) is not None
            yield Atom(start, end, digits, not waiting[0][0].isdigit(), strong)
            last_end = end


def _is_kept(start: int, kept: list[tuple[int, int]]) -> bool:
    """Whether one of these spans, which are in order and apart, holds this place."""
    at = bisect_right(kept, (start, sys.maxsize)) - 1
    return at >= 0 and start < kept[at][1]


def _value(text: str, ahead: list[re.Match[str]]) -> tuple[str, int]:
    """Return the digits that the first match stands for, and how many matches that takes."""
    word = ahead[0][0].lower()
    if word.isdigit():
        return "".join(str(int(char)) for char in word), 1
    if word in REPEATS:
        after = _word(text, ahead, 1)
        digit = UNITS.get(after) or (after if len(after) == 1 and after.isdigit() else "")
        return digit * REPEATS[word], 2 if digit else 1
    small, used = _below_hundred(text, ahead, 0)
    if used and _word(text, ahead, used) == "hundred":
        rest, more = _below_hundred(text, ahead, used + 1)
        return small + (rest.rjust(2, "0") if more else "00"), used + 1 + more
    return small, max(1, used)


def _below_hundred(text: str, ahead: list[re.Match[str]], at: int) -> tuple[str, int]:
    word = _word(text, ahead, at)
    if word in TENS:
        unit = UNITS.get(_word(text, ahead, at + 1), "0")
        return (TENS[word][0] + unit, 2) if unit != "0" else (TENS[word], 1)
    digits = UNITS.get(word) or TEENS.get(word, "")
    return digits, 1 if digits else 0


def _word(text: str, ahead: list[re.Match[str]], at: int) -> str:
    """Return the match's word, or "" when it does not follow the one before it directly."""
    if at >= len(ahead):
        return ""
    if at and text[ahead[at - 1].end() : ahead[at].start()].strip(" -") not in {"", "and"}:
        return ""
    return ahead[at][0].lower()
