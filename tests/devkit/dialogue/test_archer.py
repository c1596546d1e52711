"""Conversations with Archer."""

import json
from typing import Any

import pytest

from archer_bridge.devkit.dialogue import Action, ArcherDialogue, CallTool, Say
from tests.devkit.dialogue.talk import (
    CHOOSING,
    CONFIRMING,
    DETAILS,
    DONE,
    ERROR,
    GOODBYE,
    LIST,
    NO_SETTLEMENT,
    ONLY_PLAN,
    OPTIONS,
    PLAN,
    RECORDED,
    RECORDING,
    VERIFIED,
    VERIFY,
    Talk,
    pay,
)


def test_the_happy_path() -> None:
    talk = Talk(greeting="Hello, this is Archer.")
    ask = "Please tell me the last four digits of your account number and your postal code."
    plan = "a payment plan of six monthly payments of $150.00, the first on January 5"

    assert talk.last == [Say(f"Hello, this is Archer. {ask}")]
    assert talk.go(DETAILS) == [VERIFY]
    assert talk.go(VERIFIED) == [Say("Thank you, Dana. You are verified. Would you like to hear your options?")]
    assert talk.go("Yes, what are my options?") == [LIST]
    assert "$900.00" in (talk.go(OPTIONS) and talk.said)
    assert talk.go("The payment plan please.") == [Say(f"To confirm, {plan}. Is that right?")]
    assert talk.go("Yes, that's right.") == [PLAN]
    assert talk.go(RECORDED) == [
        Say(
            f"Your arrangement is recorded: {plan}. Your confirmation number is A-X7K2Q9."
            " You will receive a written confirmation. Is there anything else I can help you with?"
        )
    ]
    assert talk.go("No, that's all. Goodbye.") == [Say("Thank you for calling. Goodbye."), GOODBYE]


def test_wrong_details_twice_end_in_a_polite_goodbye() -> None:
    wrong = "My account ends in 1111 and my zip code is 00000."
    call = CallTool("verify_account", {"account_last_4": "1111", "postal_code": "00000"})
    talk = Talk()

    assert talk.go(wrong) == [call]
    assert "once more" in (talk.go({"verified": False, "attempts_left": 1}) and talk.said)
    assert talk.go(wrong) == [call]
    assert talk.go({"verified": False, "attempts_left": 0, "message": "no"}) == [
        Say("I am sorry, I could not verify your details, so I cannot continue. Please call us again later. Goodbye.")
    ]
    assert talk.go("But wait!") == []
    assert talk.press("0") == []


@pytest.mark.parametrize(
    ("lines", "actions"),
    [
        pytest.param((DETAILS,), [VERIFY], id="details-at-once"),
        pytest.param(("four eight two one", "nine four one oh seven"), [VERIFY], id="details-in-two-turns"),
        pytest.param(("zip 94107", "account 4821"), [VERIFY], id="details-in-the-other-order"),
        pytest.param(("4812", "no, 4821", "94107"), [VERIFY], id="details-corrected"),
        pytest.param((DETAILS, VERIFIED, "yes please"), [LIST], id="yes-to-options"),
        pytest.param((DETAILS, VERIFIED, "I want a payment plan"), [LIST], id="option-named-early"),
        pytest.param((DETAILS, ERROR, DETAILS), [VERIFY], id="verify-again-after-an-error"),
        pytest.param((DETAILS, VERIFIED, "yes", ERROR, "yes"), [LIST], id="options-again-after-an-error"),
        pytest.param(RECORDING, [PLAN], id="plan"),
        pytest.param((*CHOOSING, "pay in full", "a link", "yes"), [pay("full_payment", "sms_link")], id="full-by-link"),
        pytest.param(
            (*CHOOSING, "the settlement", "my bank", "correct"),
            [pay("settlement", "bank_transfer")],
            id="settlement-by-bank",
        ),
        pytest.param((*CHOOSING, "the settlement", "no, the payment plan", "yes"), [PLAN], id="changed-at-the-method"),
        pytest.param(
            (*CONFIRMING, "yes but the settlement", "link", "yes"),
            [pay("settlement", "sms_link")],
            id="changed-at-the-confirmation",
        ),
        pytest.param((*CONFIRMING, "no", "the payment plan", "yes"), [PLAN], id="no-and-back"),
        pytest.param((*CHOOSING[:-1], ONLY_PLAN, "yes", "yes"), [PLAN], id="yes-to-the-only-option"),
        pytest.param((*CONFIRMING, "Sorry?", "yes"), [PLAN], id="repeat-then-yes"),
        pytest.param((*CONFIRMING, "yes, the payment plan, goodbye"), [PLAN], id="yes-and-goodbye"),
        pytest.param((*DONE, "no"), [Say("Thank you for calling. Goodbye."), GOODBYE], id="nothing-more"),
        pytest.param((*DONE, "bye", "hello?"), [], id="silent-after-the-goodbye"),
    ],
)
def test_paths_end_in_these_actions(lines: tuple[str | dict[str, Any], ...], actions: list[Action]) -> None:
    assert Talk(*lines).last == actions


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        pytest.param(("4821",), "Thank you. Please tell me your postal code.", id="half-the-details"),
        pytest.param(("94107",), "Thank you. Please tell me the last four digits", id="other-half"),
        pytest.param(("",), "Sorry, I did not catch that. Please tell me the last four", id="unintelligible"),
        pytest.param(("hm", "hm"), "You can also ask for a person at any time.", id="second-miss-offers-help"),
        pytest.param(("What?",), "Please tell me the last four digits", id="repeat"),
        pytest.param((DETAILS, "Hello?"), "One moment, please.", id="patience-during-a-tool"),
        pytest.param((*CHOOSING, "um"), "Sorry, I did not catch that. Your balance is $900.00", id="unclear-choice"),
        pytest.param((*CHOOSING, "say that again"), "Your balance is $900.00", id="options-again"),
        pytest.param((*CHOOSING, "how much do I owe"), "Your balance is $900.00", id="balance-again"),
        pytest.param((*CHOOSING, "settle"), "by a secure link in a text message, or by bank transfer?", id="method"),
        pytest.param((*CONFIRMING, "not sure"), "did not catch that. To confirm", id="doubt-is-no-consent"),
        pytest.param((*CONFIRMING, "no"), "nothing has been recorded. Which would you like", id="no"),
        pytest.param((*CHOOSING, "link", "4242 4242 4242 4242"), "do not tell me card numbers", id="card"),
        pytest.param((*DONE, "what was my plan"), "You have a payment plan of six", id="summary"),
        pytest.param((*DONE, "yes"), "I can repeat the arrangement", id="more"),
        pytest.param((*CHOOSING, "no thanks"), "nothing has been recorded. Thank you for calling", id="declined"),
        pytest.param((DETAILS, VERIFIED, "no"), "Thank you for calling. Goodbye.", id="options-declined"),
        pytest.param((DETAILS, ERROR), "I had trouble looking that up. Please tell me", id="tool-error"),
        pytest.param(
            (*CHOOSING[:-1], NO_SETTLEMENT, "settle"), "that option is not available", id="option-not-offered"
        ),
        pytest.param(("a human please", ERROR), "nobody is available right now", id="nobody-there"),
    ],
)
def test_paths_lead_to_these_words(lines: tuple[str | dict[str, Any], ...], said: str) -> None:
    assert said in Talk(*lines).said


