"""The codec package's own errors.

CodecError
├── FormatError            text or values that are no format; lists what is known
├── NoRouteError           no chain of stages joins the two ends; names both and what was reachable
├── StageClosedError       a stage was fed after `flush`
├── FamilyError            a codec family broke its promise while planning or building
└── PluginError            installed codec plugins that cannot be used; one sentence each
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from archer_codecs.formats import Format


class CodecError(Exception):
    """Root of every error this package raises on purpose; `code` is stable and greppable."""

    code = "codec_error"


class FormatError(CodecError):
    """A value that is no audio format."""

    code = "unknown_format"

    def __init__(self, given: str, part: str, known: Sequence[str]) -> None:
        super().__init__(given, part, known)
        self.given = given
        self.part = part
        self.known = tuple(known)

    def __str__(self) -> str:
        return (
            f"{self.given!r} is not an audio format: {self.part}; "
            f"write ENCODING/RATE[/CHANNELS], known: {', '.join(self.known)}"
        )


class NoRouteError(CodecError):
    """No chain of stages joins what one end offers to what the other accepts."""

    code = "no_route"

    def __init__(self, offers: Sequence["Format"], accepts: Sequence["Format"], reached: Sequence["Format"]) -> None:
        super().__init__(offers, accepts, reached)
        self.offers = tuple(offers)
        self.accepts = tuple(accepts)
        self.reached = tuple(reached)

    def __str__(self) -> str:
        def names(formats: Sequence["Format"]) -> str:
            return ", ".join(str(each) for each in formats) or "nothing"

        return f"no codec chain from {names(self.offers)} to {names(self.accepts)}; reached {names(self.reached)}"


class StageClosedError(CodecError):
    """A stage was fed after `flush`; a stream ends once."""

    code = "stage_closed"

    def __init__(self, stage: str, size: int) -> None:
        super().__init__(stage, size)
        self.stage = stage
        self.size = size

    def __str__(self) -> str:
        return f"{self.stage} was fed {self.size} bytes after flush(); build a new one for a new stream"


class FamilyError(CodecError):
    """A codec family proposed or built something else than it promised."""

    code = "family_broke_promise"

    def __init__(self, family: str, problem: str) -> None:
        super().__init__(family, problem)
        self.family = family
        self.problem = problem

    def __str__(self) -> str:
        return f"codec family {self.family!r} {self.problem}"


class PluginError(CodecError):
    """Installed codec plugins that cannot be used; `problems` holds one sentence each."""

    code = "codec_plugin_refused"

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__(problems)
        self.problems = tuple(problems)

    def __str__(self) -> str:
        return "\n".join(self.problems)
