"""What is spelled out for a speech engine and what is not."""

import pytest

from archer_bridge.devkit.voices.pronounce import pronounceable


@pytest.mark.parametrize(
    ("text", "said"),
    [
        pytest.param("It ends in 4821.", "It ends in four eight two one.", id="account"),
        pytest.param("Zip 94107, right?", "Zip nine four one zero seven, right?", id="postal"),
        pytest.param("Zip 10001.", "Zip one, zero, zero, zero, one.", id="zeros-get-a-beat"),
        pytest.param("Code A-X7K2Q9.", "Code A, X seven K two Q nine.", id="reference"),
        pytest.param("1-800-555-0134", "one, eight zero zero, five five five, zero one three four", id="phone"),
        pytest.param("+15550134", "one five five five zero one three four", id="e164"),
    ],
)
def test_numbers_that_name_something_are_spelled(text: str, said: str) -> None:
    assert pronounceable(text) == said


@pytest.mark.parametrize(
    "text",
    [
        "$1,234.57 and $900.00 and $4821",
        "six payments, 45 or 120 days, 1,234 people, 3.5 percent, 24/7",
        "on December 22, 2026, or 2026-12-22, or 12/01/2026",
        "I am OK in the USA",
        "",
    ],
)
def test_amounts_counts_dates_and_words_stay(text: str) -> None:
    assert pronounceable(text) == text
