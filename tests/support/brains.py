"""Minds for the simulated agent that do one thing, and what can be measured of a call with them."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np

from archer_bridge.devkit.dialogue import Action, Say
from archer_bridge.devkit.phone import CallReport
from archer_bridge.devkit.phone.tape import FRAME, VOICED_RMS, frame_levels
from archer_bridge.devkit.voices import ToneEar, transcribe

GREETING = "Hi."


@dataclass(slots=True)
class Mind:
    """Greets, answers whatever is heard with `answer`, and whatever a tool says with `after`."""

    answer: Iterable[Action] = ()
    after: Iterable[Action] = ()
    greeting: Iterable[Action] = (Say(GREETING),)
    heard_texts: list[str] = field(default_factory=list)

    def open(self) -> list[Action]:
        return list(self.greeting)

    def heard(self, text: str) -> list[Action]:
        self.heard_texts.append(text)
        return list(self.answer)

    def pressed(self, digits: str) -> list[Action]:
        return []

    def tool_result(self, name: str, result: str, is_error: bool) -> list[Action]:
        return list(self.after)


def minds(mind: Mind) -> Callable[[Mapping[str, object]], Mind]:
    """Give this mind to every call."""
    return lambda variables: mind


def longest_silence_ms(report: CallReport, start_ms: float, end_ms: float) -> float:
    """Return the longest stretch without an audible 20 ms frame on the heard tape, between two instants."""
    levels = frame_levels(report.heard[round(start_ms * 8) : round(end_ms * 8)])
    audible = [-1, *np.flatnonzero(levels >= VOICED_RMS).tolist(), len(levels)]
    return max(later - earlier - 1 for earlier, later in zip(audible, audible[1:], strict=False)) * FRAME / 8


def heard_texts(report: CallReport, start_ms: float = 0.0) -> list[str]:
    """Return what the caller heard said from an instant on; tones that are no words are left out."""
    pcm = report.heard_pcm()[round(start_ms * 8) * 2 :]
    return [heard.text for heard in transcribe(pcm, ear=ToneEar()) if heard.text]
