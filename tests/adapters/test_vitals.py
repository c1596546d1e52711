"""The process's own health."""

import asyncio
from collections.abc import Mapping

import pytest

from archer_bridge.adapters.vitals import BEAT_S, Pulse, Vitals
from archer_bridge.errors import EngineError
from archer_bridge.ports import Closed, TextSocket
from tests.support.virtual import virtual


class Line:
    """A socket that does nothing."""

    def write(self, message: bytes, *, droppable: bool = False) -> None: ...

    async def pump(self, on_message: object) -> Closed:
        return Closed(1000)

    async def close(self, code: int = 1000, reason: str = "") -> None: ...


@virtual
async def test_a_beat_that_comes_late_is_lag() -> None:
    pulse = Pulse()
    beating = asyncio.create_task(pulse.beat())
    await asyncio.sleep(10 * BEAT_S)
    in_time = pulse.lag.count
    beating.cancel()

    assert 8 <= in_time <= 10
    assert pulse.lag.total == pytest.approx(0.0, abs=1e-6)
    assert pulse.age_s <= 2 * BEAT_S


@virtual
async def test_a_good_connection_is_timed() -> None:
    async def dial(url: str, headers: Mapping[str, str]) -> TextSocket:
        await asyncio.sleep(0.3)
        return Line()

    vitals = Vitals()
    await vitals.watched(dial)("ws://agent", {})

    assert vitals.vendor_connects.count == 1
    assert vitals.vendor_connects.total == pytest.approx(0.3)
    assert vitals.vendor_errors == {}


@pytest.mark.parametrize(
    ("status", "code"),
    [pytest.param(429, "429", id="refused"), pytest.param(None, "unreachable", id="no-connection")],
)
async def test_a_failed_connection_is_counted_by_status(status: int | None, code: str) -> None:
    async def dial(url: str, headers: Mapping[str, str]) -> TextSocket:
        raise EngineError("no", status=status)

    vitals = Vitals()
    with pytest.raises(EngineError):
        await vitals.watched(dial)("ws://agent", {})

    assert {code: 1} == vitals.vendor_errors


@virtual
async def test_a_connection_that_is_given_up_counts() -> None:
    async def dial(url: str, headers: Mapping[str, str]) -> TextSocket:
        await asyncio.Event().wait()
        raise AssertionError

    vitals = Vitals()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(1.0):
            await vitals.watched(dial)("ws://agent", {})

    assert vitals.vendor_errors == {"no_answer": 1}
