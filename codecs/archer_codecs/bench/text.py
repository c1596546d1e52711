"""The report as plain text tables."""

from collections.abc import Iterable, Iterator, Sequence

from archer_codecs.bench.quality import Quality
from archer_codecs.bench.report import PAIRS, Report

_QUALITY_HEAD = ("rates", "ripple dB", "SINAD dB", "alias/image dB", "delay ms", "cuts that changed the output")


def render(report: Report) -> str:
    """All tables, goals last."""
    return "\n".join(_lines(report))


def _lines(report: Report) -> Iterator[str]:
    yield f"Python {report.python} on {report.machine}"
    yield ", ".join(f"{name} {version}" for name, version in report.versions.items())
    yield from _section("Stages, microseconds of a 20 ms frame")
    yield from _table(("stage", "us"), [(name, f"{us:.1f}") for name, us in report.stages.items()])
    for chain, costs in report.chains.items():
        yield from _section(f"Chain {chain}, 20 ms frames")
        rows = [(name, f"{cost.us:.1f}", f"{cost.ratio:.2f}") for name, cost in costs.items()]
        yield from _table(("made of", "us", "to soxr VHQ"), rows)
    for name, figures in report.every_pair.items():
        yield from _section(f"{name}, every pair of rates")
        yield from _table(_QUALITY_HEAD, [(_rates(each), *_figures(each)) for each in figures])
    for index, (source, sink) in enumerate(PAIRS):
        yield from _section(f"{source} -> {sink} Hz")
        mine = [(name, _find(figures, source, sink)) for name, figures in report.every_pair.items()]
        other = [(name, figures[index]) for name, figures in report.compared.items()]
        yield from _table(("resampler", *_QUALITY_HEAD[1:]), [(name, *_figures(each)) for name, each in mine + other])
    yield from _section("Goals")
    outcome = [
        (goal.figure, f"{goal.value:.4g}", f"{'>=' if goal.at_least else '<='} {goal.limit:g} {goal.unit}".rstrip(),
         "met" if goal.is_met else "MISSED")
        for goal in report.goals
    ]  # fmt: skip
    yield from _table(("figure", "measured", "goal", ""), outcome)


def _figures(quality: Quality) -> tuple[str, ...]:
    return (
        f"{quality.ripple_db:.4f}",
        f"{quality.sinad_db:.1f}",
        f"{quality.reject_db:.1f}",
        f"{max(quality.delay_ms, 0.0):.2f}",
        f"{quality.broken} of {quality.splits}",
    )


def _rates(quality: Quality) -> str:
    return f"{quality.source} -> {quality.sink}"


def _find(figures: Iterable[Quality], source: int, sink: int) -> Quality:
    return next(each for each in figures if (each.source, each.sink) == (source, sink))


def _section(title: str) -> Iterator[str]:
    yield ""
    yield title
    yield "-" * len(title)


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    cells = [tuple(head), *(tuple(row) for row in rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(head))]
    for row in cells:
        first = row[0].ljust(widths[0])
        yield "  ".join([first, *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True))]).rstrip()
