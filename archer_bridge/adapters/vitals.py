"""What a process knows of its own health, kept where it happens; the metrics and `/healthz` read it."""

import asyncio
from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field

from archer_bridge.errors import EngineError
from archer_bridge.ports import Dialer, TextSocket
from archer_bridge.tally import Tally

BEAT_S = 0.1
LAG_BOUNDS = (0.001, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)


class Pulse:
    """The event loop's own heartbeat: how late it comes is how long everything else had to wait."""

    def __init__(self) -> None:
        self.lag = Tally(LAG_BOUNDS)
        """Seconds that beats came late."""
        self._at = asyncio.get_running_loop().time()

    @property
    def age_s(self) -> float:
        """Seconds since the last beat."""
        return asyncio.get_running_loop().time() - self._at

    async def beat(self) -> None:
        """Beat until cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            due = loop.time() + BEAT_S
            await asyncio.sleep(BEAT_S)
            self._at = loop.time()
            self.lag.observe(max(0.0, self._at - due))


@dataclass(slots=True)
class Vitals:
    """Sums since the process started."""

    pulse: Pulse | None = None
    """None where nobody beats: on a virtual clock."""
    orphans: int = 0
    """Calls of dead processes that this one ended."""
    unknown_tools: int = 0
    """Tool rows whose side effect may have happened: of every process, as last seen in the record."""
    webhooks: defaultdict[tuple[str, int], Tally] = field(default_factory=lambda: defaultdict(Tally))
    """Seconds to the answer, by route and status."""
    vendor_connects: Tally = field(default_factory=Tally)
    """Seconds to an open engine socket."""
    vendor_errors: Counter[str] = field(default_factory=Counter)
    """Failed connections and lost sessions, by HTTP status, close code or `unreachable`."""

    def watched(self, dial: Dialer) -> Dialer:
        """Return the dialer with its successes and failures counted."""

        async def dial_and_count(url: str, headers: Mapping[str, str]) -> TextSocket:
            loop = asyncio.get_running_loop()
            began = loop.time()
            try:
                socket = await dial(url, headers)
            except EngineError as error:
                self.vendor_errors[str(error.status or "unreachable")] += 1
                raise
            except asyncio.CancelledError:  # its time was over, or the caller's patience
                self.vendor_errors["no_answer"] += 1
                raise
            self.vendor_connects.observe(loop.time() - began)
            return socket

        return dial_and_count
