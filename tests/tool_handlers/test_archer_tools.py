"""The shipped tools, one by one, as any plugin's author would test them."""

from datetime import UTC, date, datetime

import pytest

from archer_bridge.memory_store import MemoryStore
from archer_bridge.models import ToolRow, ToolStatus
from archer_bridge.testing import CALL_SID, DANA, run_tool
from archer_bridge.tool_api import Customer, EndCall, InvalidArguments, Offer, Payment, Reply, ToolError, Transfer
from archer_tools.end_call import end_call
from archer_tools.get_customer_options import get_customer_options
from archer_tools.process_payment import confirmation_of, process_payment
from archer_tools.transfer_to_human import transfer_to_human
from archer_tools.verify_account import verify_account

NOW = datetime(2026, 11, 22, 9, 30, tzinfo=UTC)
PLAN = Offer("payment_plan", 120, tuple(Payment(date(2026, 12, day), 60) for day in (1, 2)))
FULL = Offer("full_payment", 120, (Payment(date(2026, 11, 22), 120),))
BRITISH = Customer("kim", "+447700900000", "Kim Vale", "0042", "SW1A 1AA", 500, 5)


@pytest.mark.parametrize(
    ("caller", "said"),
    [
        pytest.param(DANA, {"account_last_4": "4821", "postal_code": "94107"}, id="exact"),
        pytest.param(DANA, {"account_last_4": 4821, "postal_code": 94107}, id="as-numbers"),
        pytest.param(BRITISH, {"account_last_4": "0042", "postal_code": "sw1a1aa"}, id="spelled-otherwise"),
    ],
)
async def test_the_right_details_verify_the_caller(caller, said):
    expected = Reply({"verified": True, "first_name": caller.first_name}, verified_customer=caller.customer_id)

    assert expected == await run_tool(verify_account, said, caller=caller)


@pytest.mark.parametrize(
    "said",
    [
        pytest.param({"account_last_4": "4822", "postal_code": "94107"}, id="account"),
        pytest.param({"account_last_4": "4821", "postal_code": "94108"}, id="postal-code"),
        pytest.param({"account_last_4": "4821", "postal_code": "---"}, id="no-postal-code"),
    ],
)
async def test_wrong_details_are_a_failed_attempt(said):
    reply = await run_tool(verify_account, said)

    assert (reply.failed, reply.verified_customer) == (True, None)
    assert reply.value["verified"] is False


async def test_somebody_elses_details_do_not_verify_this_caller():
    store = MemoryStore([DANA, BRITISH])
    said = {"account_last_4": BRITISH.account_last_4, "postal_code": BRITISH.postal_code}

    assert (await run_tool(verify_account, said, store=store)).failed


async def test_an_unknown_number_verifies_nobody():
    said = {"account_last_4": "4821", "postal_code": "94107"}

    assert (await run_tool(verify_account, said, store=MemoryStore())).failed


@pytest.mark.parametrize("last_4", ["482", "48211", "48 1", "٤٨٢١", "4821\n"])
async def test_the_account_is_four_digits(last_4):
    with pytest.raises(InvalidArguments, match="account_last_4"):
        await run_tool(verify_account, {"account_last_4": last_4, "postal_code": "94107"})


async def test_options_are_offered_with_their_amounts():
    reply = await run_tool(get_customer_options, verified=True, now=NOW)

    assert (reply.value["balance_cents"], reply.value["days_overdue"]) == (90_000, 45)
    assert [option["option"] for option in reply.value["options"]] == ["full_payment", "payment_plan"]
    assert reply.value["options"][0] == {"option": "full_payment", "total_cents": 90_000}
    assert [Payment(date(2026, 12, 22), 15_000)] == list(reply.value["options"][1]["payments"][:1])
    assert [offer.option for offer in reply.offers] == ["full_payment", "payment_plan"]


