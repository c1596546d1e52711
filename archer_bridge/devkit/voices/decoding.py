"""Decodes the tones of `archer_bridge.devkit.voices.tones` into characters with their times.

Theory of operation. The stream is cut into blocks of 2.5 ms on a fixed grid, so that the answer does
not depend on how it was cut into pieces before. A block is *on* or *off* by its power. A run of on
blocks is a *burst*; the gap between symbols ends it. A burst as long as one symbol that two tones
explain is that character. Any other burst (audio was cut out, or spliced after a barge-in) is divided
by dynamic programming into stretches that two tones explain and stretches that nothing does; only
stretches of at least 20 ms count, so that what was cut too short to tell is left out rather than guessed.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from archer_bridge.devkit.voices.tones import ALPHABET, HIGH_HZ, LOW_HZ

RATE = 8000
BLOCK = 20
"""Samples in a block."""
BLOCK_MS = BLOCK * 1000 / RATE

_ON_DBFS = -35.0  # 10 dB above loud line noise, 20 dB below a symbol
_ON_POWER = (32768 * 10 ** (_ON_DBFS / 20)) ** 2
_GAP_BLOCKS = 2  # off blocks that end a burst; the gap of a symbol holds three whole ones
_MIN_BLOCKS = 8  # 20 ms: the least from which tones 100 Hz apart can be told
_MAX_BLOCKS = 23  # 57.5 ms: a whole symbol, off the grid, with the ringing of a resampler
_FORCE_BLOCKS = 80  # 200 ms: a burst this long is decoded without waiting for its end
_EXPLAINED = 0.7  # share of power in two tones: 0.78 and more for one symbol, 0.5 and less for two
_WEAKER_TONE = 0.08  # least share of the weaker tone, so that one tone alone is no symbol
_SPLIT_COST = 0.4  # blocks' worth of power that a further symbol must explain to be believed
_SPACE_MS = 100.0  # silence between symbols that is heard as a space

_HZ = np.array(LOW_HZ + HIGH_HZ, dtype=np.float64)
_BASIS = np.exp(-2j * np.pi * np.outer(_HZ, np.arange(_FORCE_BLOCKS * BLOCK)) / RATE)

Samples = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Symbol:
    """One decoded character, in milliseconds from the first sample; the grid is 2.5 ms."""

    char: str
    start_ms: float
    end_ms: float


class Blocks:
    """Cuts a stream of int16 bytes into blocks; keeps what does not fill one."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, audio: bytes) -> Iterator[tuple[Samples, bool]]:
        """Blocks of 20 samples, each with whether it is on."""
        data = self._rest + audio
        whole = len(data) // (2 * BLOCK) * 2 * BLOCK
        self._rest = data[whole:]
        samples = np.frombuffer(data[:whole], dtype="<i2").astype(np.float64).reshape(-1, BLOCK)
        power = np.mean(samples * samples, axis=1)
        yield from zip(samples, (power > _ON_POWER).tolist(), strict=True)

    def flush(self) -> Iterator[tuple[Samples, bool]]:
        """The last, incomplete block, filled up with silence."""
        missing = -len(self._rest) % (2 * BLOCK)
        yield from self.feed(bytes(missing))


class Decoder:
    """Turns blocks into symbols; a symbol appears once the burst that holds it has ended."""

    def __init__(self) -> None:
        self._index = 0
        self._burst: list[Samples] = []
        self._off = 0

    def push(self, block: Samples, is_on: bool) -> list[Symbol]:
        """Take the next block of the stream."""
        self._index += 1
        if is_on:
            self._off = 0
            self._burst.append(block)
            return self.flush() if len(self._burst) >= _FORCE_BLOCKS else []
        if not self._burst:
            return []
        self._off += 1
        self._burst.append(block)
        return self.flush() if self._off >= _GAP_BLOCKS else []

    def flush(self) -> list[Symbol]:
        """Decode the open burst."""
        first = self._index - len(self._burst)
        burst, self._burst, self._off = self._burst, [], 0
        if len(burst) < _MIN_BLOCKS:
            return []
        return [
            Symbol(char, (first + start) * BLOCK_MS, (first + end) * BLOCK_MS)
            for char, start, end in _divide(np.stack(burst))
        ]


