"""Child processes: waiting for their end for a while, and making them end."""

import asyncio
import os
import signal
from asyncio.subprocess import Process


async def ends_within(process: Process, seconds: float) -> bool:
    """Wait for the process to end, at most `seconds`; say whether it did."""
    try:
        async with asyncio.timeout(seconds):
            await process.wait()
    except TimeoutError:
        return False
    return True


async def stop(process: Process, *, grace_s: float) -> None:
    """End a process that leads its own group: ask it to, and after `grace_s` kill the group.

    It must have been started with `start_new_session=True`.
    """
    if process.returncode is not None:
        return
    _signal(process, signal.SIGTERM)
    if not await ends_within(process, grace_s):
        _signal_group(process, signal.SIGKILL)
        await process.wait()


def _signal(process: Process, number: signal.Signals) -> None:
    try:
        process.send_signal(number)
    except ProcessLookupError:
        return  # it ended on its own a moment ago, which is what is wanted


def _signal_group(process: Process, number: signal.Signals) -> None:
    try:
        os.killpg(process.pid, number)
    except ProcessLookupError:
        return  # all of it ended a moment ago
