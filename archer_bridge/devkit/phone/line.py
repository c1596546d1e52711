"""The telephone line of one call: its clock, what is heard on it and what the caller says into it."""

import asyncio
import math
from typing import Protocol

from archer_bridge.devkit.phone.events import EventKind, EventSink, PhoneEvent
from archer_bridge.devkit.phone.tape import FRAME, SAMPLES_PER_MS, VOICED_RMS, Tape, frame_levels

_RATE = SAMPLES_PER_MS * 1000
_HANGOVER = 300 * SAMPLES_PER_MS
"""Quiet that ends a stretch of agent audio: longer than the stops inside a word, shorter than a turn's end."""


class Clock:
    """The call's time, in samples and milliseconds since it was answered."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self.origin_s = self._loop.time()
        self.is_answered = False

    def answer(self) -> None:
        """Start the timeline: sample 0 is now."""
        self.origin_s = self._loop.time()
        self.is_answered = True

    def now(self) -> int:
        """Whole samples since the answer; a timer that fires a hair early still counts as on time."""
        return math.floor((self._loop.time() - self.origin_s) * _RATE + 0.05)

    def now_ms(self) -> float:
        """Milliseconds since the answer, 0 before it."""
        return (self._loop.time() - self.origin_s) * 1000.0 if self.is_answered else 0.0

    def time_of(self, sample: int) -> float:
        """The loop's time at which `sample` begins."""
        return self.origin_s + sample / _RATE

    async def until(self, sample: int) -> None:
        """Sleep until `sample`; an absolute deadline, so errors do not add up."""
        await asyncio.sleep(max(0.0, self.time_of(sample) - self._loop.time()))


class Monitor:
    """Finds stretches of audible sound on the heard tape, 20 ms at a time."""

    def __init__(self) -> None:
        self._position = 0
        self.run_start: int | None = None
        """Sample at which the current stretch began; None while it is quiet."""
        self.last_voiced = 0
        """Sample after the last audible frame."""

    def update(self, heard: Tape, now: int) -> list[tuple[EventKind, int, int]]:
        """Look at what was heard up to `now`; return ("agent_audio_started"|"..._ended", start, end)."""
        end = now - now % FRAME
        changes: list[tuple[EventKind, int, int]] = []
        for level in frame_levels(heard.read(self._position, end)) if end > self._position else ():
            if level >= VOICED_RMS:
                if self.run_start is None:
                    self.run_start = self._position
                    changes.append(("agent_audio_started", self._position, self._position))
                self.last_voiced = self._position + FRAME
            elif self.run_start is not None and self._position + FRAME - self.last_voiced >= _HANGOVER:
                changes.append(("agent_audio_ended", self.run_start, self.last_voiced))
                self.run_start = None
            self._position += FRAME
        return changes


class Plug(Protocol):
    """What a running media stream does for the line."""

    def advance(self) -> None:
        """Play onto the heard tape up to now; called before the tape is looked at."""

    def digit(self, digit: str) -> bool:
        """Take a key the caller pressed; False when the stream cannot carry it yet."""


class Line:
    """Both directions of the call on one timeline; ticks every 20 ms while the call is up."""

    def __init__(self, emit: EventSink) -> None:
        self.clock = Clock()
        self.heard = Tape()
        self.said = Tape()
        self.monitor = Monitor()
        self.plug: Plug | None = None
        """The running media stream."""
        self.end = 0
        """Sample at which the call ended; meaningful after `stop`."""
        self._emit = emit
        self._tick = asyncio.Event()

    def emit(self, kind: EventKind, text: str = "") -> None:
        """Tell the listener what happened now."""
        self._emit(PhoneEvent(kind, self.clock.now_ms(), text))

    async def run(self) -> None:
        """Tick until cancelled, on absolute deadlines from the answer."""
        frame = self.clock.now() // FRAME
        while True:
            frame += 1
            await self.clock.until(frame * FRAME)
            self.observe()

    def observe(self) -> None:
        """Bring the monitor up to now, tell what it found, wake who waits for sound."""
        if self.plug is not None:
            self.plug.advance()
        for kind, start, end in self.monitor.update(self.heard, self.clock.now()):
            audio = self.heard.read(start, end) if kind == "agent_audio_ended" else b""
            self._emit(PhoneEvent(kind, (end if audio else start) / SAMPLES_PER_MS, audio=audio))
        self.pulse()

    def pulse(self) -> None:
        """Wake who waits in `next_tick`."""
        tick, self._tick = self._tick, asyncio.Event()
        tick.set()

    def stop(self) -> None:
        """End the timeline now; what lies on the tapes beyond it is cut off."""
        self.end = self.clock.now() if self.clock.is_answered else 0
        run_start = self.monitor.run_start
        if run_start is not None:
            span = (run_start, self.monitor.last_voiced)
            self._emit(PhoneEvent("agent_audio_ended", span[1] / SAMPLES_PER_MS, audio=self.heard.read(*span)))
        for tape in (self.heard, self.said):
            tape.cut(self.end)

    async def next_tick(self) -> None:
        """Wait for the next 20 ms to have been heard."""
        await self._tick.wait()
