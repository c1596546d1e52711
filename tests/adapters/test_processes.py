"""Child processes end when they are told, the kind way or the other."""

import asyncio
import os
import sys

import pytest

from archer_bridge.adapters.processes import ends_within, stop

KIND = "print('up', flush=True); import time; time.sleep(60)"
STUBBORN = f"import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); {KIND}"


async def started(program: str) -> asyncio.subprocess.Process:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", program), stdout=asyncio.subprocess.PIPE, start_new_session=True
    )
    assert process.stdout is not None
    await process.stdout.readline()
    return process


@pytest.mark.parametrize(
    ("program", "grace_s", "returncode"),
    [pytest.param(KIND, 30, -15, id="asked"), pytest.param(STUBBORN, 0.1, -9, id="killed")],
)
async def test_a_process_is_stopped(program, grace_s, returncode):
    process = await started(program)

    early = await ends_within(process, 0.01)
    await stop(process, grace_s=grace_s)

    assert (False, returncode) == (early, process.returncode)
    with pytest.raises(ProcessLookupError):
        os.kill(process.pid, 0)


async def test_stopping_what_has_ended_is_nothing():
    process = await started("print('up')")

    ended = await ends_within(process, 30)
    await stop(process, grace_s=1)

    assert (ended, process.returncode) == (True, 0)
