"""The benchmark behind `archer codecs bench`: quality, delay, cost and exactness beside what else there is.

Everything is measured in the run that prints it. The clock comes in as an argument; scipy, soxr and matplotlib are
imported only here and only when asked for.
"""

from archer_codecs.bench.report import Options, Report, run
from archer_codecs.bench.text import render

__all__ = ["Options", "Report", "render", "run"]
