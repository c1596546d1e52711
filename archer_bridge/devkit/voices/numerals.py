"""Numbers as people say them and as recognisers write them, brought to one form.

"four eight two one", "48 21", "forty eight twenty one" and "4821" all become the token `4821`; "$150.00"
and "one hundred and fifty dollars" become `150 dollars`. Numbers said one after the other join, since
that is how account numbers and postal codes are said; a numeral of four or more digits stands alone.
"""

import re

_TOKEN = re.compile(
    r"(\$)?(\d{1,3}(?:,\d{3})+(?!\d)|\d+)(?:\.(\d+))?(st|nd|rd|th)?"
    r"|([a-z]+(?:'[a-z]+)*)|([,%])|([.?!;:])(?=\s|$)",
    re.ASCII,
)
_BREAK = "."
_GOODBYE = re.compile(r"\bgood[- ]?bye?\b")
_UNIT_WORDS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
_TEEN_WORDS = (
    *("ten", "eleven", "twelve", "thirteen", "fourteen"),
    *("fifteen", "sixteen", "seventeen", "eighteen", "nineteen"),
)
_TENS_WORDS = ("twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")
_ORDINAL_UNITS = ("first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth")
_UNITS = {word: value for value, word in enumerate(_UNIT_WORDS)}
_TEENS = {word: value for value, word in enumerate(_TEEN_WORDS, start=10)}
_TENS = {word: value * 10 for value, word in enumerate(_TENS_WORDS, start=2)}
_ORDINALS = {word: value for value, word in enumerate(_ORDINAL_UNITS, start=1)}
_ORDINAL_WORDS = {str(n): word for word, n in _ORDINALS.items()}
_REPEATS = {"double": 2, "triple": 3}
_SOUNDALIKES = {"for": 4, "to": 2, "too": 2, "ate": 8, "won": 1, "o": 0, "oh": 0}
_PLURALS = {"dollar": "dollars", "cent": "cents"}
_STANDS_ALONE = 4  # digits


def words(text: str) -> list[str]:
    """Lower-case words of `text` in order, without punctuation, numbers as strings of digits."""
    tokens = _tokens(_GOODBYE.sub("goodbye", text.lower().replace("\u2019", "'")))
    found: list[str] = []
    at = 0
    while at < len(tokens):
        digits, after = _run(tokens, at)
        if after > at:
            found.extend(digits)
            at = after
        else:
            if tokens[at] not in (",", _BREAK):
                found.append(_PLURALS.get(tokens[at], tokens[at]))
            at += 1
    return _without_and(found)


def digit_groups(text: str) -> list[str]:
    """The numbers in `text` in order, as strings of digits."""
    return [word for word in words(text) if word.isdecimal()]


def _tokens(text: str) -> list[str]:
    tokens: list[str] = []
    for match in _TOKEN.finditer(text):
        dollar, number, fraction, ordinal, word, mark, stop = match.groups()
        if number is not None:
            tokens.extend(_numeral(number.replace(",", ""), fraction, is_money=dollar is not None, ordinal=ordinal))
        elif word is not None:
            tokens.append(word)
        elif mark == "%":
            tokens.append("percent")
        else:
            tokens.append(_BREAK if stop else ",")
    return tokens


def _numeral(number: str, fraction: str | None, *, is_money: bool, ordinal: str | None) -> list[str]:
    if is_money:
        cents = (fraction or "").ljust(2, "0")[:2]
        dollars = [] if not number.strip("0") and cents != "00" else [number, "dollars"]
        return dollars + ([str(int(cents)), "cents"] if cents != "00" else [])
    if fraction is not None:
        return [number, "point", fraction]
    if ordinal is not None:
        return [_ORDINAL_WORDS.get(number, number)]
    return [number]


