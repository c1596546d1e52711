"""Cost of a 20 ms frame: contenders take turns in short laps, so that a busy machine troubles all alike."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median

Clock = Callable[[], int]
"""Nanoseconds of the thread's CPU time or of a steady clock."""

_LAP_FRAMES = 50


@dataclass(frozen=True, slots=True)
class Cost:
    """Microseconds of one frame: the median lap; `ratio` to the reference is the median of the laps' ratios."""

    us: float
    ratio: float


@dataclass(frozen=True, slots=True)
class Contender:
    """Something that takes frames: `feed`, and the frames it is fed in turn."""

    feed: Callable[[bytes], bytes]
    frames: Sequence[bytes]


def race(contenders: Mapping[str, Contender], reference: str, *, clock: Clock, rounds: int) -> dict[str, Cost]:
    """Time all contenders interleaved over `rounds` laps of 50 frames each; the first lap is a warm-up."""
    laps: dict[str, list[float]] = {name: [] for name in contenders}
    for _ in range(rounds + 1):
        for name, contender in contenders.items():
            laps[name].append(_lap(contender, clock))
    base = laps[reference][1:]
    return {
        name: Cost(median(taken[1:]), median(mine / other for mine, other in zip(taken[1:], base, strict=True)))
        for name, taken in laps.items()
    }


def mean_us(call: Callable[[], object], *, clock: Clock, times: int = 2000) -> float:
    """Microseconds of one call: the median of ten laps."""
    laps = []
    for _ in range(10):
        begin = clock()
        for _ in range(times // 10):
            call()
        laps.append((clock() - begin) / (times // 10) / 1000)
    return median(laps)


def _lap(contender: Contender, clock: Clock) -> float:
    feed, frames = contender.feed, contender.frames
    begin = clock()
    for index in range(_LAP_FRAMES):
        feed(frames[index % len(frames)])
    return (clock() - begin) / _LAP_FRAMES / 1000
