"""Twilio's side of a stream, on its way out: `start`, caller audio every 20 ms, digits, echoes, `stop`."""

import asyncio
import random
from collections.abc import Mapping

from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed

from archer_bridge.devkit.phone.line import Line
from archer_bridge.devkit.phone.options import StreamFaults
from archer_bridge.devkit.phone.tape import FRAME, SAMPLES_PER_MS, SILENCE
from archer_bridge.devkit.phone.wire import CONNECTED, Composer

BACKLOG = 150
"""Media frames (3 s) waiting for a socket that does not drain, before audio is discarded with warning 31930."""
_FRAME_MS = FRAME // SAMPLES_PER_MS
_FIRST_TIMESTAMP_MS = (102, 171)
"""First timestamps seen in captures of live calls."""
_JITTER_MS = 2


class Outbox:
    """Composes messages in wire order and sends them with one writer."""

    def __init__(self, composer: Composer, line: Line, faults: StreamFaults, rng: random.Random) -> None:
        self._composer = composer
        self._line = line
        self._faults = faults
        self._rng = rng
        self._queue: asyncio.Queue[str] = asyncio.Queue()
        self._first_ms = rng.uniform(*_FIRST_TIMESTAMP_MS)
        self._is_cut = False
        self.start_sample: int | None = None
        """Where the first media frame begins on the call's timeline; None before `start`."""
        self.frames_sent = 0
        self.frames_lost = 0
        self.overflowed = 0

    def put(self, text: str) -> None:
        """Send after everything already put."""
        if not self._is_cut:
            self._queue.put_nowait(text)

    def mark(self, name: str) -> None:
        """Send the echo of a mark."""
        self.put(self._composer.mark(name))

    def digit(self, digit: str) -> None:
        """Send a pressed key."""
        self.put(self._composer.dtmf(digit))

    def cut(self) -> None:
        """Send nothing from now on (a dead network)."""
        self._is_cut = True

    async def stop(self) -> None:
        """Send `stop` and wait until all has been handed to the socket."""
        self.put(self._composer.stop())
        await self._queue.join()

    async def write(self, socket: ClientConnection) -> None:
        """Be the one writer, until cancelled; a closed socket takes everything and keeps nothing."""
        while True:
            text = await self._queue.get()
            try:
                if not self._is_cut:
                    await socket.send(text)
            except ConnectionClosed:
                self.cut()
            finally:
                self._queue.task_done()

    async def start(self, parameters: Mapping[str, str]) -> bool:
        """Send `connected` and `start`; False when the fault `never` holds `start` back."""
        faults = self._faults
        self.put(CONNECTED)
        for number in range(faults.media_before_start):
            self.put(self._composer.media(SILENCE * FRAME, round(self._first_ms) + number * _FRAME_MS))
        if faults.start == "never":
            return False
        if faults.start == "late":
            await asyncio.sleep(faults.start_delay_s)
        for _ in range(2 if faults.start == "duplicate" else 1):
            self.put(self._composer.start(parameters, faults.media_format))
        self.start_sample = self._line.clock.now()
        return True

    async def pace(self) -> None:
        """Send what the caller says, 160 bytes every 20 ms, until cancelled. `start` comes first.

        A frame is sent once it has been spoken, on absolute deadlines. Timestamps are irregular as on live calls.
        """
        assert self.start_sample is not None
        held: list[tuple[bytes, int]] = []
        number = 0
        while True:
            begin = self.start_sample + number * FRAME
            await self._line.clock.until(begin + FRAME)
            at_ms = number * _FRAME_MS
            jitter = self._rng.uniform(-_JITTER_MS, _JITTER_MS)
            frame = (self._line.said.read(begin, begin + FRAME), round(self._first_ms + at_ms + jitter))
            if any(gap.covers(at_ms) for gap in self._faults.gaps):
                self.frames_lost += 1
            else:
                held.append(frame)
            if not any(burst.covers(at_ms) for burst in self._faults.bursts):
                self._release(held)
            number += 1

    def _release(self, held: list[tuple[bytes, int]]) -> None:
        for data, timestamp in held:
            if self._is_cut:
                self.frames_lost += 1
            elif self._queue.qsize() >= BACKLOG:
                self.overflowed += 1
            else:
                self.put(self._composer.media(data, timestamp))
                self.frames_sent += 1
        held.clear()
