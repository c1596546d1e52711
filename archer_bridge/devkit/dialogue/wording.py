"""What Archer says: respectful, never threatening, amounts to the cent, no card numbers."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

GREETING = "Hello, this is Archer, the automated assistant for your account."
ASK_DETAILS = "Please tell me the last four digits of your account number and your postal code."
ASK_ACCOUNT = "Please tell me the last four digits of your account number."
ASK_POSTAL = "Please tell me your postal code."
ASK_OPTIONS = "Would you like to hear your options?"
ASK_METHOD = "Would you like to pay by a secure link in a text message, or by bank transfer?"
ASK_MORE = "Is there anything else I can help you with?"
ASK_MORE_AGAIN = "I can repeat the arrangement, or connect you with a person. Is there anything else you need?"
THANKS = "Thank you."
VERIFIED = "You are verified."
NOT_CAUGHT = "Sorry, I did not catch that."
OR_A_PERSON = "You can also ask for a person at any time."
ONE_MOMENT = "One moment, please."
NO_MATCH = "I am sorry, those details do not match our records. Let us try once more."
UNVERIFIED = "I am sorry, I could not verify your details, so I cannot continue. Please call us again later. Goodbye."
TROUBLE = "I am sorry, I had trouble looking that up."
NO_CARDS = "Please do not tell me card numbers. I cannot take cards on this call."
NOT_OFFERED = "I am sorry, that option is not available for your account."
NOTHING_RECORDED = "All right, nothing has been recorded."
NOT_RECORDED = "I am sorry, I could not confirm that your arrangement was recorded."
TRANSFER = "Of course. I will connect you with a person. Please hold the line."
TRANSFER_AFTER_TROUBLE = "Let me connect you with a person who can help. Please hold the line."
NOBODY = "I am sorry, nobody is available right now."
GOODBYE = "Thank you for calling. Goodbye."
CALL_AGAIN = "Please call us again later. Goodbye."

OPTION_NAMES = {
    "full_payment": "full payment",
    "settlement": "settlement",
    "payment_plan": "payment plan",
}
_METHODS = {
    "sms_link": "by a secure link in a text message",
    "bank_transfer": "by bank transfer",
    "payment_plan": "",
}
_COUNTS = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve")


@dataclass(frozen=True, slots=True)
class Offer:
    """One option of the customer; `payments` are (due date in ISO form, cents), empty for a single payment."""

    option: str
    total_cents: int
    payments: tuple[tuple[str, int], ...] = ()


@dataclass(frozen=True, slots=True)
class Standing:
    """The customer's account as `get_customer_options` tells it."""

    balance_cents: int
    days_overdue: int
    offers: tuple[Offer, ...]


def read_standing(result: dict[str, Any]) -> Standing | None:
    """Read the result of `get_customer_options`; None if it is not one. Unknown options are left out."""
    balance, days, options = (result.get(key) for key in ("balance_cents", "days_overdue", "options"))
    if not isinstance(balance, int) or not isinstance(days, int) or not isinstance(options, list):
        return None
    offers = [offer for item in options if (offer := _read_offer(item)) is not None]
    return Standing(balance, days, tuple(offers))


def _read_offer(item: Any) -> Offer | None:
    if not isinstance(item, dict) or item.get("option") not in OPTION_NAMES:
        return None
    total, payments = item.get("total_cents"), item.get("payments") or []
    if not isinstance(total, int) or not isinstance(payments, list):
        return None
    parts = [(part.get("due"), part.get("amount_cents")) for part in payments if isinstance(part, dict)]
    dated = tuple((due, cents) for due, cents in parts if isinstance(due, str) and isinstance(cents, int))
    return Offer(item["option"], total, dated)


def dollars(cents: int) -> str:
    """Cents as "$1,234.57"."""
    sign = "-" if cents < 0 else ""
    return f"{sign}${abs(cents) // 100:,}.{abs(cents) % 100:02d}"


def options_speech(standing: Standing) -> str:
    """The balance and everything that is offered, ending in the question which one."""
    overdue = f" and is {standing.days_overdue} days overdue" if standing.days_overdue > 0 else ""
    offers = [_as_choice(offer) for offer in standing.offers]
    listed = _joined(offers, "or")
    return f"Your balance is {dollars(standing.balance_cents)}{overdue}. You can {listed}. {ask_which(standing)}"


def ask_which(standing: Standing) -> str:
    """The question which option it shall be."""
    names = [f"the {OPTION_NAMES[offer.option]}" for offer in standing.offers]
    return f"Which would you like, {_joined(names, 'or')}?" if len(names) > 1 else f"Would you like {names[0]}?"


def confirm_speech(offer: Offer, payment_type: str) -> str:
    """The arrangement read back, ending in the question whether it is right."""
    return f"To confirm, {arrangement(offer, payment_type)}. Is that right?"


def recorded_speech(offer: Offer, payment_type: str, confirmation: str) -> str:
    """The news that the arrangement stands, with the promise of a written confirmation."""
    number = f" Your confirmation number is {confirmation}." if confirmation else ""
    promise = "You will receive a written confirmation."
    return f"Your arrangement is recorded: {arrangement(offer, payment_type)}.{number} {promise}"


def arrangement(offer: Offer, payment_type: str) -> str:
    """The arrangement in a clause."""
    if offer.payments:
        return f"a payment plan of {_schedule(offer)}"
    how = _METHODS.get(payment_type, "")
    return f"a {OPTION_NAMES[offer.option]} of {dollars(offer.total_cents)} {how}".rstrip()


def _as_choice(offer: Offer) -> str:
    match offer.option:
        case "full_payment":
            return f"pay the full {dollars(offer.total_cents)}"
        case "settlement":
            return f"settle it with one payment of {dollars(offer.total_cents)}"
        case _:
            return f"choose a payment plan of {_schedule(offer)}"


def _schedule(offer: Offer) -> str:
    if not offer.payments:
        return dollars(offer.total_cents)
    amounts = Counter(cents for _, cents in offer.payments)
    total = f"{_count(len(offer.payments))} monthly payment{'s' if len(offer.payments) > 1 else ''}"
    first = f", the first on {_spoken_date(offer.payments[0][0])}"
    if len(amounts) == 1:
        return f"{total} of {dollars(offer.payments[0][1])}{first}"
    parts = [f"{_count(times)} of {dollars(cents)}" for cents, times in amounts.items()]
    return f"{total}, {_joined(parts, 'and')}{first}"


def _spoken_date(iso: str) -> str:
    try:
        day = date.fromisoformat(iso)
    except ValueError:
        return iso
    return f"{day:%B} {day.day}"


def _count(number: int) -> str:
    return _COUNTS[number] if number < len(_COUNTS) else str(number)


def _joined(parts: Sequence[str], word: str) -> str:
    if len(parts) < 2:
        return "".join(parts)
    return f"{', '.join(parts[:-1])}, {word} {parts[-1]}" if len(parts) > 2 else f"{parts[0]} {word} {parts[1]}"
