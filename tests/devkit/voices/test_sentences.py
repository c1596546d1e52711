"""Sentence cutting."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from archer_bridge.devkit.voices.sentences import sentences


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("", [], id="nothing"),
        pytest.param("Hello", ["Hello"], id="no-end"),
        pytest.param("Hello. How are you? Fine!", ["Hello.", "How are you?", "Fine!"], id="three"),
        pytest.param("It is $1,234.57 today.", ["It is $1,234.57 today."], id="amount"),
        pytest.param("Thanks, Mr. Okafor. Bye.", ["Thanks, Mr. Okafor.", "Bye."], id="title"),
        pytest.param("Due Jan. 5. Ok?", ["Due Jan. 5.", "Ok?"], id="month"),
        pytest.param("No. I can't.", ["No.", "I can't."], id="no-is-a-sentence"),
        pytest.param("She said 'yes.' Then left...  Really?!", ["She said 'yes.'", "Then left...", "Really?!"], id="q"),
        pytest.param(". .", [".", "."], id="points"),
    ],
)
def test_sentences(text: str, expected: list[str]) -> None:
    assert sentences(text) == expected


@given(st.text("ab .?!'\n"))
def test_no_character_but_whitespace_is_lost(text: str) -> None:
    assert " ".join(sentences(text)) == " ".join(text.split())
