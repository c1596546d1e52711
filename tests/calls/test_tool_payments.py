"""Payments in processes that die, and in two that race: the short form of tests/prove/payments.py."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.prove.payments import killed_at, race
from tests.support.bank import open_bank
from tests.support.payer import STEPS
from tests.support.payers import Place, postgres_places, sqlite_places


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Iterator[Place]]:
    with open_bank() as (bank, port):
        yield sqlite_places(Path(tmp_path_factory.mktemp("payments")), bank, port)


@pytest.mark.parametrize(("tool", "step"), [(tool, step) for tool, steps in STEPS.items() for step in steps])
def test_a_process_killed_at_any_step_of_a_payment_pays_once(tool, step, places):
    assert killed_at(next(places), tool, step) == []


@pytest.mark.slow  # a PostgreSQL server is made
def test_two_processes_pay_each_key_once():
    with open_bank() as (bank, port), postgres_places(bank, port) as servers:
        if servers is None:
            pytest.skip("TWO PROCESSES ON ONE RECORD ARE NOT TESTED: no PostgreSQL on this machine")
        findings = race(next(servers), 50, 1)

    assert [finding for finding in findings if not finding.holds] == []
