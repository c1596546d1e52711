"""The ticker: absolute beats, no stacking, one listener's fault is its own."""

import asyncio

from archer_bridge.calls.ticker import Rota, Ticker
from archer_bridge.devkit.virtual_time import VirtualTimeLoop
from tests.support.virtual import virtual


def told(error: Exception) -> None:
    raise AssertionError(f"nothing should fail here: {error}")


@virtual
async def test_beats_are_on_absolute_deadlines() -> None:
    ticker, beats = Ticker(0.020), list[float]()
    ticker.add("call", beats.append, told)
    await asyncio.sleep(1.001)
    ticker.remove("call")
    await asyncio.sleep(1)

    assert beats == [round(n * 0.020, 9) for n in range(1, 51)]


@virtual
async def test_a_late_beat_is_skipped_and_the_rhythm_kept() -> None:
    ticker, beats = Ticker(0.1), list[float]()
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualTimeLoop)

    def listener(now: float) -> None:
        beats.append(round(now, 6))
        if len(beats) == 1:
            loop._clock.now_ns += 350_000_000  # something holds the loop up

    ticker.add("call", listener, told)
    await asyncio.sleep(0.75)
    ticker.remove("call")

    assert beats == [0.1, 0.45, 0.5, 0.6, 0.7]


@virtual
async def test_adding_twice_changes_nothing_and_nobody_left_means_asleep() -> None:
    ticker, beats = Ticker(0.1), list[float]()
    ticker.add("call", beats.append, told)
    ticker.add("call", beats.append, told)
    await asyncio.sleep(0.15)
    ticker.remove("call")
    ticker.remove("call")
    await asyncio.sleep(1)

    assert len(beats) == 1
    assert len(ticker) == 0


@virtual
async def test_a_listener_that_fails_is_told_once_and_disturbs_nobody() -> None:
    ticker, beats, errors = Ticker(0.1), list[float](), list[Exception]()

    def broken(now: float) -> None:
        raise ValueError(now)

    ticker.add("broken", broken, errors.append)
    ticker.add("sound", beats.append, told)
    await asyncio.sleep(0.55)
    ticker.remove("sound")

    assert len(beats) == 5
    assert [type(error) for error in errors] == [ValueError]


@virtual
async def test_one_listener_may_remove_another_during_a_beat() -> None:
    ticker, beats = Ticker(0.1), list[float]()
    ticker.add("first", lambda now: ticker.remove("second"), told)
    ticker.add("second", beats.append, told)
    await asyncio.sleep(0.35)
    ticker.remove("first")

    assert beats == []


@virtual
async def test_a_rota_spreads_its_listeners_over_the_interval() -> None:
    rota, beats = Rota(0.1, turns=5), list[tuple[int, float]]()
    for number in range(7):
        rota.add(number, lambda now, number=number: beats.append((number, round(now, 6))), told)  # type: ignore[misc]
    await asyncio.sleep(0.3)
    for number in range(7):
        rota.remove(number)
    await asyncio.sleep(1)
    times = {number: [now for who, now in beats if who == number] for number in range(7)}

    assert times[0] == times[5] == [0.1, 0.2, 0.3]
    assert times[1] == times[6] == [0.02, 0.12, 0.22]
    assert [times[number][0] for number in range(5)] == [0.1, 0.02, 0.04, 0.06, 0.08]


@virtual
async def test_a_rota_gives_the_emptiest_turn_and_keeps_its_rhythm() -> None:
    rota, beats = Rota(0.1, turns=2), list[float]()
    rota.add("first", lambda _: None, told)
    rota.add("second", lambda _: None, told)
    rota.add("second", beats.append, told)
    await asyncio.sleep(0.13)
    rota.remove("second")
    rota.remove("second")
    await asyncio.sleep(0.01)
    rota.add("third", lambda now: beats.append(round(now, 6)), told)
    await asyncio.sleep(0.2)
    rota.remove("first")
    rota.remove("third")

    assert beats == [0.15, 0.25]
