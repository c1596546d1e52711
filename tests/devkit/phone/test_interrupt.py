"""Interrupting a call."""

import asyncio

import pytest

from archer_bridge.devkit.phone.interrupt import Goto, HangUp, Interrupt, Interrupted
from tests.support.virtual import virtual


@virtual
async def test_a_scope_is_left_at_once():
    interrupt = Interrupt()
    loop = asyncio.get_running_loop()
    loop.call_later(1.5, interrupt.fire, HangUp("caller"))

    with pytest.raises(Interrupted):
        await interrupt.sleep(10)

    assert loop.time() == pytest.approx(1.5)
    assert interrupt.take() == HangUp("caller")


@virtual
async def test_what_is_already_interrupted_is_not_entered():
    interrupt = Interrupt()
    interrupt.fire(HangUp("rest"))

    with pytest.raises(Interrupted):
        await interrupt.sleep(0)


@virtual
async def test_a_timeout_inside_a_scope_stays_a_timeout():
    interrupt = Interrupt()

    with pytest.raises(TimeoutError):
        async with interrupt.scope(), asyncio.timeout(1):
            await asyncio.sleep(2)


@virtual
async def test_after_a_redirect_the_call_can_be_interrupted_again():
    interrupt = Interrupt()
    interrupt.fire(Goto("https://h.test/a"))

    assert interrupt.take() == Goto("https://h.test/a")
    await interrupt.sleep(1)


@pytest.mark.parametrize(
    ("fired", "taken"),
    [
        pytest.param([Goto("a"), Goto("b")], Goto("b"), id="the last redirect"),
        pytest.param([Goto("a"), HangUp("caller")], HangUp("caller"), id="a hang-up wins"),
        pytest.param([HangUp("caller"), Goto("a"), HangUp("rest")], HangUp("caller"), id="the first hang-up"),
    ],
)
@virtual
async def test_which_reason_counts(fired, taken):
    interrupt = Interrupt()
    for reason in fired:
        interrupt.fire(reason)

    assert taken == interrupt.take()
