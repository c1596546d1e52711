"""The contract of a stage, an edge and a family; the chain; the stage that converts sample by sample.

The law of every stage and chain: chunking must not matter. `feed(a) + feed(b) + flush()` equals
`feed(a + b) + flush()` bit for bit, for any split, a split inside a sample too.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from archer_codecs.errors import StageClosedError
from archer_codecs.formats import Format


@runtime_checkable
class Stage(Protocol):
    """Turns bytes of one format into bytes of another; streaming, stateful, no I/O.

    It may also have `live`, a function that does what `feed` does before `flush`, with less in between, and gives whole
    frames of samples only; and `whole`, which does the same and takes whole frames only.
    """

    @property
    def name(self) -> str:
        """What the stage does, as printed in a plan."""

    @property
    def source(self) -> Format:
        """What it takes."""

    @property
    def sink(self) -> Format:
        """What it gives."""

    def feed(self, data: bytes) -> bytes:
        """Convert what can be converted now; any bytes, any length, never raises for their content.

        Raises:
            StageClosedError: after `flush`.
        """

    def flush(self) -> bytes:
        """End the stream: give what was held back. A split sample at the very end is dropped."""


@dataclass(frozen=True, slots=True)
class Edge:
    """One step a family proposes: what it is called, what it turns into what, its price, how to build it.

    `cost` is an integer >= 1, about the microseconds one 20 ms frame takes.
    """

    name: str
    source: Format
    sink: Format
    cost: int
    build: Callable[[], Stage]


@runtime_checkable
class Family(Protocol):
    """A group of codecs. A plugin is an object of this shape.

    It may also have `encodings: Mapping[str, int]`: names it adds to the known ones, to bytes of a sample.
    """

    @property
    def name(self) -> str:
        """The name in plans and errors; equals the entry point's name."""

    def edges(self, source: Format, goal: Format) -> Iterable[Edge]:
        """Steps out of `source` that may help to reach `goal`; none when it has nothing to say.

        The goal keeps the search finite: a resampler offers one edge, to the goal's rate.
        """


class SampleMap:
    """A stage that converts each frame of samples on its own; its only state is a split frame."""

    __slots__ = ("_closed", "_frame", "_rest", "live", "name", "sink", "source", "whole")

    def __init__(self, name: str, source: Format, sink: Format, convert: Callable[[bytes], bytes]) -> None:
        self.name = name
        self.source = source
        self.sink = sink
        self.whole = convert
        self._frame = source.frame_bytes
        self._rest = b""
        self._closed = False
        if self._frame == 1:
            self.live = convert  # such frames are never split

    def feed(self, data: bytes) -> bytes:
        """Convert every whole frame; a split one is kept for the next call."""
        if self._closed:
            raise StageClosedError(self.name, len(data))
        if self._rest:
            data = self._rest + data
            self._rest = b""
        odd = len(data) % self._frame
        if odd:
            self._rest = data[-odd:]
            data = data[:-odd]
        return self.whole(data)

    def flush(self) -> bytes:
        """End the stream. Nothing was held back but perhaps a split frame, which is dropped."""
        self._closed = True
        self._rest = b""
        return b""


class Chain:
    """Stages one behind the other; the empty chain hands back the very object it is given."""

    __slots__ = ("_closed", "live", "sink", "source", "stages")

    def __init__(self, stages: Sequence[Stage], source: Format, sink: Format) -> None:
        self.stages = tuple(stages)
        self.source = source
        self.sink = sink
        self.live = tuple(_live(self.stages))
        """What `feed` calls, one after the other; for whoever does that himself, and not after `flush`."""
        self._closed = False

    def feed(self, data: bytes) -> bytes:
        """Send `data` through every stage.

        Raises:
            StageClosedError: after `flush`.
        """
        if self._closed:
            raise StageClosedError(str(self), len(data))
        for feed in self.live:
            data = feed(data)
        return data

    def flush(self) -> bytes:
        """End the stream: each stage's tail goes through the stages behind it."""
        tail = b""
        if not self._closed:
            self._closed = True
            for stage in self.stages:
                tail = stage.feed(tail) + stage.flush()
        return tail

    def __str__(self) -> str:
        names = ", ".join(stage.name for stage in self.stages) or "passthrough"
        return f"the chain {self.source} -> {self.sink} ({names})"


def _live(stages: Iterable[Stage]) -> Iterator[Callable[[bytes], bytes]]:
    """Give each stage's shortest way; nothing follows a flush in a chain, so none need look whether it is closed."""
    comes_whole = False
    for stage in stages:
        live = getattr(stage, "live", None)
        whole = getattr(stage, "whole", None) if comes_whole else None
        yield whole or live or stage.feed
        comes_whole = live is not None
