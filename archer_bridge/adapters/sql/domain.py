"""Customers and payment arrangements, as functions of an open transaction."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, Executable, bindparam, select

from archer_bridge.adapters.sql import events
from archer_bridge.adapters.sql.schema import arrangements, customers, payments
from archer_bridge.adapters.sql.statements import insert_once, see_one_state
from archer_bridge.errors import StoreError
from archer_bridge.models import Arrangement, Customer, Payment

_BY_ID = select(customers).where(customers.c.customer_id == bindparam("is"))
_BY_PHONE = select(customers).where(customers.c.phone == bindparam("is"))


def with_id(connection: Connection, customer_id: str) -> Customer | None:
    """Return the customer with this id."""
    return _customer(connection, _BY_ID, customer_id)


def with_phone(connection: Connection, phone: str) -> Customer | None:
    """Return the customer with this E.164 number."""
    return _customer(connection, _BY_PHONE, phone)


def _customer(connection: Connection, query: Executable, value: str) -> Customer | None:
    row = connection.execute(query, {"is": value}).mappings().first()
    return None if row is None else Customer(**row)


def add_customers(connection: Connection, people: Iterable[Customer]) -> int:
    """Insert who is not there yet; return how many were inserted."""
    return sum(insert_once(connection, customers, asdict(person)) for person in people)


_SCHEDULE = payments.insert()


def record(connection: Connection, agreed: Arrangement, *, now: datetime) -> Arrangement:
    """Store what was agreed, once: the same idempotency key returns what was stored first.

    Raises:
        StoreError: the payments do not sum to the total.
    """
    total = sum(payment.amount_cents for payment in agreed.payments)
    if agreed.payments and total != agreed.total_cents:
        raise StoreError(f"the payments sum to {total} cents, the arrangement says {agreed.total_cents}")
    values = {name: value for name, value in asdict(agreed).items() if name != "payments"}
    if not insert_once(connection, arrangements, values | {"recorded_at": now}):
        same = arrangements.c.idempotency_key == agreed.idempotency_key
        return _read(connection, same)[0]
    due = [
        {"idempotency_key": agreed.idempotency_key, "number": number} | asdict(payment)
        for number, payment in enumerate(agreed.payments, start=1)
    ]
    if due:
        connection.execute(_SCHEDULE, due)
    data = {"option": agreed.option, "total_cents": agreed.total_cents, "confirmation": agreed.confirmation}
    events.append(connection, events.new_note(agreed.call_sid, "arrangement_recorded", data, now))
    return agreed


def recorded(connection: Connection, call_sid: str | None) -> Sequence[Arrangement]:
    """Return the arrangements of one call, or of all, in the order they were made."""
    see_one_state(connection)
    return _read(connection, None if call_sid is None else arrangements.c.call_sid == call_sid)


def _read(connection: Connection, condition: ColumnElement[bool] | None) -> list[Arrangement]:
    query = select(arrangements).order_by(arrangements.c.recorded_at, arrangements.c.idempotency_key)
    schedule = select(payments).join(arrangements).order_by(payments.c.number)
    if condition is not None:
        query, schedule = query.where(condition), schedule.where(condition)
    due: dict[str, list[Payment]] = defaultdict(list)
    for row in connection.execute(schedule):
        due[row.idempotency_key].append(Payment(row.due, row.amount_cents))
    names = [column for column in query.selected_columns if column.name != "recorded_at"]
    found: Iterable[Any] = connection.execute(query.with_only_columns(*names)).mappings()
    return [Arrangement(**row, payments=tuple(due[row["idempotency_key"]])) for row in found]
