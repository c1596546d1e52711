"""Secrets that are numbers: payment cards and their codes, social security numbers, phone numbers. Pure."""

import re
from bisect import bisect_left
from collections.abc import Iterator

from archer_bridge.redaction.digits import Run, digits_of, groups, runs

Span = tuple[int, int, str]
"""Start, end, and what stands there instead."""

SHORTEST_CARD, LONGEST_CARD = 13, 19
SHORTEST_PHONE, LONGEST_PHONE = 8, 15
"""Digits, https://www.itu.int/rec/T-REC-E.164; a social security number has nine."""
_SPOKEN = ("one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "zero", "oh", "ten", "eleven")
_HINTS = (*_SPOKEN, "twelve", "teen", "ty", "double", "triple")
"""Without one of these or a digit there is no number in a lower-cased text."""
_DIGIT = re.compile(r"\d")
_PLUS = re.compile(r"\bplus\s+$", re.IGNORECASE)
_LONG = re.compile(r"\d{13}")
_STUCK = re.compile(
    r"(?<![^\W_])(?:[A-Za-z]{1,12}_?(?P<a>[2-6]\d{12,18})|(?P<b>[2-6]\d{12,18})_?[A-Za-z]{1,12})(?![^\W_])"
)
"""A card number with a word stuck to it, as in PAN4111…"""
_CARD_WORDS = re.compile(
    r"\b(?:card|visa|master\s?card|amex|american express|discover|debit|credit|pan)\b", re.IGNORECASE
)
_CODE_WORDS = re.compile(
    r"(?<![a-z])(?:cvv2?|cvc2?|cv2|csc|cid|c\s?v\s?v|c\s?v\s?c"
    r"|security[ _]?(?:code|number|digits)|verification[ _]?(?:code|value)"
    r"|(?:three|four|3|4)[ -]?digit code|(?:on|from) the back"
    r"|back of (?:the|my|your) card|pin(?: code| number)?)(?![a-z])",
    re.IGNORECASE,
)
_SSN_WORDS = re.compile(r"\b(?:ssn|social(?: security)?(?: number)?|itin|tax ?payer id)\b", re.IGNORECASE)
_LABELS = re.compile(
    r"(?:confirmation|reference|order|ticket|case|invoice|tracking|transaction|policy|contract|account|member|ref|id|no)"
    r"\.?(?: (?:number|code|id|no\.?))?(?: is)?[\s:#=\"']*$",
    re.IGNORECASE,
)
_CODE_AFTER = re.compile(
    r"[\s,.\"':)]*(?:(?:is|as|was|it's|that's|for|are|were|ends|ending|in|on|the|my|its|of|this)\b[\s,.\"':(]*){0,4}",
    re.IGNORECASE,
)


def number_spans(text: str, mask: str) -> list[Span]:
    """Return every number that must go; a phone keeps its last four digits behind the mask."""
    lower = text.lower()
    if not _DIGIT.search(text) and not any(hint in lower for hint in _HINTS):
        return []
    every = list(runs(text))
    found = [span for run in every for span in _run_spans(text, run, mask)]
    pairs = [*_code_spans(text, every), *_stuck_spans(text)]
    return found + [(start, end, mask) for start, end in pairs]


def _stuck_spans(text: str) -> Iterator[tuple[int, int]]:
    for match in _STUCK.finditer(text) if _LONG.search(text) else ():
        name = "a" if match["a"] is not None else "b"
        if _is_card(match[name]):
            yield match.span(name)


def _run_spans(text: str, run: Run, mask: str) -> Iterator[Span]:
    """Yield the numbers in one run that must go: longest and most certain first."""
    total = len(digits_of(run))
    if total < 7:
        return
    # Not across a mask: what it replaced was longer, and would draw number after number towards one word, pass by pass.
    before = text[max(0, run[0].start - 60) : run[0].start].rpartition(mask)[2]
    about_card = _CARD_WORDS.search(before) is not None
    if total >= 20 and len(run) == 1:
        yield run[0].start, run[0].end, mask
    elif about_card and total >= 8:
        yield run[0].start, run[-1].end, mask
    elif (card := _card(run)) is not None:
        yield run[card[0]].start, run[card[1] - 1].end, mask
        yield from _run_spans(text, run[: card[0]], mask)
        yield from _run_spans(text, run[card[1] :], mask)
    else:
        yield from _personal(text, run, before, mask)


def _card(run: Run) -> tuple[int, int] | None:
    """Return the atoms that are a card number: by its check digit, or grouped as on the card."""
    for first in range(len(run)):
        best, digits = None, ""
        for last in range(first, len(run)):
            digits += run[last].digits
            if len(digits) > LONGEST_CARD:
                break
            if len(digits) < SHORTEST_CARD:
                continue
            shape = [len(atom.digits) for atom in run[first : last + 1]]
            if _is_card(digits) or shape in ([4, 4, 4, 4], [4, 6, 5]):
                best = first, last + 1
        if best is not None:
            return best
    return None


def _is_card(digits: str) -> bool:
    """Whether the digits pass the check of ISO/IEC 7812 and begin as a payment card's do."""
    if not SHORTEST_CARD <= len(digits) <= LONGEST_CARD or digits[0] not in "23456":
        return False
    values = [int(digit) for digit in digits]
    doubled = [value * 2 - 9 * (value > 4) for value in values[-2::-2]]
    return (sum(values[-1::-2]) + sum(doubled)) % 10 == 0


def _personal(text: str, run: Run, before: str, mask: str) -> Iterator[Span]:
    """Yield social security and phone numbers; a phone keeps its last four digits."""
    parts = groups(run)
    if _SSN_WORDS.search(before) and len(digits_of(run)) == 9:
        yield run[0].start, run[-1].end, mask
        return
    written = [digits_of(part) for part in parts]
    first = 0
    while first < len(parts):
        for last in range(_reach(written, first), first, -1):
            inside, digits = parts[first:last], "".join(written[first:last])
            shape = [len(part) for part in written[first:last]]
            start, end = inside[0][0].start, inside[-1][-1].end
            if shape == [3, 2, 4]:
                yield start, end, mask
            elif _is_phone(text, start, shape, digits, inside[0][0].spoken):
                opened = start - (text[max(0, start - 1) : start] == "(")
                yield opened, end, mask + digits[-4:]
            else:
                continue
            first = last - 1
            break
        first += 1


def _reach(written: list[str], first: int) -> int:
    """Return how far parts from `first` on can be one number: looking further would cost the cube of a run."""
    last, total = first, 0
    while last < len(written) and total + len(written[last]) <= LONGEST_PHONE:
        total += len(written[last])
        last += 1
    return last


def _is_phone(text: str, start: int, shape: list[int], digits: str, spoken: bool) -> bool:
    if not SHORTEST_PHONE <= len(digits) <= LONGEST_PHONE:
        return False
    if text[max(0, start - 1) : start] == "+" or _PLUS.search(text[max(0, start - 8) : start]):
        return True
    national = digits[1:] if len(digits) == 11 and digits[0] == "1" else digits
    if len(national) != 10 or _LABELS.search(text[max(0, start - 40) : start]):
        return False
    if spoken or shape[-3:] == [3, 3, 4] or shape[-2:] == [3, 7]:
        return True
    return len(shape) == 1 and re.fullmatch(r"[2-9]\d\d[2-9]\d{6}", national) is not None


def _code_spans(text: str, every: list[Run]) -> Iterator[tuple[int, int]]:
    """Yield three or four digits that are said to be a card's code, a PIN, or part of a social security number."""
    starts = [run[0].start for run in every]
    for words in _CODE_WORDS.finditer(text):
        at = bisect_left(starts, words.end())
        for run in every[at : at + 1]:
            first = groups(run)[0]
            short = run if len(digits_of(run)) in {3, 4} else first
            if len(digits_of(short)) in {3, 4} and _CODE_AFTER.fullmatch(text, words.end(), run[0].start):
                yield run[0].start, short[-1].end
        for run in every[max(0, at - 1) : at]:
            between = run[-1].end <= words.start() and _CODE_AFTER.fullmatch(text, run[-1].end, words.start())
            if between and len(digits_of(run)) in {3, 4}:
                yield run[0].start, run[-1].end
    for words in _SSN_WORDS.finditer(text):
        at = bisect_left(starts, words.end())
        for run in every[at : at + 1]:
            if len(digits_of(run)) == 4 and _CODE_AFTER.fullmatch(text, words.end(), run[0].start):
                yield run[0].start, run[-1].end
