import asyncio
import json
from dataclasses import replace
from datetime import date

import pytest

from archer_bridge.calls.tool_policy import PolicyBreach
from archer_bridge.models import Arrangement, EndCall, Outcome, Payment
from archer_bridge.testing import DANA, make_context
from archer_bridge.tool_api import Offer, Reply, Tool, ToolContext, ToolError, tool
from archer_tools.verify_account import verify_account
from tests.calls.test_tool_runner import error_code
from tests.support.tool_desk import Desk, FaultyStore
from tests.support.virtual import virtual

OFFER = Offer("full_payment", 100, (Payment(date(2026, 11, 22), 100),))
RIGHT = {"account_last_4": DANA.account_last_4, "postal_code": DANA.postal_code}
WRONG = {**RIGHT, "postal_code": "00000"}


@tool
async def prove(customer: str) -> Reply:
    """Say who it is.

    Args:
        customer: id
    """
    return Reply("proved", verified_customer=customer)


@tool
async def offer() -> Reply:
    """Offer."""
    return Reply("offered", offers=[OFFER])


@tool(requires="verified")
async def private(ctx: ToolContext) -> str | None:
    """For the verified."""
    return ctx.verified_customer


@tool(requires="offered")
async def accept(ctx: ToolContext) -> list[str]:
    """For whom something was offered."""
    return list(ctx.offers)


@virtual
async def test_a_tool_runs_only_in_the_state_it_requires():
    desk = Desk(prove, offer, private, accept)
    before = [await desk.ask("private"), await desk.ask("accept"), await desk.ask("offer")]
    await desk.ask("prove", {"customer": "dana"})
    between = [await desk.ask("private"), await desk.ask("accept")]
    await desk.ask("offer")
    after = await desk.ask("accept")

    assert [error_code(answer) for answer in before] == ["not_verified", "not_verified", "tool_failed"]
    assert (between[0].result, error_code(between[1])) == ('"dana"', "nothing_offered")
    assert after.result == '["full_payment"]'


@virtual
async def test_nobody_but_the_one_who_has_the_number_can_be_verified():
    desk = Desk(prove, private)
    other = await desk.ask("prove", {"customer": "sam"})

    assert error_code(other) == "tool_failed"
    assert error_code(await desk.ask("private")) == "not_verified"


@virtual
async def test_facts_count_once_they_are_durable_and_not_before():
    store = FaultyStore()
    store.hold["finish"] = asyncio.Event()
    desk = Desk(prove, private, store=store)
    proving = desk.begin("prove", {"customer": "dana"})
    await asyncio.sleep(1)
    before = await desk.ask("private")
    store.hold["finish"].set()
    await proving

    assert error_code(before) == "not_verified"
    assert (await desk.ask("private")).result == '"dana"'


@virtual
async def test_facts_that_could_not_be_kept_do_not_count():
    store = FaultyStore()
    store.refuse["finish"] = 20
    desk = Desk(prove, private, store=store)
    proving = await desk.ask("prove", {"customer": "dana"})
    await desk.runner.drain(200)

    assert error_code(proving) == "record_unavailable"
    assert error_code(await desk.ask("private")) == "not_verified"


@virtual
async def test_the_second_failed_attempt_ends_the_call():
    desk = Desk(verify_account)
    first, second, third = [await desk.ask("verify_account", WRONG) for _ in range(3)]

    assert [json.loads(answer.result)["attempts_left"] for answer in (first, second)] == [1, 0]
    assert (None, EndCall("verification_failed", Outcome.VERIFICATION_FAILED)) == (first.effect, second.effect)
    assert error_code(third) == "too_many_attempts"
    assert second.effect == third.effect


@virtual
async def test_the_end_of_the_call_does_not_depend_on_one_message():
    desk = Desk(verify_account)
    await desk.ask("verify_account", WRONG, key="a")
    last = await desk.ask("verify_account", WRONG, key="b")
    again = await desk.ask("verify_account", WRONG, key="b")

    assert (last.result, last.effect) == (again.result, again.effect)


@virtual
async def test_guesses_side_by_side_are_counted_one_by_one():
    desk = Desk(verify_account)
    guesses = [{**WRONG, "account_last_4": f"{number:04}"} for number in range(20)]
    answers = await asyncio.gather(*(desk.begin("verify_account", guess) for guess in guesses))

    assert sum(1 for answer in answers if not answer.is_error) == 2
    assert sorted(await desk.statuses(), reverse=True) == ["ok"] * 2 + ["denied"] * 18


