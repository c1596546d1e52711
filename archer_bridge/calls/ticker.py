"""One heartbeat a process: absolute deadlines, no timer per call, asleep while nobody listens."""

import asyncio
import math
from collections.abc import Callable
from dataclasses import dataclass

Beat = Callable[[float], None]
Failed = Callable[[Exception], None]


class Ticker:
    """Calls every listener each `interval_s`, with the loop's time; a late beat is skipped, never stacked.

    A listener that raises is called no more, its `failed` is told, and the others go on undisturbed.
    """

    def __init__(self, interval_s: float) -> None:
        self.interval_s = interval_s
        self._listeners: dict[object, tuple[Beat, Failed]] = {}
        self._handle: asyncio.TimerHandle | None = None
        self._due = 0.0

    def __len__(self) -> int:
        return len(self._listeners)

    def add(self, key: object, listener: Beat, failed: Failed) -> None:
        """Call `listener` from the next beat on; adding the same (hashable) key again changes nothing."""
        self._listeners.setdefault(key, (listener, failed))
        if self._handle is None:
            loop = asyncio.get_running_loop()
            self._due = loop.time() + self.interval_s
            self._handle = loop.call_at(self._due, self._beat)

    def remove(self, key: object) -> None:
        """Stop calling; with nobody left the ticker sleeps."""
        self._listeners.pop(key, None)
        if not self._listeners and self._handle is not None:
            self._handle.cancel()
            self._handle = None

    def _beat(self) -> None:
        loop = asyncio.get_running_loop()
        now = loop.time()
        missed = max(0, math.floor((now - self._due) / self.interval_s))
        self._due += (1 + missed) * self.interval_s
        self._handle = loop.call_at(self._due, self._beat)
        for key, (listener, failed) in list(self._listeners.items()):
            if key not in self._listeners:
                continue  # removed by a listener before it
            try:
                listener(now)
            except Exception as error:  # one call's fault is its own: the other calls' audio goes on
                self.remove(key)
                failed(error)


@dataclass(frozen=True, slots=True)
class Heartbeats:
    """The process's two tickers: audio pacing, and slow checks."""

    audio: Ticker
    checks: Ticker

    @classmethod
    def standard(cls) -> "Heartbeats":
        """20 ms for audio, 100 ms for everything that is not."""
        return cls(Ticker(0.020), Ticker(0.100))
