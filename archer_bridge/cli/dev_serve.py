"""`archer serve` as a child of `archer dev`: started, watched until it answers, given the signals."""

import asyncio
import signal
import sys
from asyncio.subprocess import Process
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager

from archer_bridge.adapters.processes import ends_within, stop
from archer_bridge.adapters.web_client import RequestFailed, fetch

POLL_S = 0.25
STOP_WAIT_S = 10.0
PASSED_ON: Mapping[signal.Signals, signal.Signals] = {
    signal.SIGINT: signal.SIGINT,
    signal.SIGTERM: signal.SIGTERM,
    signal.SIGHUP: signal.SIGTERM,  # uvicorn's reloader does not know it, and would leave its child behind
}
"""What this process gets, and what the bridge gets for it."""


class SignalRelay:
    """Gives the signals of this process to the bridge; while there is no bridge, they cancel the command."""

    def __init__(self, task: "asyncio.Task[object]") -> None:
        self._task = task
        self.process: Process | None = None

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Take the signals until the block is left; in the main thread only."""
        loop = asyncio.get_running_loop()
        for number in PASSED_ON:
            loop.add_signal_handler(number, self._on_signal, number)
        try:
            yield
        finally:
            for number in PASSED_ON:
                loop.remove_signal_handler(number)

    def _on_signal(self, number: signal.Signals) -> None:
        if self.process is None:
            self._task.cancel()
        elif self.process.returncode is None:
            self.process.send_signal(PASSED_ON[number])


@asynccontextmanager
async def serving_process(
    relay: SignalRelay, environment: Mapping[str, str], *, reload: bool
) -> AsyncIterator[Process]:
    """Run `archer serve` until the block is left.

    It leads a process group of its own, so that Ctrl-C reaches it once, through the relay: for the bridge a second
    signal means not to let live calls end.
    """
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "archer_bridge", "serve", *(["--reload"] if reload else [])),
        env=environment,
        stdin=asyncio.subprocess.DEVNULL,
        start_new_session=True,
    )
    relay.process = process
    try:
        yield process
    finally:
        await stop(process, grace_s=STOP_WAIT_S)


async def answers(process: Process, url: str) -> bool:
    """Wait until the bridge answers at `url`; False when it ended instead."""
    while not await ends_within(process, POLL_S):
        try:
            answer = await fetch(f"{url}/healthz", timeout_s=2.0)
        except RequestFailed:
            continue  # not yet; what is wrong, the bridge itself says on this terminal
        if answer.status == 200:
            return True
    return False


async def is_taken(host: str, port: int) -> bool:
    """Whether somebody listens there already."""
    try:
        _, writer = await asyncio.open_connection(host, port)
    except OSError:
        return False
    writer.close()
    await writer.wait_closed()
    return True


def exit_code(returncode: int) -> int:
    """Return a shell's exit code: 128 and the number of the signal that ended the process."""
    return 128 - returncode if returncode < 0 else returncode
