"""What a caller's words mean, read by rules that forgive a speech recogniser its habits."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from archer_bridge.devkit.voices.numerals import words

ACCOUNT_DIGITS = 4
POSTAL_DIGITS = 5

_YES = {"yes", "yeah", "yep", "yup", "sure", "correct", "right", "ok", "okay", "absolutely", "definitely", "agreed"}
_YES_PHRASES = ("go ahead", "please do", "sounds good", "that works", "i agree", "i confirm", "of course")
_NO = {"no", "nope", "nah", "not", "never", "wrong", "incorrect", "cancel", "stop", "wait", "cannot", "different"}
_FAREWELL = {"bye", "goodbye"}
_FAREWELL_PHRASES = ("hang up", "end the call")
_DONE_PHRASES = (
    *("that's all", "that is all", "that's it", "that is it", "that'll be all", "that will be all"),
    *("nothing else", "nothing more", "no thanks", "no thank you", "all set", "i'm done", "i am done"),
)
_PEOPLE = {
    *("human", "person", "agent", "representative", "operator", "someone", "somebody"),
    *("manager", "supervisor", "advisor"),
}
_PEOPLE_PHRASES = ("transfer me", "customer service", "put me through")
_REPEAT_PHRASES = ("say that again", "say it again", "come again", "once more", "one more time", "didn't hear")
_REPEAT_ALONE = {"sorry", "what", "huh", "excuse", "me", "i'm", "pardon", "again", "was", "that", "please", "say"}
_REPEAT_CORE = {"sorry", "what", "huh", "pardon", "again", "excuse"}
_OPTION_WORDS = {
    "full_payment": {"full", "everything", "whole", "entire", "fully"},
    "settlement": {"settle", "settlement", "settling", "settled", "reduced", "discount", "discounted"},
    "payment_plan": {"plan", "monthly", "installments", "installment", "instalments", "payments", "months"},
}
_ORDINALS = {"first": 0, "second": 1, "third": 2}
_ASKS_FOR_OPTIONS = {"option", "options", "choices", "hear", "balance", "owe", "help"}
_METHOD_WORDS = {
    "sms_link": {"link", "text", "sms", "message", "texted"},
    "bank_transfer": {"bank", "transfer", "wire", "ach", "account"},
}
_ACCOUNT_CUES = {"account", "ends", "ending", "last"}
_POSTAL_CUES = {"zip", "postal", "postcode"}
_CARD_DIGITS = 13  # the shortest payment card number
_RUN = re.compile(r"(\d)\1*", re.ASCII)
_ZIP_PLUS_FOUR = re.compile(r"\b(\d{5})-\d{4}\b", re.ASCII)


@dataclass(frozen=True, slots=True)
class Details:
    """Account digits and postal code found in what was said; None where there was none to be found."""

    account_last_4: str | None = None
    postal_code: str | None = None


class Remark:
    """One thing the caller said, and the questions that can be asked about it."""

    def __init__(self, text: str) -> None:
        self.words = words(_ZIP_PLUS_FOUR.sub(r"\1", text))
        self._line = f" {' '.join(self.words)} "

    @property
    def is_empty(self) -> bool:
        """Whether no word could be made out."""
        return not self.words

    @property
    def has_yes(self) -> bool:
        """Whether it agrees; it may take it back in the same breath, see `has_no`."""
        return self._has(_YES, _YES_PHRASES)

    @property
    def has_no(self) -> bool:
        """Whether it denies anything, contractions included."""
        return self._has(_NO, ()) or any(word.endswith("n't") for word in self.words)

    @property
    def is_explicit_yes(self) -> bool:
        """Whether it agrees and denies nothing: enough to act on."""
        return self.has_yes and not self.has_no

    @property
    def is_farewell(self) -> bool:
        """Whether the caller takes leave."""
        return self._has(_FAREWELL, _FAREWELL_PHRASES)

    @property
    def is_done(self) -> bool:
        """Whether the caller wants nothing more."""
        return self.is_farewell or self._has(set(), _DONE_PHRASES)

    @property
    def wants_person(self) -> bool:
        """Whether the caller asks for a human being."""
        return self._has(_PEOPLE, _PEOPLE_PHRASES)

    @property
    def wants_repeat(self) -> bool:
        """Whether the caller did not hear."""
        if self._has({"repeat", "pardon"}, _REPEAT_PHRASES):
            return True
        return bool(_REPEAT_CORE & set(self.words)) and set(self.words) <= _REPEAT_ALONE

    @property
    def asks_for_options(self) -> bool:
        """Whether the caller asks what can be done."""
        return self._has(_ASKS_FOR_OPTIONS, ())

    @property
    def has_card_number(self) -> bool:
        """Whether it holds something as long as a payment card number."""
        return sum(len(word) for word in self.words if word.isdecimal()) >= _CARD_DIGITS

    def option(self, offered: Sequence[tuple[str, int]] = ()) -> str | None:
        """The one option meant, by name, place in the `offered` list of (option, cents), or amount.

        May name an option that is not offered. None when no option is meant, or more than one.
        """
        named = {option for option, keys in _OPTION_WORDS.items() if keys & set(self.words)}
        if not named:
            named = {option for option, cents in offered if self._has_amount(cents)}
        if not named:
            places = [_ORDINALS[word] for word in self.words if word in _ORDINALS]
            places += [int(key) - 1 for key in _after(self.words, {"option", "number"}) if key in ("1", "2", "3")]
            named = {offered[place][0] for place in places if place < len(offered)}
        return named.pop() if len(named) == 1 else None

    def method(self) -> str | None:
        """The one way to pay that is meant, or None."""
        named = {method for method, keys in _METHOD_WORDS.items() if keys & set(self.words)}
        return named.pop() if len(named) == 1 else None

    def details(self) -> Details:
        """Account digits and postal code, told apart by length, by the words before them, by order."""
        found = _Finder(self.words)
        return Details(found.account_last_4, found.postal_code)

    def _has(self, keys: set[str], phrases: tuple[str, ...]) -> bool:
        return bool(keys & set(self.words)) or any(f" {phrase} " in self._line for phrase in phrases)

    def _has_amount(self, cents: int) -> bool:
        dollars, rest = divmod(cents, 100)
        amount = f" {dollars} dollars " + (f"{rest} cents " if rest else "")
        return amount in self._line


def _after(tokens: list[str], keys: set[str]) -> list[str]:
    return [after for word, after in zip(tokens, tokens[1:], strict=False) if word in keys]


class _Finder:
    """Sorts the numbers of one remark into account digits and postal code; the last word counts."""

    def __init__(self, tokens: list[str]) -> None:
        self.account_last_4: str | None = None
        self.postal_code: str | None = None
        self._is_postal_first = _first(tokens, _POSTAL_CUES) < _first(tokens, _ACCOUNT_CUES)
        cue = ""
        groups: list[tuple[str, str]] = []
        for word in tokens:
            if word in _ACCOUNT_CUES:
                cue = "account"
            elif word in _POSTAL_CUES:
                cue = "postal"
            elif word.isdecimal():
                groups.append((word, cue))
        has_postal = any(len(digits) == POSTAL_DIGITS for digits, _ in groups)
        for digits, cue in groups:
            self._take(digits, cue, has_postal=has_postal)
        if len(groups) > 1 and self.account_last_4 is None and self.postal_code is None:
            self._take("".join(digits for digits, _ in groups), "", has_postal=False)

    def _take(self, digits: str, cue: str, *, has_postal: bool) -> None:
        both = ACCOUNT_DIGITS + POSTAL_DIGITS
        if cue != "account":
            digits = _recounted(digits)
        if len(digits) == POSTAL_DIGITS:
            self.postal_code = digits
        elif len(digits) == ACCOUNT_DIGITS and (cue != "postal" or has_postal):
            self.account_last_4 = digits
        elif len(digits) > POSTAL_DIGITS and (has_postal or cue == "account") and len(digits) != both:
            self.account_last_4 = digits[-ACCOUNT_DIGITS:]  # the whole account number was said
        elif len(digits) == both and has_postal:
            self.account_last_4 = digits[-ACCOUNT_DIGITS:]
        elif len(digits) == both and self._is_postal_first:
            self.postal_code, self.account_last_4 = digits[:POSTAL_DIGITS], digits[POSTAL_DIGITS:]
        elif len(digits) == both:
            self.account_last_4, self.postal_code = digits[:ACCOUNT_DIGITS], digits[ACCOUNT_DIGITS:]


def _recounted(digits: str) -> str:
    """A postal code in which a run of one digit was heard too long, which recognisers do, cut to length."""
    excess = len(digits) - POSTAL_DIGITS
    run = max((match[0] for match in _RUN.finditer(digits)), key=len, default="")
    if 1 <= excess <= 2 and len(run) - excess >= 3:
        return digits.replace(run, run[excess:], 1)
    return digits


def _first(tokens: list[str], keys: set[str]) -> int:
    return next((at for at, word in enumerate(tokens) if word in keys), len(tokens))
