"""Codec families from other distributions, found by the entry point group `archer_bridge.codecs.v1`.

An entry point names a family object: `crm = "acme.codec:FAMILY"`. The number is the API's major version. Finding
imports nothing; loading imports, checks, and reports every problem at once.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from archer_codecs.builtin import BUILTIN_FAMILIES
from archer_codecs.errors import PluginError
from archer_codecs.formats import ENCODINGS
from archer_codecs.stage import Family

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

GROUP = "archer_bridge.codecs.v1"
_ANY_VERSION = re.compile(r"archer_bridge\.codecs\.v(\d+)\Z")
_NAME = re.compile(r"[a-z][a-z0-9_-]{0,63}\Z")


@dataclass(frozen=True, slots=True)
class Candidate:
    """An entry point that offers a codec family, not imported yet."""

    distribution: str
    version: str
    point: "EntryPoint"

    @property
    def name(self) -> str:
        """The entry point's name."""
        return self.point.name

    def __str__(self) -> str:
        return f"codec plugin {self.distribution} {self.version} [{self.point.name} = {self.point.value}]"


def discover(paths: Iterable[str] | None = None) -> tuple[Candidate, ...]:
    """List what installed distributions offer, sorted, without importing any of it; `paths` instead of sys.path."""
    from importlib.metadata import distributions  # here: it pulls in email and socket, which a codec does not need

    found = distributions() if paths is None else distributions(path=list(paths))
    candidates: dict[tuple[str, str, str], Candidate] = {}
    for each in found:
        for point in each.entry_points:
            if _ANY_VERSION.match(point.group):
                # The first of two copies of a distribution on the path is the one that would be imported.
                candidates.setdefault((point.group, point.name, each.name), Candidate(each.name, each.version, point))
    return tuple(candidates[key] for key in sorted(candidates))


def load_families(
    candidates: Iterable[Candidate] | None = None, *, only: Iterable[str] | None = None
) -> tuple[Family, ...]:
    """Load the plugins' families behind the built-in ones; `only` names the plugins wanted, by default all.

    Raises:
        PluginError: naming distribution, entry point and reason of every plugin that cannot be used.
    """
    offered = tuple(discover() if candidates is None else candidates)
    wanted = None if only is None else set(only)
    problems: list[str] = []
    families: list[Family] = list(BUILTIN_FAMILIES)
    owners = {family.name: "archer-codecs" for family in BUILTIN_FAMILIES}
    for candidate in offered:
        if wanted is not None and candidate.name not in wanted:
            continue
        family, problem = load(candidate)
        if family is None:
            problems.append(f"{candidate}: {problem}")
        elif family.name in owners:
            problems.append(f"{candidate}: the name {family.name!r} is taken by {owners[family.name]}")
        else:
            owners[family.name] = f"{candidate.distribution} {candidate.version}"
            families.append(family)
    if wanted is not None:
        names = sorted({candidate.name for candidate in offered})
        for name in sorted(wanted - set(names)):
            installed = ", ".join(names) or "none"
            problems.append(f"no installed package provides the codec plugin {name!r}; installed: {installed}")
    if problems:
        raise PluginError(problems)
    return tuple(families)


def load(candidate: Candidate) -> tuple[Family | None, str]:
    """Import one plugin and check it: the family, or None and the reason."""
    if candidate.point.group != GROUP:
        version = candidate.point.group.rpartition(".")[2]
        return None, f"made for codec API {version}; this package speaks {GROUP.rpartition('.')[2]}"
    try:
        family = candidate.point.load()
    except Exception as error:  # the plugin border: whatever a stranger's module raises is a reason, not our crash
        return None, f"import failed: {error!r}"
    problem = _check(family, candidate.name)
    return (None, problem) if problem else (family, "")


def _check(family: object, name: str) -> str:
    """Why `family` cannot be used under the entry point `name`; "" when it can."""
    if not isinstance(family, Family) or isinstance(family, type) or not callable(family.edges):
        return f"points at {type(family).__name__}, expected an object with `name` and `edges(source, goal)`"
    if family.name != name:
        return f"the family calls itself {family.name!r}, expected the entry point's name {name!r}"
    if not _NAME.match(name):
        return f"the name {name!r} must match [a-z][a-z0-9_-]{{0,63}}"
    encodings = getattr(family, "encodings", {})
    if not isinstance(encodings, Mapping):
        return f"its encodings are {type(encodings).__name__}, expected a mapping of name to bytes of a sample"
    for encoding, width in encodings.items():
        if encoding in ENCODINGS:
            return f"it declares the encoding {encoding!r}, which is built in"
        if not isinstance(width, int) or width < 1:
            return f"it declares {width!r} bytes for a sample of {encoding!r}, expected an integer >= 1"
    return ""


def known_encodings(families: Iterable[Family]) -> dict[str, int]:
    """Every encoding the families add, for `Format.parse(text, encodings=...)`."""
    found: dict[str, int] = {}
    for family in families:
        found.update(getattr(family, "encodings", {}))
    return found
