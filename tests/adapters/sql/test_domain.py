"""The contract of customers and arrangements, on every database."""

import asyncio
from dataclasses import replace

import pytest

from archer_bridge.adapters.sql import SqlStore
from archer_bridge.adapters.sql.seed import DEMO_CUSTOMERS, UNKNOWN_CALLER
from archer_bridge.errors import StoreError
from archer_bridge.models import Customer
from tests.adapters.sql.samples import new_call, new_sid, plan


@pytest.mark.parametrize("person", DEMO_CUSTOMERS, ids=lambda person: person.first_name)
async def test_a_customer_is_found_by_number_and_by_id(store: SqlStore, person: Customer) -> None:
    assert person == await store.find_customer(person.phone)
    assert person == await store.get_customer(person.customer_id)


async def test_nobody_is_found_for_another_number(store: SqlStore) -> None:
    assert await store.find_customer(UNKNOWN_CALLER) is None
    assert await store.get_customer("nobody") is None


async def test_adding_again_changes_nothing(store: SqlStore) -> None:
    richer = replace(DEMO_CUSTOMERS[0], balance_cents=1)

    assert await store.add_customers([richer, *DEMO_CUSTOMERS[1:]]) == 0
    assert DEMO_CUSTOMERS[0] == await store.get_customer(richer.customer_id)


async def test_an_arrangement_comes_back_whole(store: SqlStore) -> None:
    sid = (await store.open_call(new_call())).call_sid
    other = (await store.open_call(new_call())).call_sid

    assert plan(sid) == await store.record_arrangement(plan(sid))
    assert [plan(sid)] == await store.arrangements(sid)
    assert [plan(sid)] == await store.arrangements()
    assert await store.arrangements(other) == []


async def test_the_same_key_returns_what_was_stored_first(store: SqlStore) -> None:
    sid = (await store.open_call(new_call())).call_sid
    first = plan(sid, cents=90_001)

    tries = (store.record_arrangement(each) for each in (first, plan(sid, cents=60_000), plan(sid, cents=30_000)))
    stored = await asyncio.gather(*tries)

    assert [first] * 3 == stored
    assert [first] == await store.arrangements()


async def test_payments_that_do_not_sum_are_refused(store: SqlStore) -> None:
    sid = (await store.open_call(new_call())).call_sid

    with pytest.raises(StoreError, match="the payments sum to 90000 cents, the arrangement says 90001"):
        await store.record_arrangement(replace(plan(sid), total_cents=90_001))

    assert await store.arrangements() == []


async def test_an_arrangement_of_an_unknown_call_is_refused_whole(store: SqlStore) -> None:
    with pytest.raises(StoreError, match="the record refused a row"):
        await store.record_arrangement(plan(new_sid()))

    assert await store.arrangements() == []
