"""Garbage collection that callers do not hear.

A full collection looks at every object: 50 to 150 ms with 170 calls, in which no audio moves. CPython makes one
whenever the objects have grown by a quarter, which is with every forty calls that come then
(https://docs.python.org/3/library/gc.html#gc.set_threshold). Here the young generations are collected as ever, which
takes a few milliseconds, and a full collection is made while nobody is on the line, or after so many ended calls that
what they may have left is worth a pause.
"""

import asyncio
import gc
from collections.abc import Callable

LOOK_EVERY_S = 10.0
MOST_ENDED = 300
"""Calls that may end before a pause is made for what they left: some 20 MiB at most."""
MOST_LOOKS = 360
"""An hour, after which there is a pause in any case."""
NEVER = 1_000_000_000


def keep_startup() -> None:
    """Take everything there is now out of the garbage collector's sight: modules and schemas stay for good.

    To look through them takes 80 ms, in which no call's audio moves.
    """
    gc.collect()
    gc.freeze()


async def collect_unheard(is_idle: Callable[[], bool], ended: Callable[[], int]) -> None:
    """Choose the moments of full collections until cancelled; then the interpreter does again.

    Args:
        is_idle: whether nobody is on the line.
        ended: how many calls have ended since the process began.
    """
    usual = gc.get_threshold()
    gc.set_threshold(usual[0], usual[1], NEVER)
    looks, before = 0, ended()
    try:
        while True:
            await asyncio.sleep(LOOK_EVERY_S)
            looks += 1
            if is_idle() or ended() - before >= MOST_ENDED or looks >= MOST_LOOKS:
                gc.collect()
                looks, before = 0, ended()
    finally:
        gc.set_threshold(*usual)
