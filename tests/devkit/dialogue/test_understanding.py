"""What callers' words mean."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from archer_bridge.devkit.dialogue.understanding import Details, Remark

OFFERED = [("full_payment", 123457), ("settlement", 86420), ("payment_plan", 123457)]


@pytest.mark.parametrize(
    ("text", "account", "postal"),
    [
        pytest.param("My account ends in 4821 and my zip code is 94107.", "4821", "94107", id="both"),
        pytest.param("four eight two one, nine four one oh seven", "4821", "94107", id="words-run-together"),
        pytest.param("It's 48 21. Zip 9 4 1 0 7.", "4821", "94107", id="pieces"),
        pytest.param("My account ends in 4821, and my zip code is 94,107.", "4821", "94107", id="thousands"),
        pytest.param("94107 is my zip code and 4821 the account", "4821", "94107", id="other-order"),
        pytest.param("my zip is nine four one oh seven, four eight two one", "4821", "94107", id="run-postal-first"),
        pytest.param("4821 and 94107", "4821", "94107", id="bare"),
        pytest.param("forty eight twenty one", "4821", None, id="account-only"),
        pytest.param("zip code ninety four one oh seven", None, "94107", id="postal-only"),
        pytest.param("oh two one oh eight", None, "02108", id="leading-zero"),
        pytest.param("94107-1234 and my account ends in 4821", "4821", "94107", id="zip-plus-four"),
        pytest.param("My account number is 5500124821 and the zip is 94107", "4821", "94107", id="whole-number"),
        pytest.param("my account number is 555000124821", "4821", None, id="whole-number-alone"),
        pytest.param("number 550004821, postal code 94107", "4821", "94107", id="nine-digit-number"),
        pytest.param("48.21", "4821", None, id="point-between"),
        pytest.param("4812, no sorry, 4821 and 94107", "4821", "94107", id="correction"),
        pytest.param("4 8 and then 2 1", "4821", None, id="joined-over-words"),
        pytest.param("the zip is 9417", None, None, id="postal-too-short"),
        pytest.param("My account ends in 1111 and my zip code is 00000.", "1111", "00000", id="repeated"),
        pytest.param("I account ends in 1111 and my zip code is 000000.", "1111", "00000", id="miscounted"),
        pytest.param("It's 100001.", None, "10001", id="miscounted-inside"),
        pytest.param("zip code 941070", None, None, id="too-long-without-a-run"),
        pytest.param("double four double two", "4422", None, id="doubles"),
        pytest.param("I don't know the first one", None, None, id="no-number"),
        pytest.param("", None, None, id="nothing"),
    ],
)
def test_details(text: str, account: str | None, postal: str | None) -> None:
    assert Remark(text).details() == Details(account, postal)


@pytest.mark.parametrize(
    ("text", "option"),
    [
        pytest.param("The payment plan please.", "payment_plan", id="plan"),
        pytest.param("monthly payments", "payment_plan", id="monthly"),
        pytest.param("I'll pay in full", "full_payment", id="full"),
        pytest.param("I want to settle", "settlement", id="settle"),
        pytest.param("the settlement option", "settlement", id="settlement"),
        pytest.param("the second one", "settlement", id="ordinal"),
        pytest.param("option three", "payment_plan", id="number"),
        pytest.param("number 1", "full_payment", id="numeral"),
        pytest.param("the $864.20 one", "settlement", id="amount"),
        pytest.param("eight hundred sixty four dollars and twenty cents", "settlement", id="amount-in-words"),
        pytest.param("the $1,234.57", None, id="amount-of-two-options"),
        pytest.param("settlement or the plan", None, id="two-options"),
        pytest.param("option nine", None, id="no-such-option"),
        pytest.param("hello", None, id="none"),
    ],
)
def test_option(text: str, option: str | None) -> None:
    assert Remark(text).option(OFFERED) == option


@pytest.mark.parametrize(
    ("text", "method"),
    [
        pytest.param("text me a link", "sms_link", id="link"),
        pytest.param("from my bank", "bank_transfer", id="bank"),
        pytest.param("a bank transfer or a text", None, id="both"),
        pytest.param("whatever", None, id="none"),
    ],
)
def test_method(text: str, method: str | None) -> None:
    assert Remark(text).method() == method


@pytest.mark.parametrize(
    ("question", "texts"),
    [
        pytest.param(
            "is_explicit_yes",
            ["Yes, that's right.", "yeah", "Go ahead", "OK sure.", "Of course!", "that's correct", "I agree"],
            id="yes",
        ),
        pytest.param(
            "has_no", ["No.", "that's not right", "I don't want that", "yes, wait", "I can't right now"], id="no"
        ),
        pytest.param("is_farewell", ["Goodbye.", "okay bye", "please hang up"], id="farewell"),
        pytest.param(
            "is_done",
            ["No, that's all. Goodbye.", "That\u2019s all", "no thanks", "nothing else", "I'm done"],
            id="done",
        ),
        pytest.param(
            "wants_person",
            ["Can I talk to a human?", "a real person please", "Transfer me", "get me an agent"],
            id="person",
        ),
        pytest.param(
            "wants_repeat",
            ["Sorry?", "What?", "pardon me", "say that again please", "Can you repeat that?"],
            id="again",
        ),
        pytest.param("asks_for_options", ["what are my options?", "how much do I owe"], id="options"),
        pytest.param("has_card_number", ["my card is 4242 4242 4242 4242", "4242424242424242"], id="card"),
        pytest.param("is_empty", ["", " ", "...?"], id="empty"),
    ],
)
def test_what_is_meant(question: str, texts: list[str]) -> None:
    assert {text: getattr(Remark(text), question) for text in texts} == dict.fromkeys(texts, True)


@pytest.mark.parametrize(
    ("question", "texts"),
    [
        pytest.param(
            "is_explicit_yes",
            ["", "no", "yes no", "I'm not sure", "that isn't right", "ok, wait", "maybe", "payment plan"],
            id="yes",
        ),
        pytest.param("is_done", ["that's right", "nothing was said", "all of it"], id="done"),
        pytest.param("wants_person", ["personally I like the plan", "bank transfer"], id="person"),
        pytest.param("wants_repeat", ["sorry, 4821", "what are my options", "", "please"], id="again"),
        pytest.param("has_card_number", ["4821 and 94107"], id="card"),
    ],
)
def test_what_is_not_meant(question: str, texts: list[str]) -> None:
    assert {text: getattr(Remark(text), question) for text in texts} == dict.fromkeys(texts, False)


@given(st.integers(0, 9999), st.integers(0, 99999), st.booleans())
def test_details_written_as_digits_are_found_in_either_order(account: int, postal: int, is_swapped: bool) -> None:
    parts = [f"my account ends in {account:04}", f"my zip code is {postal:05}"]

    found = Remark(" and ".join(reversed(parts) if is_swapped else parts)).details()

    assert found == Details(f"{account:04}", f"{postal:05}")


@given(st.integers(0, 9999), st.integers(0, 99999), st.sampled_from([", ", " ", " and "]))
def test_details_said_digit_by_digit_are_found(account: int, postal: int, pause: str) -> None:
    names = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]
    said = [" ".join(names[int(digit)] for digit in digits) for digits in (f"{account:04}", f"{postal:05}")]

    assert Remark(pause.join(said)).details() == Details(f"{account:04}", f"{postal:05}")
