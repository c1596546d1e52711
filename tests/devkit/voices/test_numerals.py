"""Numbers in every shape come out in one."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from archer_bridge.devkit.voices.numerals import digit_groups, words


@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        pytest.param("four eight two one", ["4821"], id="digits"),
        pytest.param("4, 8, 2, 1", ["4821"], id="numerals-one-by-one"),
        pytest.param("4,8,2,1", ["4821"], id="no-spaces"),
        pytest.param("48 21", ["4821"], id="pairs"),
        pytest.param("forty eight twenty one", ["4821"], id="pairs-in-words"),
        pytest.param("forty-eight hundred twenty-one", ["4821"], id="hundreds"),
        pytest.param("four thousand eight hundred and twenty one", ["4821"], id="cardinal"),
        pytest.param("94,107", ["94107"], id="thousands-separator"),
        pytest.param("nine four one oh seven", ["94107"], id="oh"),
        pytest.param("ninety four one o seven", ["94107"], id="mixed"),
        pytest.param("nine for one oh seven", ["94107"], id="sounds-alike"),
        pytest.param("oh two one oh eight", ["02108"], id="oh-in-front"),
        pytest.param("Oh, four eight two one", ["4821"], id="oh-dear"),
        pytest.param("triple zero double one", ["00011"], id="repeats"),
        pytest.param("4821 94107", ["4821", "94107"], id="long-numerals-stand-alone"),
        pytest.param("12 4821", ["12", "4821"], id="short-before-long"),
        pytest.param("4 8 2 1. 9 4 1 0 7", ["4821", "94107"], id="sentences"),
        pytest.param("0042", ["0042"], id="zeros-kept"),
        pytest.param("one thousand", ["1000"], id="round"),
        pytest.param("a hundred and five", ["105"], id="a-hundred"),
        pytest.param("twelve hundred", ["1200"], id="twelve-hundred"),
        pytest.param("five thousand and one", ["5001"], id="and"),
        pytest.param("zero zero zero zero zero", ["00000"], id="zeros"),
        pytest.param("I want to pay for it too", [], id="no-numbers"),
        pytest.param("hundred thousand double and", [], id="scales-alone"),
        pytest.param("9" * 5000, ["9" * 5000], id="longer-than-int-allows"),
    ],
)
def test_numbers_are_found(text: str, numbers: list[str]) -> None:
    assert digit_groups(text) == numbers


@pytest.mark.parametrize(
    ("written", "spoken"),
    [
        pytest.param("$150.00", "one hundred fifty dollars", id="dollars"),
        pytest.param("$1", "one dollar", id="singular"),
        pytest.param("$1,234.57", "one thousand two hundred thirty-four dollars and fifty-seven cents", id="cents"),
        pytest.param("$0.05", "five cents", id="only-cents"),
        pytest.param("70%", "seventy percent", id="percent"),
        pytest.param("December 22nd, 2026", "december twenty second, twenty twenty six", id="date"),
        pytest.param("the 3rd option", "the third option", id="ordinal"),
        pytest.param("No, that\u2019s all. Good-bye!", "no that's all goodbye", id="punctuation"),
        pytest.param("3.5", "three point five", id="decimal"),
        pytest.param("$2.5", "two dollars and fifty cents", id="one-decimal"),
    ],
)
def test_what_is_written_equals_what_is_said(written: str, spoken: str) -> None:
    assert words(written) == words(spoken)


_SMALL = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten") + (
    *("eleven", "twelve", "thirteen", "fourteen", "fifteen", "sixteen"),
    *("seventeen", "eighteen", "nineteen"),
)
_TENS = ("twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")


def in_words(number: int) -> str:
    if number >= 1000:
        rest = number % 1000
        return f"{in_words(number // 1000)} thousand" + (f" {in_words(rest)}" if rest else "")
    if number >= 100:
        rest = number % 100
        return f"{in_words(number // 100)} hundred" + (f" {in_words(rest)}" if rest else "")
    if number >= 20:
        return _TENS[number // 10 - 2] + (f" {_SMALL[number % 10]}" if number % 10 else "")
    return _SMALL[number]


@given(st.integers(0, 999_999))
def test_every_cardinal_is_understood(number: int) -> None:
    assert words(in_words(number)) == words(f"{number:,}") == [str(number)]


@given(st.text("0123456789", min_size=1, max_size=12))
def test_every_digit_string_is_understood_digit_by_digit(digits: str) -> None:
    assert words(" ".join(_SMALL[int(digit)] for digit in digits)) == [digits]


@given(st.text())
def test_words_are_lower_case_and_never_empty(text: str) -> None:
    found = words(text)

    assert all(word and word == word.lower() for word in found)
    assert words(" ".join(found)) != [] or found == []
