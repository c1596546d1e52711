from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from archer_bridge.testing import DANA
from archer_bridge.tool_api import Customer
from archer_tools.terms import months_after, offers_for, plan, settlement_cents

TODAY = date(2026, 11, 22)


def customer(balance_cents: int, days_overdue: int) -> Customer:
    return Customer("c", "+15550100009", "Chris Doe", "1234", "94107", balance_cents, days_overdue)


@pytest.mark.parametrize(
    ("balance", "overdue", "options"),
    [
        pytest.param(90_000, 45, {"full_payment": 90_000, "payment_plan": 90_000}, id="not-long-overdue"),
        pytest.param(90_000, 90, {"full_payment": 90_000, "payment_plan": 90_000}, id="exactly-90-days"),
        pytest.param(
            123_457, 91, {"full_payment": 123_457, "settlement": 86_420, "payment_plan": 123_457}, id="91-days"
        ),
        pytest.param(5, 200, {"full_payment": 5, "settlement": 4}, id="too-little-for-a-plan"),
        pytest.param(6, 1, {"full_payment": 6, "payment_plan": 6}, id="one-cent-a-month"),
        pytest.param(0, 200, {}, id="nothing-due"),
        pytest.param(-5, 200, {}, id="in-credit"),
    ],
)
def test_options_follow_the_balance_and_the_days(balance, overdue, options):
    assert options == {offer.option: offer.total_cents for offer in offers_for(customer(balance, overdue), TODAY)}


def test_a_plan_is_six_months_from_next_month():
    days = [payment.due.isoformat() for payment in plan(DANA.balance_cents, TODAY)]

    assert days == ["2026-12-22", "2027-01-22", "2027-02-22", "2027-03-22", "2027-04-22", "2027-05-22"]


def test_odd_cents_go_to_the_first_payments():
    assert [payment.amount_cents for payment in plan(124, TODAY)] == [21, 21, 21, 21, 20, 20]


@pytest.mark.parametrize(
    ("start", "months", "day"),
    [
        pytest.param("2027-01-31", 1, "2027-02-28", id="january-to-february"),
        pytest.param("2028-01-31", 1, "2028-02-29", id="leap-year"),
        pytest.param("2027-01-31", 2, "2027-03-31", id="the-day-comes-back"),
        pytest.param("2026-10-31", 1, "2026-11-30", id="thirty-days"),
        pytest.param("2026-12-15", 1, "2027-01-15", id="new-year"),
        pytest.param("2026-08-31", 6, "2027-02-28", id="half-a-year"),
    ],
)
def test_months_end_where_they_end(start, months, day):
    assert date.fromisoformat(day) == months_after(date.fromisoformat(start), months)


@given(st.integers(6, 10**9), st.dates(date(2000, 1, 1), date(2090, 1, 1)))
def test_payments_sum_exactly_and_differ_by_a_cent_at_most(total, today):
    payments = plan(total, today)
    amounts = [payment.amount_cents for payment in payments]

    assert total == sum(amounts)
    assert max(amounts) - min(amounts) <= 1
    assert min(amounts) >= 1
    assert [payment.due for payment in payments] == sorted({payment.due for payment in payments})
    assert all(payment.due > today for payment in payments)


@given(st.integers(1, 10**9))
def test_a_settlement_is_seventy_percent_to_the_cent(balance):
    assert abs(settlement_cents(balance) * 10 - balance * 7) <= 5 or settlement_cents(balance) == 1
