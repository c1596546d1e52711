"""Redaction: what must not be kept goes, what the record is for stays."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from archer_bridge import redaction
from archer_bridge.redaction import MASK, numbers, redact, redact_heard, redact_json, redact_value
from tests.support.planted import harmless, planted


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        pytest.param("card 4111 1111 1111 1111 ok", "card *** ok", id="spaced"),
        pytest.param("4111-1111-1111-1111", "***", id="dashed"),
        pytest.param("4 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1", "***", id="one-by-one"),
        pytest.param("four one one one, one one one one, one one one one, one one one one", "***", id="spoken"),
        pytest.param("forty-one eleven eleven eleven eleven eleven eleven eleven", "***", id="spoken-in-pairs"),
        pytest.param("four triple one triple one triple one triple one triple one", "***", id="spoken-triples"),
        pytest.param("four one one one 1111 uh 1111 and one one one one", "***", id="mixed"),
        pytest.param("４１１１ １１１１ １１１１ １１１１", "***", id="full-width-digits"),
        pytest.param("PAN4111111111111111", "PAN***", id="stuck-to-a-word"),
        pytest.param("94107 4111 1111 1111 1111", "94107 ***", id="after-a-postal-code"),
        pytest.param("4242 4242 4242 4241", "***", id="misheard-but-grouped-like-a-card"),
        pytest.param("my card is 42424242424241", "my card is ***", id="announced"),
        pytest.param("order 4242424242424241", "order 4242424242424241", id="no-card"),
        pytest.param("3782 822463 10005", "***", id="american-express"),
        pytest.param("cvv 123", "cvv ***", id="cvv"),
        pytest.param("the security code is nine hundred twelve", "the security code is ***", id="cvv-spoken"),
        pytest.param("123 is the cvv", "*** is the cvv", id="cvv-after"),
        pytest.param("it's 456 on the back", "it's *** on the back", id="cvv-on-the-back"),
        pytest.param("4111111111111111 cvv 123", "*** cvv ***", id="card-and-cvv"),
        pytest.param("123-45-6789", "***", id="ssn"),
        pytest.param("my social is 123456789", "my social is ***", id="ssn-announced"),
        pytest.param("one two three, four five, six seven eight nine", "***", id="ssn-spoken"),
        pytest.param("last four of my social are 6789", "last four of my social are ***", id="ssn-last-four"),
        pytest.param("dana.reyes@example.com", "***", id="e-mail"),
        pytest.param("it is dana dot reyes at example dot com", "it is ***", id="e-mail-spoken"),
        pytest.param("+15550100001", "+***0001", id="phone"),
        pytest.param("(555) 010-0001 or 555.010.0002", "***0001 or ***0002", id="phones"),
        pytest.param("five five five oh one oh oh oh oh one", "***0001", id="phone-spoken"),
        pytest.param("confirmation 4155550123", "confirmation 4155550123", id="labelled-number"),
        pytest.param("sk_car_abcdef123", "sk_car_***", id="key"),
        pytest.param("Authorization: Bearer abcdef123456", "Authorization: Bearer ***", id="bearer"),
        pytest.param("?token=abcdef123456&a=1", "?token=***&a=1", id="query"),
        pytest.param("AC" + "1" * 32, "AC***", id="account"),
        pytest.param("CA" + "1" * 32, "CA" + "1" * 32, id="call"),
        pytest.param('<Parameter name="token" value="x y"/>', '<Parameter name="token" value="***"/>', id="parameter"),
        pytest.param('"customParameters":{"token":"x"},"a":1', '"customParameters":***,"a":1', id="custom-parameters"),
        pytest.param("$1,234.57 on 2026-12-22, 10:30", "$1,234.57 on 2026-12-22, 10:30", id="amount-and-date"),
        pytest.param("94107-1234 and 4821", "94107-1234 and 4821", id="postal-code-and-last-four"),
        pytest.param("nine hundred dollars", "nine hundred dollars", id="spoken-amount"),
        pytest.param("", "", id="empty"),
    ],
)
def test_redact(text: str, kept: str) -> None:
    assert redact(text) == kept


@pytest.mark.parametrize("seed", range(5))
def test_planted_secrets_are_gone(seed: int) -> None:
    left = [
        (secret.text, redact(secret.text))
        for secret in planted(700, seed=seed)
        if any(needle in redact(secret.text) for needle in secret.needles)
    ]

    assert left == []


def test_what_the_record_is_for_stays() -> None:
    sentences = harmless(5000, seed=1)
    changed = [(text, redact(text)) for text in sentences if redact(text) != text]

    assert len(changed) <= len(sentences) // 100, changed[:10]


@given(st.text(st.sampled_from("0123456789 -.,()+@abcdeot'\":=sk_") | st.characters(), max_size=120))
def test_once_is_enough_and_nothing_raises(text: str) -> None:
    assert redact(redact(text)) == redact(text)


WORDS = """
one two double 4111 1111 card cvv oh + 12 - . at dot com @ token= 123 is hundred ty
"""


@given(st.lists(st.sampled_from(WORDS.split())))
def test_once_is_enough_for_words(words: list[str]) -> None:
    text = " ".join(words)

    assert redact(redact(text)) == redact(text)


def test_half_a_secret_that_was_heard_is_a_secret() -> None:
    text, heard = redact_heard("card 4111 1111 1111 1111 ok", "card 4111 1111")

    assert (text, heard) == ("card *** ok", "card ***")


def test_what_was_heard_is_redacted_by_itself_when_it_is_no_beginning() -> None:
    assert redact_heard("hello", "cvv 123") == ("hello", "cvv ***")


def test_only_clean_short_texts_are_remembered_and_not_too_many(monkeypatch: pytest.MonkeyPatch) -> None:
    remembered: set[str] = set()
    monkeypatch.setattr(redaction, "_clean", remembered)
    for text in ("incoming", "card 4111 1111 1111 1111", "long " * 20):
        redact(text)
        redact(text)
    few = set(remembered)
    for number in range(10_000):
        redact(f"route {number}")

    assert few == {"incoming"}
    assert len(remembered) <= 4096


def test_values_keep_their_shape() -> None:
    value = {
        "amount": 90000,
        "at_ms": 1764000000123,
        "card": 4111111111111111,
        "cvv": 123,
        "deep": [{"token": "abc", "note": "ssn 123-45-6789", "none": None, "yes": True, "rate": 1.5}],
    }

    assert redact_value(value) == {
        "amount": 90000,
        "at_ms": 1764000000123,
        "card": MASK,
        "cvv": MASK,
        "deep": [{"token": MASK, "note": "ssn ***", "none": None, "yes": True, "rate": 1.5}],
    }


def test_depth_is_bounded() -> None:
    value: object = "x"
    for _ in range(2000):
        value = [value]

    assert MASK in json.dumps(redact_value(value))


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        pytest.param('{ "a" : 1 }', '{ "a" : 1 }', id="untouched-bytes"),
        pytest.param('{"card":4111111111111111}', '{"card":"***"}', id="number"),
        pytest.param('{"note":"cvv 123","ü":1}', '{"note":"cvv ***","ü":1}', id="text"),
        pytest.param("cvv 123", "cvv ***", id="no-json"),
        pytest.param("[" * 100_000, "[" * 100_000, id="too-deep"),
    ],
)
def test_json_stays_json(text: str, kept: str) -> None:
    assert redact_json(text) == kept


@pytest.mark.parametrize("piece", ["4 ", "one ", "4111 ", "a@", "pin 123 ", "a.", "token ", "at a dot "])
def test_long_hostile_text_is_linear(piece: str) -> None:
    text = piece * (50_000 // len(piece))

    assert len(redact(text)) <= len(text)  # pytest's timeout judges the time


@pytest.mark.parametrize("piece", ["00 0_077-77-7_7700 ", "-1", "((1", "1\t\t\t", "4111 1111 1111 1112 ", "one two "])
def test_the_work_grows_with_the_text_and_not_with_its_cube(piece: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Twice the digits are twice the work: a caller or an agent chooses the text, and audio waits meanwhile."""
    tried: list[str] = []
    is_phone, is_card = numbers._is_phone, numbers._is_card
    monkeypatch.setattr(numbers, "_is_phone", lambda *given: tried.append("phone") or is_phone(*given))
    monkeypatch.setattr(numbers, "_is_card", lambda digits: tried.append("card") or is_card(digits))
    counts = []
    for size in (2_000, 4_000):
        tried.clear()
        redact((piece * size)[:size])
        counts.append(len(tried))

    assert counts[1] <= 2.2 * counts[0] + 20
