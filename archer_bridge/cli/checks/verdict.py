"""What a check finds, and how it is told."""

from dataclasses import dataclass
from enum import StrEnum


class Status(StrEnum):
    """How bad it is: only FAIL keeps calls from working."""

    OK = "ok"
    WARN = "warn"
    FAIL = "FAIL"
    SKIP = "skip"
    """Not checked, and why."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What was found, and how to mend it; `fix` is "" when there is nothing to mend."""

    status: Status
    found: str
    fix: str = ""


@dataclass(frozen=True, slots=True)
class Check:
    """A verdict with the name of what was checked."""

    name: str
    status: Status
    found: str
    fix: str = ""


def ok(found: str) -> Verdict:
    """It is as it should be."""
    return Verdict(Status.OK, found)


def warn(found: str, fix: str) -> Verdict:
    """Calls work, but somebody should know."""
    return Verdict(Status.WARN, found, fix)


def fail(found: str, fix: str) -> Verdict:
    """Calls do not work like this."""
    return Verdict(Status.FAIL, found, fix)


def skip(why: str) -> Verdict:
    """It could not be checked."""
    return Verdict(Status.SKIP, why)
