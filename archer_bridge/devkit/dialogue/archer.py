"""Archer: verifies the caller, reads the options, records the one chosen, says goodbye.

Theory of operation. A stage says what Archer waits for: an answer of the caller (`heard`, `pressed`) or of a
tool (`tool_result`). In any stage the caller may ask for a person, take leave, or ask to hear the question
again. No account detail is said before `verify_account` said yes, and `process_payment` is called only after
the arrangement was read back and answered with a yes that nothing in the same breath takes back. It is never
called twice: when its answer is an error, a person takes over.
"""

import json
from collections.abc import Mapping
from typing import Any

from archer_bridge.devkit.dialogue import wording
from archer_bridge.devkit.dialogue.actions import Action, Say
from archer_bridge.devkit.dialogue.script import Script, Stage
from archer_bridge.devkit.dialogue.understanding import ACCOUNT_DIGITS, POSTAL_DIGITS, Remark
from archer_bridge.devkit.dialogue.wording import Offer, Standing


class ArcherDialogue:
    """One conversation. Pure and synchronous: each call returns what to do next, in order.

    `variables` are the session's dynamic variables; only `greeting` is read.
    """

    def __init__(self, variables: Mapping[str, str | int | float | bool]) -> None:
        greeting = variables.get("greeting")
        self._greeting = greeting.strip() if isinstance(greeting, str) else ""
        self._script = Script()
        self._account_last_4: str | None = None
        self._postal_code: str | None = None
        self._standing: Standing | None = None
        self._offer: Offer | None = None
        self._payment_type = ""

    def open(self) -> list[Action]:
        """Greet and ask for the details, unless the configured greeting asks for them already."""
        if "last four digits" in self._greeting.lower():
            return [Say(self._greeting)]
        return self._script.ask(Stage.IDENTIFY, wording.ASK_DETAILS, before=self._greeting or wording.GREETING)

    def heard(self, text: str) -> list[Action]:
        """Answer what the caller said; "" is speech that could not be understood."""
        remark, script = Remark(text), self._script
        if script.stage is Stage.CLOSED:
            return []
        if remark.wants_person:
            return script.transfer("the caller asked for a person", wording.TRANSFER)
        if self._is_leaving(remark):
            return self._leave()
        if script.stage is Stage.WAITING:
            return [Say(wording.ONE_MOMENT)]
        if remark.has_card_number:
            return script.ask_again(wording.NO_CARDS)
        if remark.wants_repeat:
            return script.ask_again()
        return self._answer(remark)

    def pressed(self, digits: str) -> list[Action]:
        """Take keyed digits: account digits, postal code, or both in this order; 0 asks for a person."""
        keyed = "".join(digit for digit in digits if digit in "0123456789")
        if self._script.stage is Stage.CLOSED:
            return []
        if keyed == "0":
            return self._script.transfer("the caller asked for a person", wording.TRANSFER)
        if self._script.stage is Stage.WAITING:
            return [Say(wording.ONE_MOMENT)]
        if self._script.stage is not Stage.IDENTIFY:
            return self._script.miss()
        if len(keyed) == ACCOUNT_DIGITS:
            return self._identify(keyed, None)
        if len(keyed) == POSTAL_DIGITS:
            return self._identify(None, keyed)
        if len(keyed) == ACCOUNT_DIGITS + POSTAL_DIGITS:
            return self._identify(keyed[:ACCOUNT_DIGITS], keyed[-POSTAL_DIGITS:])
        return self._script.miss()

    def tool_result(self, name: str, result: str, is_error: bool) -> list[Action]:
        """Go on after a tool's answer; one that is not due changes nothing."""
        if not self._script.answered(name):
            return []
        value = {} if is_error else _object(result)
        match name:
            case "verify_account":
                return self._verified(value)
            case "get_customer_options":
                return self._told_options(value)
            case "process_payment":
                return self._recorded(value)
            case _:  # transfer_to_human
                is_under_way = value.get("transferring") is True
                return [] if is_under_way else self._script.close(f"{wording.NOBODY} {wording.CALL_AGAIN}")

    # -- what the caller's answer means at each stage

    def _answer(self, remark: Remark) -> list[Action]:
        match self._script.stage:
            case Stage.IDENTIFY:
                found = remark.details()
                return self._identify(found.account_last_4, found.postal_code)
            case Stage.OFFER:
                return self._answer_offer(remark)
            case Stage.CHOOSE:
                return self._answer_choice(remark)
            case Stage.METHOD:
                return self._answer_method(remark)
            case Stage.CONFIRM:
                return self._answer_confirm(remark)
            case _:
                return self._answer_more(remark)

    def _identify(self, account_last_4: str | None, postal_code: str | None) -> list[Action]:
        if account_last_4 is None and postal_code is None:
            return self._script.miss()
        self._account_last_4 = account_last_4 or self._account_last_4
        self._postal_code = postal_code or self._postal_code
        if self._account_last_4 is None:
            return self._script.ask(Stage.IDENTIFY, wording.ASK_ACCOUNT, before=wording.THANKS)
        if self._postal_code is None:
            return self._script.ask(Stage.IDENTIFY, wording.ASK_POSTAL, before=wording.THANKS)
        details = {"account_last_4": self._account_last_4, "postal_code": self._postal_code}
        return self._script.call("verify_account", details)

    def _answer_offer(self, remark: Remark) -> list[Action]:
        if remark.is_explicit_yes or remark.asks_for_options or remark.option() is not None:
            return self._script.call("get_customer_options", {})
        return self._leave() if remark.has_no else self._script.miss()

    def _answer_choice(self, remark: Remark) -> list[Action]:
        offers = self._offers()
        option = remark.option([(offer.option, offer.total_cents) for offer in offers.values()])
        if option is None and len(offers) == 1 and remark.is_explicit_yes:
            option = next(iter(offers))
        if option is None and remark.asks_for_options:
            return self._script.ask_again()
        if option is None:
            return self._leave() if remark.has_no else self._script.miss()
        if option not in offers:
            return self._script.ask_again(wording.NOT_OFFERED)
        return self._choose(offers[option])

    def _choose(self, offer: Offer) -> list[Action]:
        self._offer = offer
        if offer.option == "payment_plan":
            return self._read_back("payment_plan")
        return self._script.ask(Stage.METHOD, wording.ASK_METHOD)

    def _answer_method(self, remark: Remark) -> list[Action]:
        method, other = remark.method(), self._other_choice(remark)
        if method is not None:
            return self._read_back(method)
        return self._choose(other) if other is not None else self._script.miss()

    def _read_back(self, payment_type: str) -> list[Action]:
        assert self._offer is not None
        self._payment_type = payment_type
        return self._script.ask(Stage.CONFIRM, wording.confirm_speech(self._offer, payment_type))

    def _answer_confirm(self, remark: Remark) -> list[Action]:
        assert self._offer is not None
        assert self._standing is not None
        other = self._other_choice(remark)
        if other is not None:
            return self._choose(other)
        if remark.is_explicit_yes:
            choice = {"option": self._offer.option, "payment_type": self._payment_type}
            return self._script.call("process_payment", choice)
        if remark.has_no and not remark.has_yes:
            question = wording.ask_which(self._standing)
            return self._script.ask(Stage.CHOOSE, question, before=wording.NOTHING_RECORDED)
        return self._script.miss()

    def _answer_more(self, remark: Remark) -> list[Action]:
        assert self._offer is not None
        if remark.has_no and not remark.has_yes:
            return self._leave()
        if remark.asks_for_options or remark.option() is not None:
            summary = f"You have {wording.arrangement(self._offer, self._payment_type)}."
            return self._script.ask(Stage.MORE, wording.ASK_MORE, before=summary)
        return self._script.miss() if remark.is_empty else self._script.ask(Stage.MORE, wording.ASK_MORE_AGAIN)

    # -- what the tools' answers mean

    def _verified(self, value: dict[str, Any]) -> list[Action]:
        if value.get("verified") is True:
            name = value.get("first_name")
            thanks = f"Thank you, {name}." if isinstance(name, str) and name else wording.THANKS
            return self._script.ask(Stage.OFFER, wording.ASK_OPTIONS, before=f"{thanks} {wording.VERIFIED}")
        self._account_last_4 = self._postal_code = None
        if value.get("verified") is not False:
            return self._script.failed(Stage.IDENTIFY, wording.ASK_DETAILS)
        left = value.get("attempts_left")
        if isinstance(left, int) and left <= 0:
            self._script.stage = Stage.CLOSED
            return [Say(wording.UNVERIFIED)]  # the bridge ends the call once this was heard
        return self._script.ask(Stage.IDENTIFY, wording.ASK_DETAILS, before=wording.NO_MATCH)

    def _told_options(self, value: dict[str, Any]) -> list[Action]:
        self._standing = wording.read_standing(value)
        if self._standing is None:
            return self._script.failed(Stage.OFFER, wording.ASK_OPTIONS)
        if not self._standing.offers:
            return self._script.transfer("nothing is offered to this customer", wording.TRANSFER_AFTER_TROUBLE)
        return self._script.ask(Stage.CHOOSE, wording.options_speech(self._standing))

    def _recorded(self, value: dict[str, Any]) -> list[Action]:
        assert self._offer is not None
        if value.get("recorded") is not True:
            speech = f"{wording.NOT_RECORDED} {wording.TRANSFER_AFTER_TROUBLE}"
            return self._script.transfer("the arrangement could not be recorded", speech)
        confirmation = value.get("confirmation")
        number = confirmation if isinstance(confirmation, str) else ""
        news = wording.recorded_speech(self._offer, self._payment_type, number)
        return self._script.ask(Stage.MORE, wording.ASK_MORE, before=news)

    # -- leaving, and changing one's mind

    def _is_leaving(self, remark: Remark) -> bool:
        if self._script.stage is Stage.CONFIRM and remark.is_explicit_yes:
            return False  # "Yes, that's right. Bye." agrees first
        return remark.is_farewell or (remark.is_done and self._script.stage is not Stage.WAITING)

    def _leave(self) -> list[Action]:
        is_open_offer = self._script.stage in (Stage.CHOOSE, Stage.METHOD, Stage.CONFIRM)
        return self._script.close(f"{wording.NOTHING_RECORDED} {wording.GOODBYE}" if is_open_offer else wording.GOODBYE)

    def _offers(self) -> dict[str, Offer]:
        return {offer.option: offer for offer in self._standing.offers} if self._standing else {}

    def _other_choice(self, remark: Remark) -> Offer | None:
        """The offered option that the caller would rather have than the one chosen."""
        offer = self._offers().get(remark.option() or "")
        return None if offer is None or offer == self._offer else offer


def _object(text: str) -> dict[str, Any]:
    """The JSON object in `text`; {} when it holds anything else, which no stage takes for a success."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}
