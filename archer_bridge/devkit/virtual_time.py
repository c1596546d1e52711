"""An event loop whose clock runs as fast as the work allows, over real sockets and real threads.

Theory of operation. asyncio asks its selector to wait until the next timer is due. The selector here
first looks for I/O that is ready now; that costs no virtual time, so a slow machine never makes a timer
late. When nothing is ready, it waits for I/O in real time, but only for the gap divided by `max_speed`,
and then moves the clock by the whole gap. I/O that arrives during that wait moves the clock by the time
it really took, times `max_speed`, and never past the next timer. Threads wake the loop through its own
socket and so count as I/O. While a job of the loop's (`run_in_executor`, `to_thread`) is under way, the
clock runs no faster than the real one: the loop knows that somebody is working, and a machine that is
slow to give a thread its turn must not make a database look slow.

The clock counts whole nanoseconds and starts at zero, so that timers fire at the very instant asked for.
"""

import asyncio
import select
import selectors
import time
from collections.abc import Callable, Coroutine, Mapping
from concurrent.futures import Executor
from typing import Any, TypeVar, TypeVarTuple, Unpack

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

DEFAULT_MAX_SPEED = 50.0
_Ready = list[tuple[selectors.SelectorKey, int]]


class _VirtualSelector(selectors.BaseSelector):
    """A selector that waits `max_speed` times shorter than asked and keeps the virtual clock."""

    def __init__(self, max_speed: float) -> None:
        self.now_ns = 0
        self.jobs = 0
        """Those the loop has given to threads and waits for."""
        self._max_speed = max_speed
        self._selector = selectors.DefaultSelector()

    def select(self, timeout: float | None = None) -> _Ready:
        """Return ready I/O, or nothing once `timeout` virtual seconds have gone by."""
        ready = self._selector.select(0)
        if ready or (timeout is not None and timeout <= 0):
            return ready
        if timeout is None:  # no timer: only real I/O can wake the loop, and its time is unknown
            return self._selector.select(None)
        gap_ns = round(timeout * 1e9)
        speed = min(1.0, self._max_speed) if self.jobs else self._max_speed
        started = time.monotonic_ns()
        ready = self._wait(timeout / speed)
        if ready:
            spent_ns = round((time.monotonic_ns() - started) * speed)
            gap_ns = min(gap_ns, spent_ns)
        self.now_ns += gap_ns
        return ready

    def _wait(self, real_s: float) -> _Ready:
        # epoll rounds its timeout up to a millisecond, 50 ms of virtual time; select() on its
        # descriptor, which is readable when any of its own are, waits microseconds.
        fileno = getattr(self._selector, "fileno", None)
        if fileno is None:
            return self._selector.select(real_s)
        select.select([fileno()], [], [], real_s)
        return self._selector.select(0)

    def register(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        """Watch a file object."""
        return self._selector.register(fileobj, events, data)

    def unregister(self, fileobj: Any) -> selectors.SelectorKey:
        """Stop watching a file object."""
        return self._selector.unregister(fileobj)

    def modify(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        """Change what is watched."""
        return self._selector.modify(fileobj, events, data)

    def get_map(self) -> Mapping[Any, selectors.SelectorKey]:
        """What is watched."""
        return self._selector.get_map()

    def close(self) -> None:
        """Release the descriptor."""
        self._selector.close()


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """An asyncio loop on virtual time; `time()` starts at 0.0.

    `max_speed` is how many virtual seconds may pass in a real one while something outside the loop (a
    thread, another process) may still be working. Lower it when such work must appear fast.
    """

    def __init__(self, max_speed: float = DEFAULT_MAX_SPEED) -> None:
        self._clock = _VirtualSelector(max_speed)
        super().__init__(self._clock)
        if not max_speed > 0:
            self.close()  # checked only here because a loop that was never made complains when it is deleted
            raise ValueError(f"max_speed is {max_speed!r}; expected a positive number of virtual per real second")

    def time(self) -> float:
        """Virtual seconds since the loop was made."""
        return self._clock.now_ns / 1e9

    def run_in_executor(
        self, executor: Executor | None, func: Callable[[Unpack[Ts]], T], *args: *Ts
    ) -> asyncio.Future[T]:
        """Give a job to a thread; the clock keeps to real time until it is done."""
        job = super().run_in_executor(executor, func, *args)
        self._clock.jobs += 1
        job.add_done_callback(self._job_done)
        return job

    def _job_done(self, _: asyncio.Future[Any]) -> None:
        self._clock.jobs -= 1


def run(coro: Coroutine[Any, Any, T], *, max_speed: float = DEFAULT_MAX_SPEED, debug: bool | None = None) -> T:
    """Run a coroutine on a new virtual-time loop, like `asyncio.run`."""
    with asyncio.Runner(debug=debug, loop_factory=lambda: VirtualTimeLoop(max_speed)) as runner:
        return runner.run(coro)