@virtual
async def test_attempts_are_counted_across_a_restart_and_not_across_calls():
    desk = Desk(verify_account)
    await desk.ask("verify_account", WRONG, key="a")
    restarted = await Desk(verify_account, store=desk.store).ask("verify_account", WRONG, key="b")
    elsewhere = Desk(verify_account, store=desk.store, call_sid="CA" + "2" * 32)

    assert json.loads(restarted.result)["attempts_left"] == 0
    assert json.loads((await elsewhere.ask("verify_account", WRONG)).result)["attempts_left"] == 1


@virtual
async def test_verification_ends_with_the_socket():
    desk = Desk(verify_account, private)
    await desk.ask("verify_account", RIGHT, key="a")
    restarted = Desk(verify_account, private, store=desk.store)

    assert error_code(await restarted.ask("private", key="b")) == "not_verified"


@virtual
async def test_without_the_record_a_counted_tool_does_not_run():
    store = FaultyStore()
    store.refuse["rows"] = 1
    desk = Desk(verify_account, store=store)

    assert error_code(await desk.ask("verify_account", RIGHT)) == "record_unavailable"
    assert await desk.statuses() == []


@virtual
async def test_a_key_that_crashes_denies_the_request():
    @tool(side_effect=True, business_key=lambda ctx, arguments: str(1 / 0))
    async def odd() -> None:
        """Do."""

    desk = Desk(odd)

    assert error_code(await desk.ask("odd")) == "tool_failed"
    assert await desk.statuses() == ["denied"]


GOOD = Arrangement("key", "CA" + "0" * 32, "dana", "full_payment", "sms_link", 100, OFFER.payments, "A-1")


@pytest.mark.parametrize(
    ("change", "code"),
    [
        pytest.param({"call_sid": "CA" + "9" * 32}, "wrong_call", id="other-call"),
        pytest.param({"customer_id": "sam"}, "wrong_customer", id="other-customer"),
        pytest.param({"option": "settlement"}, "not_offered", id="other-option"),
        pytest.param({"total_cents": 1}, "not_offered", id="other-amount"),
        pytest.param({"payments": ()}, "not_offered", id="other-schedule"),
        pytest.param({"idempotency_key": "other"}, "wrong_key", id="other-key"),
    ],
)
async def test_the_store_takes_no_arrangement_the_call_does_not_cover(change, code):
    context = make_context(private, verified=True, offers=[OFFER], key="key")

    with pytest.raises(ToolError) as caught:
        await context.store.record_arrangement(replace(GOOD, **change))

    assert code == caught.value.code
    assert list(await context.store.arrangements()) == []


async def test_the_store_takes_what_was_verified_and_offered_once():
    context = make_context(private, verified=True, offers=[OFFER], key="key")
    first = await context.store.record_arrangement(GOOD)
    again = await context.store.record_arrangement(replace(GOOD, confirmation="A-2"))

    assert GOOD == first == again


async def test_the_store_takes_nothing_from_the_unverified():
    with pytest.raises(ToolError) as caught:
        await make_context(private, offers=[OFFER], key="key").store.record_arrangement(GOOD)

    assert caught.value.code == "not_verified"


@virtual
async def test_offers_must_add_up():
    @tool
    async def cheat() -> Reply:
        """Offer what does not sum."""
        return Reply(offers=[replace(OFFER, total_cents=99)], verified_customer="dana")

    desk = Desk(cheat, private)

    assert error_code(await desk.ask("cheat")) == "tool_failed"
    assert error_code(await desk.ask("private")) == "not_verified"
    assert issubclass(PolicyBreach, Exception)


def test_the_shipped_tools_declare_their_policy(shipped_tools: dict[str, Tool]):
    declared = {name: (one.requires, one.side_effect) for name, one in shipped_tools.items()}

    assert declared == {
        "verify_account": (None, False),
        "get_customer_options": ("verified", False),
        "process_payment": ("offered", True),
        "transfer_to_human": (None, False),
        "end_call": (None, False),
    }


@pytest.fixture
def shipped_tools() -> dict[str, Tool]:
    from tests.support import hostile

    names = ("verify_account", "get_customer_options", "process_payment", "transfer_to_human", "end_call")
    return {name: getattr(hostile, name) for name in names}
