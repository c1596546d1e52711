"""Finds the cheapest chain of stages between what two ends can speak: once a call, the same plan every time."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from heapq import heappop, heappush

from archer_codecs.builtin import BUILTIN_FAMILIES
from archer_codecs.errors import FamilyError, NoRouteError
from archer_codecs.formats import Format
from archer_codecs.stage import Chain, Edge, Family


@dataclass(frozen=True, slots=True)
class Plan:
    """A route from `source` to `sink`; immutable, printable, builds a fresh chain for each stream."""

    source: Format
    sink: Format
    edges: tuple[Edge, ...] = ()

    @property
    def stages(self) -> tuple[str, ...]:
        """The names of the stages, in order."""
        return tuple(edge.name for edge in self.edges)

    @property
    def cost(self) -> int:
        """The sum of the stages' costs; 0 for a passthrough."""
        return sum(edge.cost for edge in self.edges)

    @property
    def is_passthrough(self) -> bool:
        """Whether the ends agree, so that bytes go through untouched."""
        return not self.edges

    def __str__(self) -> str:
        if not self.edges:
            return f"{self.source} (passthrough)"
        return str(self.source) + " -> " + " -> ".join(f"[{edge.name}] {edge.sink}" for edge in self.edges)

    def build(self) -> Chain:
        """Make new stages for one stream.

        Raises:
            FamilyError: a family's stage is not what its edge announced.
        """
        stages = []
        for edge in self.edges:
            stage = edge.build()
            if (stage.source, stage.sink) != (edge.source, edge.sink):
                problem = f"built {stage.source} -> {stage.sink}, announced {edge.source} -> {edge.sink}"
                raise FamilyError(edge.name, problem)
            stages.append(stage)
        return Chain(stages, self.source, self.sink)


def plan(source: Format, sink: Format, families: Sequence[Family] | None = None) -> Plan:
    """Find the cheapest chain from `source` to `sink`; equal formats give the empty one.

    Raises:
        NoRouteError: naming both ends and what was reachable.
        FamilyError: a family proposed a step that does not start where it was asked.
    """
    return _search(source, sink, BUILTIN_FAMILIES if families is None else families)


def negotiate(offers: Iterable[Format], accepts: Iterable[Format], families: Sequence[Family] | None = None) -> Plan:
    """Pick the pair of an offered and an accepted format with the cheapest chain.

    A format both ends know costs nothing and wins; among equals the earlier offer, then the earlier accepted wins.

    Raises:
        NoRouteError: no pair has a chain, or an end lists nothing.
    """
    offered, accepted = tuple(offers), tuple(accepts)
    known = BUILTIN_FAMILIES if families is None else families
    plans: list[tuple[int, int, tuple[str, ...], int, int, Plan]] = []
    reached: dict[Format, None] = {}
    for row, source in enumerate(offered):
        for column, sink in enumerate(accepted):
            try:
                found = plan(source, sink, known)
            except NoRouteError as error:
                reached.update(dict.fromkeys(error.reached))
            else:
                plans.append((found.cost, len(found.edges), (), row, column, found))
    if not plans:
        raise NoRouteError(offered, accepted, tuple(reached))
    return min(plans, key=lambda entry: entry[:5])[5]


def _search(source: Format, sink: Format, families: Sequence[Family]) -> Plan:
    """Uniform-cost search. Ties go to fewer stages, then to the names in alphabetical order."""
    if source == sink:
        return Plan(source, sink)
    # The serial number keeps the heap from ever comparing formats.
    queue: list[tuple[int, int, tuple[str, ...], int, Format, tuple[Edge, ...]]] = [(0, 0, (), 0, source, ())]
    serial = 0
    done: set[Format] = set()
    while queue:
        cost, count, names, _, here, path = heappop(queue)
        if here in done:
            continue
        if here == sink:
            return Plan(source, sink, path)
        done.add(here)
        for family in families:
            for edge in family.edges(here, sink):
                if (edge.source is not here and edge.source != here) or edge.cost < 1:
                    raise _broken(family, edge, here)
                serial += 1
                heappush(queue, (cost + edge.cost, count + 1, (*names, edge.name), serial, edge.sink, (*path, edge)))
    raise NoRouteError((source,), (sink,), sorted(done, key=str))


def _broken(family: Family, edge: Edge, asked: Format) -> FamilyError:
    if edge.cost < 1:
        return FamilyError(family.name, f"offered {edge.name!r} at the cost {edge.cost}; at least 1 is needed")
    return FamilyError(family.name, f"was asked for steps out of {asked}, offered one out of {edge.source}")