def _divide(burst: Samples) -> list[tuple[str, int, int]]:
    """Characters of a burst of shape (blocks, 20) with their first and past-last block."""
    power = np.sum(burst * burst, axis=1)
    loud = np.flatnonzero(power > 0.1 * power.max())
    start, end = int(loud[0]), int(loud[-1]) + 1
    table = _Table(burst[start:end], power[start:end])
    count = end - start
    if _MIN_BLOCKS <= count <= _MAX_BLOCKS:
        char = table.char(0, count)
        if char is not None:
            return [(char, start, end)]
    return [(char, start + i, start + j) for char, i, j in _best_division(table, count)]


class _Table:
    """Tone content of every stretch of a burst, by prefix sums over its blocks."""

    def __init__(self, burst: Samples, power: Samples) -> None:
        count = len(burst)
        content = (_BASIS[:, : count * BLOCK] * burst.reshape(-1)).reshape(len(_HZ), count, BLOCK).sum(-1)
        self._content = np.concatenate([np.zeros((len(_HZ), 1)), np.cumsum(content, axis=1)], axis=1)
        self._power = np.concatenate([[0.0], np.cumsum(power)])
        self.mean_power = float(power.mean())

    def power(self, start: int, end: int) -> float:
        """Energy of the stretch."""
        return float(self._power[end] - self._power[start])

    def explain(self, start: int, end: int) -> tuple[str, float, float]:
        """Best character for the stretch, the energy its two tones hold, and that of the weaker one."""
        content = self._content[:, end] - self._content[:, start]
        energy = (content.real**2 + content.imag**2) * (2 / ((end - start) * BLOCK))
        low = int(np.argmax(energy[: len(LOW_HZ)]))
        high = int(np.argmax(energy[len(LOW_HZ) :]))
        two = float(energy[low]), float(energy[len(LOW_HZ) + high])
        return ALPHABET[low * len(HIGH_HZ) + high], sum(two), min(two)

    def char(self, start: int, end: int) -> str | None:
        """The character that explains the stretch, or None if none does."""
        char, explained, weaker = self.explain(start, end)
        power = self.power(start, end)
        is_clear = explained >= _EXPLAINED * power and weaker >= _WEAKER_TONE * explained
        return char if is_clear else None


def _best_division(table: _Table, count: int) -> list[tuple[str, int, int]]:
    """The division into characters and unexplained stretches that explains the most energy."""
    best = [0.0] * (count + 1)
    step: list[tuple[int, str | None]] = [(0, None)] * (count + 1)
    for end in range(1, count + 1):
        best[end], step[end] = best[end - 1], (end - 1, None)
        for start in range(max(0, end - _MAX_BLOCKS), end - _MIN_BLOCKS + 1):
            char = table.char(start, end)
            if char is None:
                continue
            gain = table.explain(start, end)[1] - _EXPLAINED * table.power(start, end)
            score = best[start] + gain - _SPLIT_COST * table.mean_power
            if score > best[end]:
                best[end], step[end] = score, (start, char)
    found: list[tuple[str, int, int]] = []
    end = count
    while end > 0:
        start, char = step[end]
        if char is not None:
            found.append((char, start, end))
        end = start
    return found[::-1]


def symbols(pcm8k: bytes) -> list[Symbol]:
    """Every symbol of a whole recording, int16 mono at 8 kHz."""
    blocks, decoder = Blocks(), Decoder()
    found: list[Symbol] = []
    for source in (blocks.feed(pcm8k), blocks.flush()):
        for block, is_on in source:
            found.extend(decoder.push(block, is_on))
    return found + decoder.flush()


def joined_text(found: list[Symbol]) -> str:
    """The text of symbols in order; a silence of 100 ms or more reads as a space."""
    text = ""
    previous_end: float | None = None
    for symbol in found:
        if previous_end is not None and symbol.start_ms - previous_end >= _SPACE_MS:
            text += " "
        text += symbol.char
        previous_end = symbol.end_ms
    return " ".join(text.split())


def decode_tones(pcm8k: bytes) -> list[tuple[str, float]]:
    """Every character in int16 mono audio at 8 kHz with the millisecond at which it starts."""
    return [(symbol.char, symbol.start_ms) for symbol in symbols(pcm8k)]


def heard_text(pcm8k: bytes) -> str:
    """The text in int16 mono audio at 8 kHz; a silence of 100 ms or more reads as a space."""
    return joined_text(symbols(pcm8k))
