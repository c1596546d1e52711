"""An event loop in a daemon thread, for tools that might block it."""

import asyncio
import contextlib
import threading
from collections.abc import Callable, Coroutine
from typing import Any

PICK_UP_S = 0.25
"""A loop that begins nothing for this long is blocked by a tool."""


def soon(loop: asyncio.AbstractEventLoop, function: Callable[..., object], *arguments: Any) -> None:
    """Call a function on a loop from any thread; a loop that is closed has nobody left to tell."""
    with contextlib.suppress(RuntimeError):
        loop.call_soon_threadsafe(function, *arguments)


class ToolLoop:
    """Runs coroutines away from the loop it was made on, in which `start` and `retire` are called."""

    def __init__(self) -> None:
        self._home = asyncio.get_running_loop()
        self._loop = asyncio.new_event_loop()
        self._tasks: set[asyncio.Task[Any]] = set()
        self._retired = False
        threading.Thread(target=self._run, name="tool-loop", daemon=True).start()

    async def start(
        self, make: Callable[[], Coroutine[Any, Any, Any]], done: Callable[["asyncio.Task[Any]"], None]
    ) -> Callable[[], None] | None:
        """Begin a coroutine and return how to cancel it, or None: the loop is blocked and it will never begin.

        `done` is called on the home loop with the finished task.
        """
        ticket = [make]  # popped exactly once: by the loop to begin, or here to take it back
        begun: asyncio.Future[asyncio.Task[Any]] = self._home.create_future()

        def finished(task: "asyncio.Task[Any]") -> None:
            self._tasks.discard(task)
            soon(self._home, done, task)
            self._stop_if_idle()

        def begin() -> None:
            try:
                work = ticket.pop()
            except IndexError:
                return
            task = self._loop.create_task(work(), name="tool-code")
            self._tasks.add(task)
            task.add_done_callback(finished)
            soon(self._home, begun.set_result, task)

        soon(self._loop, begin)
        await asyncio.wait({begun}, timeout=PICK_UP_S)
        if not begun.done():
            with contextlib.suppress(IndexError):
                ticket.pop()
                self.retire()
                return None
        task = await begun
        return lambda: soon(self._loop, task.cancel)

    def retire(self) -> None:
        """Take no more work in; the thread ends with the last coroutine."""
        soon(self._loop, self._retire)

    def _retire(self) -> None:
        self._retired = True
        self._stop_if_idle()

    def _stop_if_idle(self) -> None:
        if self._retired and not self._tasks:
            self._loop.stop()

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_forever()
        self._loop.run_until_complete(self._loop.shutdown_asyncgens())
        self._loop.close()
