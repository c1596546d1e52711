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

    def add(self, key: object, listener: Beat, failed: Failed, *, first_s: float | None = None) -> None:
        """Call `listener` from the next beat on; adding the same (hashable) key again changes nothing.

        Args:
            key: what `remove` takes.
            listener: gets the loop's time.
            failed: gets what it raised.
            first_s: when the first beat is, from now; of no meaning while others listen. An interval without it.
        """
        self._listeners.setdefault(key, (listener, failed))
        if self._handle is None:
            loop = asyncio.get_running_loop()
            self._due = loop.time() + (self.interval_s if first_s is None else first_s)
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


class Rota:
    """Tickers of one interval that take turns: what a hundred listeners do at a beat would hold up frames at once.

    Listeners are spread over `turns`, each that part of the interval after the one before.
    """

    def __init__(self, interval_s: float, turns: int) -> None:
        self._interval_s = interval_s
        self._turns = [Ticker(interval_s) for _ in range(turns)]
        self._taken: dict[object, Ticker] = {}
        self._origin = 0.0

    def __len__(self) -> int:
        return len(self._taken)

    def add(self, key: object, listener: Beat, failed: Failed) -> None:
        """Call `listener` each interval; adding the same (hashable) key again changes nothing."""
        if key in self._taken:
            return
        now = asyncio.get_running_loop().time()
        if not self._taken:
            self._origin = now
        turn = min(self._turns, key=len)
        since = now - self._origin - self._interval_s * self._turns.index(turn) / len(self._turns)
        self._taken[key] = turn
        turn.add(key, listener, failed, first_s=self._interval_s - since % self._interval_s)

    def remove(self, key: object) -> None:
        """Stop calling."""
        if (turn := self._taken.pop(key, None)) is not None:
            turn.remove(key)


@dataclass(frozen=True, slots=True)
class Heartbeats:
    """The process's two rhythms: audio pacing, and slow checks."""

    audio: Ticker
    checks: Rota

    @classmethod
    def standard(cls) -> "Heartbeats":
        """20 ms for audio, 100 ms for everything that is not, a fifth of the calls at a time."""
        return cls(Ticker(0.020), Rota(0.100, turns=5))
