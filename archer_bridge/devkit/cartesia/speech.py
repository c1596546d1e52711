"""One thing the agent says: made by the voice, cut into chunks, sent by the clock."""

import asyncio
import random
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from archer_bridge.devkit.cartesia.sound import utterances
from archer_bridge.devkit.voices import Utterance, Voice
from archer_codecs import PCM16_8K, Chain, Format, plan

_QUEUED_SENTENCES = 2
_ODD_SIZES = (1, 3, 77, 159, 161, 319, 479, 641)


@dataclass(frozen=True, slots=True)
class Delivery:
    """How audio goes out: `lead_s` None sends it as soon as it is made; `chunk_ms` None a sentence at a time."""

    chunk_ms: float | None
    lead_s: float | None
    odd_sizes: bool = False
    seed: int = 0

    def cut(self, data: bytes, target: Format) -> list[bytes]:
        """Cut one sentence's audio into chunks."""
        if self.odd_sizes:
            return self._cut_oddly(data)
        size = target.bytes_for(self.chunk_ms) if self.chunk_ms is not None else max(1, len(data))
        return [data[at : at + size] for at in range(0, len(data), size)]

    def _cut_oddly(self, data: bytes) -> list[bytes]:
        chance = random.Random(self.seed)
        chunks, at = [], 0
        while at < len(data):
            size = chance.choice(_ODD_SIZES)
            chunks.append(data[at : at + size])
            at += size
        return chunks


@dataclass(slots=True)
class Speech:
    """Says `text` through `send`, and reports each word when it has sounded.

    The moment of sounding is that of a listener who starts to play with the first chunk and plays without
    a gap; `begin_at` (loop time) is when an earlier speech will have been played.
    """

    text: str
    voice: Voice
    target: Format
    delivery: Delivery
    send: Callable[[bytes], Awaitable[None]]
    on_word: Callable[[str], Awaitable[object]]
    begin_at: float = 0.0
    _unsent: deque[bytes] = field(default_factory=deque)
    _last: bytes = b""

    async def play(self) -> float:
        """Say it all; returns, once it has sounded, the loop time at which it ended."""
        chain = plan(Format(PCM16_8K.encoding, self.voice.rate), self.target).build()
        ready: asyncio.Queue[Utterance | None] = asyncio.Queue(_QUEUED_SENTENCES)
        ends_at = self.begin_at
        async with asyncio.TaskGroup() as group:
            group.create_task(self._produce(ready), name="speech-producer")
            while (utterance := await ready.get()) is not None:
                ends_at = await self._play_sentence(utterance, chain, ends_at)
        tail = chain.flush()
        if tail:
            await self.send(tail)
            ends_at += self.target.ms_for(len(tail)) / 1000
        await _sleep_until(ends_at)
        return ends_at

    def leftover(self, count: int) -> list[bytes]:
        """Return `count` chunks that a listener must no longer play: unsent ones, else the last one again."""
        chunks = [self._unsent[n] for n in range(min(count, len(self._unsent)))]
        return chunks + [self._last] * (count - len(chunks)) if self._last else chunks

    async def _produce(self, ready: "asyncio.Queue[Utterance | None]") -> None:
        async for utterance in utterances(self.voice, self.text):
            await ready.put(utterance)
        await ready.put(None)

    async def _play_sentence(self, utterance: Utterance, chain: Chain, earliest: float) -> float:
        start = max(asyncio.get_running_loop().time(), earliest)
        data = chain.feed(utterance.audio)
        chunks = self.delivery.cut(data, self.target)
        self._unsent = deque(chunks)
        for due, word in self._timeline(utterance, chunks, start):
            await _sleep_until(due)
            if word is not None:
                await self.on_word(word)
            else:
                self._last = self._unsent.popleft()
                await self.send(self._last)
        return start + self.target.ms_for(len(data)) / 1000

    def _timeline(self, utterance: Utterance, chunks: list[bytes], start: float) -> list[tuple[float, str | None]]:
        """Return when to send each chunk (None) and report each word, in order of time."""
        lead_s = self.delivery.lead_s
        timeline: list[tuple[float, str | None]] = []
        offset_s = 0.0
        for chunk in chunks:
            timeline.append((start if lead_s is None else start + max(0.0, offset_s - lead_s), None))
            offset_s += self.target.ms_for(len(chunk)) / 1000
        timeline += [(start + word.end_ms / 1000, word.text) for word in utterance.words]
        return sorted(timeline, key=lambda entry: entry[0])


async def _sleep_until(when: float) -> None:
    delay = when - asyncio.get_running_loop().time()
    if delay > 0:
        await asyncio.sleep(delay)
