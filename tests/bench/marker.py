"""A marker in the audio: a loud burst of 20 ms about once a second in silence, and where it is in what comes back.

The burst is a chirp through the telephone band under a Hann window, so that its correlation has one narrow peak; with
a parabola through it, it is found to a hundredth of a sample. A delay is counted from the time at which the burst's
frame is due to when the middle of the burst is heard, had each message been played as it came, less what lies before
the middle. It so has everything in it that a listener waits for: sockets, filters, and audio held back for a lump.
"""

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate

import numpy as np
from numpy.typing import NDArray

RATE, FRAME = 8000, 160
EVERY, FIRST = 50, 25
"""Every so many frames one holds a burst, and which one is the first."""
SLACK_S = 0.002
"""A burst is never heard before it is due; clocks are read apart."""
LOUD = 20_000.0
FLOOR = 0.4
"""Of the burst's own correlation: echoes and filters' skirts are below."""


def _decoded() -> NDArray[np.float64]:
    """Return the value of each mu-law byte (ITU-T G.711, table 2a)."""
    code = ~np.arange(256) & 0xFF
    size = (((code & 0x0F) << 3) + 0x84 << ((code & 0x70) >> 4)) - 0x84
    return np.where(code & 0x80, -size, size).astype(float)


VALUES = _decoded()
_TIME = np.arange(FRAME) / RATE
_CHIRP = np.sin(2 * np.pi * (600 * _TIME + (2400 - 600) / (2 * FRAME / RATE) * _TIME**2))
_WAVE = LOUD * np.hanning(FRAME) * _CHIRP
BURST = bytes(np.abs(_WAVE[:, None] - VALUES[None, :]).argmin(axis=1).astype(np.uint8))
SILENCE = b"\xff" * FRAME


@dataclass(frozen=True, slots=True)
class Heard:
    """One burst that came back: when its first sample was heard, in seconds, and where in its message that lies."""

    at: float
    shift_ms: float


def has_burst(frame: int) -> bool:
    """Say whether the frame of this number holds a burst."""
    return frame % EVERY == FIRST


def find(messages: Sequence[tuple[float, bytes]]) -> list[Heard]:
    """Return the bursts in messages of mu-law, each with the time at which it came, in order."""
    if not messages:
        return []
    audio = VALUES[np.frombuffer(b"".join(data for _, data in messages), np.uint8)]
    wave = VALUES[np.frombuffer(BURST, np.uint8)]
    likeness = np.correlate(audio, wave, "valid") / (wave @ wave) if len(audio) >= FRAME else np.zeros(0)
    ends = list(accumulate(len(data) for _, data in messages))
    found = []
    for peak in _peaks(likeness):
        middle = peak + (FRAME - 1) / 2
        number = min(bisect_right(ends, middle), len(messages) - 1)
        came, data = messages[number]
        inside = peak - (ends[number] - len(data))
        found.append(Heard(came + inside / RATE, inside / RATE * 1000))
    return found


def _peaks(likeness: NDArray[np.float64]) -> list[float]:
    """Return the places of the bursts, in fractions of a sample."""
    rest, found = likeness.copy(), []
    while len(rest) and rest[top := int(rest.argmax())] > FLOOR:
        place = float(top)
        if 0 < top < len(likeness) - 1:
            before, at, after = likeness[top - 1 : top + 2]
            place += float((before - after) / (2 * (before - 2 * at + after)))
        found.append(place)
        rest[max(0, top - EVERY * FRAME // 2) : top + EVERY * FRAME // 2] = 0.0
    return sorted(found)


def delays_ms(due: Sequence[float], heard: Sequence[Heard]) -> list[float]:
    """Return how long after its time each burst was heard; one that came back twice counts once.

    Delays have to be shorter than the time between two bursts, a second.
    """
    first: dict[int, float] = {}
    for one in heard:
        number = bisect_right(due, one.at + SLACK_S) - 1
        if number >= 0:
            first.setdefault(number, (one.at - due[number]) * 1000)
    return [first[number] for number in sorted(first)]
