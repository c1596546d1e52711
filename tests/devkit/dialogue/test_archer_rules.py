"""What Archer never does, whatever happens in whatever order."""

import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from archer_bridge.devkit.dialogue import ArcherDialogue, CallTool, Say
from archer_bridge.devkit.voices.numerals import words
from tests.devkit.dialogue.talk import (
    CONFIRMING,
    DETAILS,
    ERROR,
    NO_SETTLEMENT,
    OPTIONS,
    PLAN,
    RECORDED,
    VERIFIED,
    Talk,
)

AGREEMENTS = (
    *("yes", "yeah", "yep", "yup", "sure", "correct", "right", "ok", "okay", "absolutely", "definitely", "agreed"),
    *("go ahead", "please do", "sounds good", "that works", "i agree", "i confirm", "of course"),
)
REFUSALS = ("no", "nope", "not", "don't", "can't", "wrong", "wait", "stop", "cancel", "never")


def is_consent(text: str) -> bool:
    """Whether somebody reading the transcript would call it a yes: agreement, and no refusal with it."""
    line = f" {' '.join(words(text))} "
    return any(f" {key} " in line for key in AGREEMENTS) and not any(f" {key} " in line for key in REFUSALS)


LINES = st.one_of(
    st.sampled_from(
        [DETAILS, "4821", "94107", "yes", "no", "yes no", "the payment plan", "in full", "settle", "a link", "by bank"]
        + ["what?", "", "options", "a person", "bye", "that's all", "4242 4242 4242 4242", "um", "sure", "first"]
    ),
    st.text(max_size=30),
)
RESULTS = st.sampled_from(
    [json.dumps(value) for value in (VERIFIED, OPTIONS, NO_SETTLEMENT, RECORDED, ERROR, {}, {"transferring": True})]
    + [json.dumps({"verified": False, "attempts_left": left}) for left in (1, 0)]
    + ["", "[1", '{"ending": true}']
)
TOOLS = st.sampled_from(
    ["verify_account", "get_customer_options", "process_payment", "transfer_to_human", "end_call", "other"]
)
EVENTS = st.one_of(
    st.tuples(st.just("heard"), LINES),
    st.tuples(st.just("pressed"), st.text("0123456789*#", max_size=10)),
    st.tuples(st.just("tool_result"), TOOLS, RESULTS, st.booleans()),
    st.tuples(st.just("answer"), RESULTS),  # of the tool that is due
)
SECRETS = ("Dana", "900", "630", "150", "120 days")


UP_TO_THE_CHOICE: list[tuple[Any, ...]] = [
    ("heard", DETAILS),
    ("answer", json.dumps(VERIFIED)),
    ("heard", "options"),
    ("answer", json.dumps(OPTIONS)),
]


UP_TO_THE_YES = [*UP_TO_THE_CHOICE, ("heard", "the payment plan")]


@given(start=st.sampled_from([[], UP_TO_THE_CHOICE, UP_TO_THE_YES]), more=st.lists(EVENTS, max_size=20))
@settings(max_examples=150, deadline=None)
def test_no_order_of_events_breaks_the_rules(start: list[tuple[Any, ...]], more: list[tuple[Any, ...]]) -> None:
    dialogue = ArcherDialogue({})
    actions = dialogue.open()
    due, verified, offered, payments = "", False, False, 0
    for kind, *values in [*start, *more]:
        if kind == "answer":
            kind, values = "tool_result", [due, values[0], False]
        if kind == "tool_result" and values[0] == due and not values[2]:
            verified |= due == "verify_account" and values[1] == json.dumps(VERIFIED)
            offered |= due == "get_customer_options" and "balance_cents" in values[1]
        actions = getattr(dialogue, kind)(*values)

        calls = [action.name for action in actions if isinstance(action, CallTool)]
        said = " ".join(action.text for action in actions if isinstance(action, Say))
        payments += calls.count("process_payment")
        if not verified:
            assert not any(secret in said for secret in SECRETS)
            assert not {"get_customer_options", "process_payment"} & set(calls)
        if "process_payment" in calls:
            assert offered
            assert kind == "heard"
            assert is_consent(values[0])
        if kind == "tool_result":
            due = "" if values[0] == due else due
        due = calls[0] if calls else due

    assert payments <= 1


@given(st.one_of(st.text(max_size=60), st.lists(st.sampled_from(AGREEMENTS + REFUSALS)).map(" ".join)))
@settings(deadline=None)
def test_only_a_clear_yes_records_the_arrangement(text: str) -> None:
    agreed = Talk(*CONFIRMING).go(text) == [PLAN]

    assert not agreed or is_consent(text)
