"""What a customer may be offered: integer cents, calendar months, sums that are exact."""

import calendar
from datetime import date

from archer_bridge.tool_api import Customer, Offer, Payment

SETTLEMENT_PERCENT = 70
SETTLEMENT_AFTER_DAYS = 90
PLAN_PAYMENTS = 6


def offers_for(customer: Customer, today: date) -> tuple[Offer, ...]:
    """Return the options of a customer who owes something; empty when nothing is due."""
    balance = customer.balance_cents
    if balance <= 0:
        return ()
    offers = [Offer("full_payment", balance, (Payment(today, balance),))]
    if customer.days_overdue > SETTLEMENT_AFTER_DAYS:
        settled = settlement_cents(balance)
        offers.append(Offer("settlement", settled, (Payment(today, settled),)))
    if balance >= PLAN_PAYMENTS:  # below that, a payment would be of no cents
        offers.append(Offer("payment_plan", balance, plan(balance, today)))
    return tuple(offers)


def settlement_cents(balance_cents: int) -> int:
    """Return 70 % of the balance to the nearest cent, half a cent up; never nothing."""
    return max(1, (balance_cents * SETTLEMENT_PERCENT + 50) // 100)


def plan(total_cents: int, today: date, count: int = PLAN_PAYMENTS) -> tuple[Payment, ...]:
    """Split a total over `count` monthly payments, the first in a month; odd cents go to the first ones."""
    each, odd = divmod(total_cents, count)
    return tuple(Payment(months_after(today, number + 1), each + (1 if number < odd else 0)) for number in range(count))


def months_after(start: date, months: int) -> date:
    """Return the same day so many months on, or that month's last day: 31 January + 1 is 28 or 29 February."""
    year, month = divmod(start.year * 12 + start.month - 1 + months, 12)
    return date(year, month + 1, min(start.day, calendar.monthrange(year, month + 1)[1]))
