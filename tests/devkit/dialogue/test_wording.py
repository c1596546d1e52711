"""What Archer says about money."""

from typing import Any

import pytest

from archer_bridge.devkit.dialogue import wording
from archer_bridge.devkit.dialogue.wording import Offer, Standing, dollars, options_speech, read_standing

PLAN = Offer("payment_plan", 90000, tuple((f"2027-0{month}-05", 15000) for month in range(1, 7)))
UNEVEN = Offer("payment_plan", 123457, tuple((f"2027-0{m}-05", 20576 + (m == 6)) for m in range(1, 7)))


@pytest.mark.parametrize(
    ("cents", "text"),
    [(0, "$0.00"), (5, "$0.05"), (15000, "$150.00"), (123457, "$1,234.57"), (-150, "-$1.50")],
)
def test_dollars(cents: int, text: str) -> None:
    assert dollars(cents) == text


@pytest.mark.parametrize(
    ("standing", "speech"),
    [
        pytest.param(
            Standing(90000, 45, (Offer("full_payment", 90000), PLAN)),
            "Your balance is $900.00 and is 45 days overdue. You can pay the full $900.00 or choose a payment plan"
            " of six monthly payments of $150.00, the first on January 5. Which would you like, the full payment"
            " or the payment plan?",
            id="two",
        ),
        pytest.param(
            Standing(123457, 120, (Offer("full_payment", 123457), Offer("settlement", 86420), UNEVEN)),
            "Your balance is $1,234.57 and is 120 days overdue. You can pay the full $1,234.57, settle it with one"
            " payment of $864.20, or choose a payment plan of six monthly payments, five of $205.76 and one of"
            " $205.77, the first on January 5. Which would you like, the full payment, the settlement, or the"
            " payment plan?",
            id="three-and-uneven",
        ),
        pytest.param(
            Standing(500, 0, (Offer("payment_plan", 500),)),
            "Your balance is $5.00. You can choose a payment plan of $5.00. Would you like the payment plan?",
            id="one-without-schedule",
        ),
    ],
)
def test_options_speech(standing: Standing, speech: str) -> None:
    assert options_speech(standing) == speech


@pytest.mark.parametrize(
    ("offer", "payment_type", "clause"),
    [
        (PLAN, "payment_plan", "a payment plan of six monthly payments of $150.00, the first on January 5"),
        (Offer("settlement", 63000), "sms_link", "a settlement of $630.00 by a secure link in a text message"),
        (Offer("full_payment", 90000), "bank_transfer", "a full payment of $900.00 by bank transfer"),
        (Offer("payment_plan", 100, (("soon", 100),)), "payment_plan", "a payment plan of one monthly payment of"
         " $1.00, the first on soon"),
    ],
)  # fmt: skip
def test_arrangement(offer: Offer, payment_type: str, clause: str) -> None:
    assert wording.arrangement(offer, payment_type) == clause


@pytest.mark.parametrize(
    ("result", "standing"),
    [
        pytest.param(
            {
                "balance_cents": 90000,
                "days_overdue": 45,
                "options": [
                    {"option": "full_payment", "total_cents": 90000},
                    {"option": "payment_plan", "total_cents": 90000, "payments": [{"due": "d", "amount_cents": 90000}]},
                ],
            },
            Standing(90000, 45, (Offer("full_payment", 90000), Offer("payment_plan", 90000, (("d", 90000),)))),
            id="whole",
        ),
        pytest.param(
            {
                "balance_cents": 1,
                "days_overdue": 0,
                "options": [
                    {"option": "raffle"},
                    7,
                    {"option": "settlement"},
                    {"option": "full_payment", "total_cents": 1, "payments": 3},
                    {"option": "payment_plan", "total_cents": 1, "payments": [None, {"due": 4, "amount_cents": 1}]},
                ],
            },
            Standing(1, 0, (Offer("payment_plan", 1),)),
            id="unusable-parts-left-out",
        ),
        pytest.param({}, None, id="empty"),
        pytest.param({"balance_cents": "9", "days_overdue": 1, "options": []}, None, id="wrong-type"),
        pytest.param({"balance_cents": 9, "days_overdue": 1, "options": None}, None, id="no-options"),
    ],
)
def test_read_standing(result: dict[str, Any], standing: Standing | None) -> None:
    assert read_standing(result) == standing
