"""How much a proof does, and the line of the table that it comes to."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Size:
    """How much of everything."""

    seed: int
    forgeries: int
    tokens: int
    races: int
    process_races: int
    sockets: int
    calls: int
    secrets: int
    documents: int


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the table."""

    what: str
    goal: str
    result: str
    holds: bool