@pytest.mark.parametrize(
    ("context", "code"),
    [
        pytest.param({}, "not_verified", id="not-verified"),
        pytest.param({"verified": True, "store": MemoryStore()}, "no_account", id="account-gone"),
        pytest.param(
            {"verified": True, "caller": Customer("z", "+1", "Zed", "1", "1", 0, 0)}, "nothing_due", id="nothing-due"
        ),
    ],
)
async def test_options_are_refused(context, code):
    with pytest.raises(ToolError) as caught:
        await run_tool(get_customer_options, **context)

    assert code == caught.value.code


async def test_a_payment_is_recorded_as_offered():
    store = MemoryStore([DANA])
    asked = {"option": "payment_plan", "payment_type": "bank_transfer"}
    value = await run_tool(process_payment, asked, verified=True, offers=[PLAN], store=store, key="k")
    recorded = (await store.arrangements())[0]

    assert (recorded.total_cents, recorded.payments) == (PLAN.total_cents, PLAN.payments)
    assert (recorded.customer_id, recorded.call_sid, recorded.idempotency_key) == ("dana", CALL_SID, "k")
    assert {
        "recorded": True,
        "option": "payment_plan",
        "payment_type": "bank_transfer",
        "total_cents": 120,
        "payments": PLAN.payments,
        "confirmation": confirmation_of("k"),
    } == value


@pytest.mark.parametrize(
    ("asked", "context", "code"),
    [
        pytest.param(
            {"option": "settlement", "payment_type": "sms_link"},
            {"verified": True, "offers": [FULL]},
            "not_offered",
            id="not-offered",
        ),
        pytest.param(
            {"option": "full_payment", "payment_type": "payment_plan"},
            {"verified": True, "offers": [FULL]},
            "wrong_payment_type",
            id="all-at-once-in-instalments",
        ),
        pytest.param(
            {"option": "full_payment", "payment_type": "sms_link"}, {"verified": True}, "nothing_offered", id="no-offer"
        ),
        pytest.param(
            {"option": "full_payment", "payment_type": "sms_link"}, {"offers": [FULL]}, "not_verified", id="nobody"
        ),
    ],
)
async def test_a_payment_is_refused(asked, context, code):
    store = MemoryStore([DANA])
    with pytest.raises(ToolError) as caught:
        await run_tool(process_payment, asked, store=store, **context)

    assert code == caught.value.code
    assert list(await store.arrangements()) == []


async def test_an_unknown_payment_is_looked_up():
    store = MemoryStore([DANA])
    asked = {"option": "full_payment", "payment_type": "sms_link"}
    value = await run_tool(process_payment, asked, verified=True, offers=[FULL], store=store, key="biz")
    row = ToolRow("t", CALL_SID, "process_payment", "{}", "biz", ToolStatus.UNKNOWN, None, 1, NOW, None, None)
    other = ToolRow("t", CALL_SID, "process_payment", "{}", "other", ToolStatus.UNKNOWN, None, 1, NOW, None, None)

    assert process_payment.reconcile is not None
    assert value == await process_payment.reconcile(store, row)
    assert await process_payment.reconcile(store, other) is None


def test_a_confirmation_is_the_same_for_the_same_key():
    codes = {confirmation_of(f"key {number}") for number in range(1000)}

    assert confirmation_of("key 1") == confirmation_of("key 1")
    assert len(codes) == 1000
    assert all(len(code) == 8 and code.startswith("A-") and code.isascii() for code in codes)


async def test_the_call_ends_and_is_transferred_by_effects():
    settings = {"to": "+15550109999", "announce": "One moment."}

    assert EndCall("done") == await run_tool(end_call, {"reason": "done"})
    assert EndCall("completed") == await run_tool(end_call)
    assert Transfer(reason="angry") == await run_tool(transfer_to_human, {"reason": "angry"})
    assert Transfer("+15550109999", "One moment.", "angry") == await run_tool(
        transfer_to_human, {"reason": "angry"}, settings=settings
    )