@pytest.mark.parametrize(
    ("lines", "reason"),
    [
        pytest.param(("I want a human",), "the caller asked for a person", id="asked"),
        pytest.param((*CONFIRMING, "get me a person"), "the caller asked for a person", id="asked-late"),
        pytest.param((DETAILS, "an agent please"), "the caller asked for a person", id="asked-during-a-tool"),
        pytest.param(("hm", "", "eh", "hm"), "the caller could not be understood", id="misses"),
        pytest.param((DETAILS, ERROR, DETAILS, ERROR), "a tool failed", id="errors"),
        pytest.param((*RECORDING, ERROR), "the arrangement could not be recorded", id="not-recorded"),
        pytest.param(
            (*CHOOSING[:-1], {**OPTIONS, "options": []}), "nothing is offered to this customer", id="nothing-offered"
        ),
    ],
)
def test_a_person_takes_over(lines: tuple[str | dict[str, Any], ...], reason: str) -> None:
    talk = Talk(*lines)

    assert talk.last[-1] == CallTool("transfer_to_human", {"reason": reason})
    assert talk.said.endswith("Please hold the line.")
    assert talk.go({"transferring": True}) == []


@pytest.mark.parametrize(
    ("keys", "actions"),
    [
        pytest.param(["482194107"], [VERIFY], id="both"),
        pytest.param(["4821", "94107"], [VERIFY], id="one-by-one"),
        pytest.param(["94107#", "4821#"], [VERIFY], id="other-order"),
        pytest.param(["4*821", "94107"], [VERIFY], id="stray-star"),
    ],
)
def test_details_can_be_keyed(keys: list[str], actions: list[Action]) -> None:
    talk = Talk()

    for digits in keys:
        talk.press(digits)

    assert talk.last == actions


def test_keys_and_words_may_be_mixed() -> None:
    talk = Talk("my account ends in 4821")

    assert talk.press("94107") == [VERIFY]
    assert talk.press("1") == [Say("One moment, please.")]


@pytest.mark.parametrize(
    ("lines", "keys", "said"),
    [
        pytest.param((), "48", "Sorry, I did not catch that.", id="too-few"),
        pytest.param(CONFIRMING, "1", "Sorry, I did not catch that. To confirm", id="keys-are-no-consent"),
        pytest.param((), "0", "connect you with a person", id="zero-is-a-person"),
    ],
)
def test_other_keys(lines: tuple[str | dict[str, Any], ...], keys: str, said: str) -> None:
    talk = Talk(*lines)
    talk.press(keys)

    assert said in talk.said


def test_a_greeting_that_asks_for_the_details_is_enough() -> None:
    greeting = "Hello, this is Archer. Please tell me the last four digits of your account number."
    talk = Talk(greeting=greeting)

    assert talk.last == [Say(greeting)]
    assert talk.go("Sorry?") == [
        Say("Please tell me the last four digits of your account number and your postal code.")
    ]


def test_without_a_greeting_variable_archer_introduces_itself() -> None:
    assert Talk().said.startswith("Hello, this is Archer, the automated assistant for your account. Please tell me")


@pytest.mark.parametrize("result", ["", "no JSON", "[]", "null", '{"verified": "yes"}', "[" * 100_000])
def test_a_result_that_makes_no_sense_is_a_failure(result: str) -> None:
    dialogue = ArcherDialogue({})
    dialogue.heard(DETAILS)

    [action] = dialogue.tool_result("verify_account", result, False)

    assert isinstance(action, Say)
    assert action.text.startswith("I am sorry, I had trouble looking that up.")


def test_a_result_that_is_not_due_changes_nothing() -> None:
    dialogue = ArcherDialogue({})

    assert dialogue.tool_result("verify_account", json.dumps(VERIFIED), False) == []
    assert dialogue.heard("Yes, what are my options?") != [LIST]
