"""Archer: what the voice agent is told, and one call handled from start to end."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from archer_bridge.calls.session import CallSession
from archer_bridge.devkit.phone import Caller
from archer_bridge.engines.archer import Persona
from archer_bridge.models import CallRow, CallState, Customer, Outcome
from archer_bridge.protocols.cartesia_agent import VARIABLES_LIMIT
from tests.support.virtual import virtual
from tests.support.world import world

DANA = Customer("cust-77", "+15550100001", "Dana Reyes", "4821", "94107", 98_765, 45)
ROW = CallRow(
    call_sid="CA" + "1" * 32,
    account_sid="AC" + "0" * 32,
    direction="inbound",
    from_number="+15550100001",
    to_number="+15550199999",
    customer_id="cust-77",
    state=CallState.CONNECTING,
    outcome=None,
    reason=None,
    owner_id=None,
    stream_sid=None,
    created_at=datetime.now(UTC),
    answered_at=None,
    ended_at=None,
    duration_ms=None,
)


@virtual
async def test_what_the_agent_is_told(tmp_path: Path) -> None:
    async with world(tmp_path, ARCHER_AGENT__NAME="Robin", ARCHER_AGENT__COMPANY="Nest {Ltd}") as here:
        told = here.service.agent.variables(ROW, DANA)
        stranger = here.service.agent.variables(ROW, None)

    assert len(told) <= VARIABLES_LIMIT
    assert all(isinstance(value, str) for value in told.values())
    assert (told["call_sid"], told["caller_number"], told["customer_first_name"]) == (ROW.call_sid, DANA.phone, "Dana")
    assert stranger["customer_first_name"] == ""
    assert str(told["persona"]).startswith("You are Robin, a payment-arrangement agent")
    assert "Nest {Ltd}" in str(told["persona"])


@virtual
async def test_no_account_detail_is_among_it(tmp_path: Path) -> None:
    """What the model does not know it cannot be talked into telling."""
    async with world(tmp_path) as here:
        told = " ".join(map(str, here.service.agent.variables(ROW, DANA).values()))

    for detail in (DANA.account_last_4, DANA.postal_code, "Reyes", "98765", "987.65", "cust-77", " 45 "):
        assert detail not in told


@pytest.mark.parametrize(
    "rule",
    ["verify_account", "get_customer_options", "process_payment", "transfer_to_human", "end_call"]
    + ["Verify first", "never threaten", "written confirmation", "Never ask for, repeat or accept a card number"],
)
def test_the_persona_has_the_rules(rule: str) -> None:
    assert rule in Persona("Archer", "Example Credit", "Hello.").instructions


@virtual
async def test_a_call_is_handled_from_start_to_end(tmp_path: Path) -> None:
    async with world(tmp_path) as here:
        sessions: list[CallSession] = []

        async def script(caller: Caller) -> None:
            await caller.agent_finished()
            await caller.say("My account ends in 4821, and my postal code is 94107.")
            await caller.agent_finished()
            sessions.extend(list(here.service.live))
            await caller.hang_up()

        report = await here.call(script)
        await here.service.live.wait_empty()
        row = await here.store.get_call(report.call_sid)
        (session,) = sessions

    assert row is not None
    assert row.outcome is Outcome.CALLER_HANGUP
    assert [record["tool"] if "tool" in record else record["name"] for record in session.tools.records] == [
        "verify_account"
    ]
    assert here.service.live.ended == {"caller_hangup": 1}
