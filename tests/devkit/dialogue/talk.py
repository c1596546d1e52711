"""A conversation with Archer, written as its lines."""

import json
from typing import Any

from archer_bridge.devkit.dialogue import Action, ArcherDialogue, CallTool, HangUp, Say

DETAILS = "My account ends in 4821 and my zip code is 94107."
VERIFIED = {"verified": True, "first_name": "Dana"}
PAYMENTS = [{"due": f"2027-0{month}-05", "amount_cents": 15000} for month in range(1, 7)]
OPTIONS = {
    "balance_cents": 90000,
    "days_overdue": 120,
    "options": [
        {"option": "full_payment", "total_cents": 90000},
        {"option": "settlement", "total_cents": 63000},
        {"option": "payment_plan", "total_cents": 90000, "payments": PAYMENTS},
    ],
}
NO_SETTLEMENT = {**OPTIONS, "options": [OPTIONS["options"][0], OPTIONS["options"][2]]}  # type: ignore[index]  # a list
ONLY_PLAN = {**OPTIONS, "options": OPTIONS["options"][2:]}  # type: ignore[index]  # a list
RECORDED = {"recorded": True, "confirmation": "A-X7K2Q9"}
ERROR = {"error": {"code": "timeout", "message": "no answer"}}
GOODBYE = HangUp()
VERIFY = CallTool("verify_account", {"account_last_4": "4821", "postal_code": "94107"})
LIST = CallTool("get_customer_options", {})


def pay(option: str, payment_type: str) -> CallTool:
    return CallTool("process_payment", {"option": option, "payment_type": payment_type})


PLAN = pay("payment_plan", "payment_plan")


class Talk:
    """A conversation in progress: strings are heard, dicts are results of the tool last called."""

    def __init__(self, *lines: str | dict[str, Any], greeting: str = "") -> None:
        self.dialogue = ArcherDialogue({"greeting": greeting})
        self.last: list[Action] = self.dialogue.open()
        self.tool = ""
        self.go(*lines)

    def go(self, *lines: str | dict[str, Any]) -> list[Action]:
        for line in lines:
            if isinstance(line, str):
                self._note(self.dialogue.heard(line))
            else:
                self._note(self.dialogue.tool_result(self.tool, json.dumps(line), "error" in line))
        return self.last

    def press(self, digits: str) -> list[Action]:
        return self._note(self.dialogue.pressed(digits))

    def _note(self, actions: list[Action]) -> list[Action]:
        self.last = actions
        self.tool = next((action.name for action in actions if isinstance(action, CallTool)), self.tool)
        return actions

    @property
    def said(self) -> str:
        return " ".join(action.text for action in self.last if isinstance(action, Say))


CHOOSING: tuple[str | dict[str, Any], ...] = (DETAILS, VERIFIED, "Yes, what are my options?", OPTIONS)
CONFIRMING = (*CHOOSING, "The payment plan please.")
RECORDING = (*CONFIRMING, "Yes, that's right.")
DONE = (*RECORDING, RECORDED)
