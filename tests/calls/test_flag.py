import asyncio

import pytest

from archer_bridge.calls.flag import Flag


async def waits(flag: Flag) -> None:
    await flag.wait()


async def waiting(flag: Flag, count: int) -> list[asyncio.Task[None]]:
    tasks = [asyncio.create_task(waits(flag)) for _ in range(count)]
    await asyncio.sleep(0)
    return tasks


async def test_all_who_wait_are_woken() -> None:
    flag = Flag()
    tasks = await waiting(flag, 3)
    before = [task.done() for task in tasks]
    flag.set()
    await asyncio.gather(*tasks)

    assert before == [False] * 3
    assert flag.is_set()


async def test_while_it_is_set_nobody_waits() -> None:
    flag = Flag()
    flag.set()
    flag.set()
    (task,) = await waiting(flag, 1)

    assert task.done()


async def test_once_cleared_it_is_waited_for_again() -> None:
    flag = Flag()
    flag.set()
    flag.clear()
    (task,) = await waiting(flag, 1)
    before = task.done(), flag.is_set()
    flag.set()
    await task

    assert before == (False, False)


async def test_who_waited_is_woken_though_it_is_cleared_at_once() -> None:
    flag = Flag()
    (task,) = await waiting(flag, 1)
    flag.set()
    flag.clear()
    await task


async def test_who_gave_up_waiting_disturbs_nobody() -> None:
    flag = Flag()
    gone, stays = await waiting(flag, 2)
    gone.cancel()
    flag.set()
    await stays

    with pytest.raises(asyncio.CancelledError):
        await gone