def _run(tokens: list[str], at: int) -> tuple[list[str], int]:
    """Numbers said without a word between them, from token `at`, and the token after them."""
    groups: list[str] = []
    joined = ""
    end = at
    while at < len(tokens):
        if tokens[at] == ",":
            if not (joined or groups):
                break
            at += 1
            continue
        digits, after = _number(tokens, at, is_inside=bool(joined))
        if not digits:
            break
        stands_alone = tokens[at].isdecimal() and len(digits) >= _STANDS_ALONE
        if stands_alone and joined:
            groups.append(joined)
            joined = ""
        joined += digits
        if stands_alone or tokens[after - 1] in _ORDINALS:
            groups.append(joined)
            joined = ""
        at = end = after
    return groups + ([joined] if joined else []), end


def _number(tokens: list[str], at: int, *, is_inside: bool) -> tuple[str, int]:
    """One number at token `at` as digits, and the token after it; "" if there is none."""
    token = tokens[at]
    following = tokens[at + 1] if at + 1 < len(tokens) else ""
    if token in _REPEATS and (following in _UNITS or len(following) == 1 and following.isdecimal()):
        digit = following if following.isdecimal() else str(_UNITS[following])
        return digit * _REPEATS[token], at + 2
    if token in _SOUNDALIKES:
        is_zero = token in ("o", "oh") and (is_inside or _is_digit(following))
        if is_zero or (is_inside and _is_digit(following)):
            return str(_SOUNDALIKES[token]), at + 1
        return "", at
    if token.isdecimal() and len(token) >= _STANDS_ALONE:
        return token, at + 1
    value, after = _cardinal(tokens, at)
    if after == at:
        return "", at
    is_plain = after == at + 1 and token.isdecimal()  # keeps its zeros in front
    return token if is_plain else str(value), after


def _is_digit(token: str) -> bool:
    return token in _UNITS or token in ("o", "oh") or (len(token) == 1 and token.isdecimal())


def _cardinal(tokens: list[str], at: int) -> tuple[int, int]:
    """A whole number such as "twelve hundred and five" or "one thousand two hundred"."""
    value, at = _below_thousand(tokens, at)
    if at < len(tokens) and tokens[at] == "thousand" and 0 < value < 1000:
        rest, after = _below_thousand(tokens, _skip_and(tokens, at + 1))
        is_more = after > at + 1 and rest > 0
        return (value * 1000 + rest, after) if is_more else (value * 1000, at + 1)
    return value, at


def _below_thousand(tokens: list[str], at: int) -> tuple[int, int]:
    value, after = _below_hundred(tokens, at)
    if after == at:
        return 0, at
    if after < len(tokens) and tokens[after] == "hundred" and 0 < value < 100:
        rest, end = _below_hundred(tokens, _skip_and(tokens, after + 1))
        is_more = end > after + 1 and rest > 0
        return (value * 100 + rest, end) if is_more else (value * 100, after + 1)
    return value, after


def _below_hundred(tokens: list[str], at: int) -> tuple[int, int]:
    token = tokens[at] if at < len(tokens) else ""
    following = tokens[at + 1] if at + 1 < len(tokens) else ""
    if token in _TENS:
        unit = _UNITS.get(following) or _ORDINALS.get(following)
        return (_TENS[token] + unit, at + 2) if unit else (_TENS[token], at + 1)
    if token in ("a", "one") and following == "hundred":
        return 1, at + 1
    if token in _UNITS or token in _TEENS:
        return _UNITS.get(token, _TEENS.get(token, 0)), at + 1
    if token.isdecimal():
        return int(token), at + 1
    return 0, at


def _skip_and(tokens: list[str], at: int) -> int:
    is_number_next = _below_hundred(tokens, at + 1)[1] > at + 1
    return at + 1 if at < len(tokens) and tokens[at] == "and" and is_number_next else at


def _without_and(found: list[str]) -> list[str]:
    """Drop the "and" of "twelve dollars and five cents"."""
    return [
        word
        for at, word in enumerate(found)
        if not (word == "and" and found[at - 1 : at] == ["dollars"] and found[at + 2 : at + 3] == ["cents"])
    ]
