"""Where a conversation stands, and the moves that take it on."""

from enum import Enum, auto
from typing import Any

from archer_bridge.devkit.dialogue import wording
from archer_bridge.devkit.dialogue.actions import Action, CallTool, HangUp, Say

_MISSES_BEFORE_A_PERSON = 4
_ERRORS_BEFORE_A_PERSON = 2


class Stage(Enum):
    """What the agent waits for."""

    IDENTIFY = auto()
    """The account digits and the postal code."""
    OFFER = auto()
    """Whether to hear the options."""
    CHOOSE = auto()
    """Which option."""
    METHOD = auto()
    """How to pay."""
    CONFIRM = auto()
    """Yes or no to the arrangement read back."""
    MORE = auto()
    """Whether there is anything else."""
    WAITING = auto()
    """The answer of a tool."""
    CLOSED = auto()
    """Nothing: the goodbye was said, or a person takes over."""


class Script:
    """The stage, the open question, the tool whose answer is due, and how often things went wrong."""

    def __init__(self) -> None:
        self.stage = Stage.IDENTIFY
        self.question = wording.ASK_DETAILS
        self._awaited = ""
        self._misses = 0  # remarks in a row that led nowhere
        self._errors = 0  # tool errors in the call

    def ask(self, stage: Stage, question: str, *, before: str = "") -> list[Action]:
        """Ask `question`, which is said again whenever the caller needs it, and wait in `stage`."""
        self.stage, self.question, self._misses = stage, question, 0
        return [Say(f"{before} {question}".strip())]

    def ask_again(self, before: str = "") -> list[Action]:
        """Repeat the open question."""
        return [Say(f"{before} {self.question}".strip())]

    def miss(self) -> list[Action]:
        """Ask once more after an answer that made no sense here; in the end, a person takes over."""
        self._misses += 1
        if self._misses >= _MISSES_BEFORE_A_PERSON:
            return self.transfer("the caller could not be understood", wording.TRANSFER_AFTER_TROUBLE)
        help_offer = f" {wording.OR_A_PERSON}" if self._misses > 1 else ""
        return [Say(f"{wording.NOT_CAUGHT} {self.question}{help_offer}")]

    def call(self, name: str, arguments: dict[str, Any]) -> list[Action]:
        """Call a tool and wait for its answer."""
        self.stage, self._awaited, self._misses = Stage.WAITING, name, 0
        return [CallTool(name, arguments)]

    def answered(self, name: str) -> bool:
        """Take note of a tool's answer; False if it is not the one that is due."""
        if name != self._awaited:
            return False
        self._awaited = ""
        return True

    def failed(self, stage: Stage, question: str) -> list[Action]:
        """Go back to `question` after a tool error; after the second, a person takes over."""
        self._errors += 1
        if self._errors >= _ERRORS_BEFORE_A_PERSON:
            return self.transfer("a tool failed", f"{wording.TROUBLE} {wording.TRANSFER_AFTER_TROUBLE}")
        return self.ask(stage, question, before=wording.TROUBLE)

    def transfer(self, reason: str, speech: str) -> list[Action]:
        """Hand the caller to a person."""
        self.stage, self._awaited = Stage.CLOSED, "transfer_to_human"
        return [Say(speech), CallTool("transfer_to_human", {"reason": reason})]

    def close(self, goodbye: str = wording.GOODBYE) -> list[Action]:
        """Say goodbye and hang up, as the vendor's own end_call system tool does."""
        self.stage, self._awaited = Stage.CLOSED, ""
        return [Say(goodbye), HangUp()]
