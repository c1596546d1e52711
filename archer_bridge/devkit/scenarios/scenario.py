"""A scenario as values, and the caller's script made of it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, assert_never

from archer_bridge.devkit.phone.caller import Caller

QUIET_MS = 900.0
TIMEOUT_S = 60.0


@dataclass(frozen=True, slots=True)
class WaitForAgent:
    """Wait until the agent has spoken and then been quiet."""

    quiet_ms: float = QUIET_MS
    timeout_s: float = TIMEOUT_S


@dataclass(frozen=True, slots=True)
class Say:
    """Say something; perhaps into the agent's speech, perhaps hanging up in the middle of it."""

    text: str
    interrupt_after_ms: float | None = None
    hang_up_after_ms: float | None = None


@dataclass(frozen=True, slots=True)
class Press:
    """Press keys."""

    digits: str


@dataclass(frozen=True, slots=True)
class Wait:
    """Be silent."""

    seconds: float


@dataclass(frozen=True, slots=True)
class HangUp:
    """Hang up, perhaps in the middle of the agent's speech."""

    after_agent_ms: float | None = None


Step = WaitForAgent | Say | Press | Wait | HangUp


@dataclass(frozen=True, slots=True)
class Expectation:
    """What should come of the call; None is not checked."""

    outcome: str | None = None
    tools: tuple[str, ...] | None = None
    arrangement: str | Literal[False] | None = None
    """The option recorded, or False for none."""

    def problems(self, *, outcome: str, tools: Sequence[str], arrangement: str | None) -> tuple[str, ...]:
        """Compare with what the record says; one sentence for each difference, none if all is as expected."""
        found: list[str] = []
        if self.outcome is not None and outcome != self.outcome:
            found.append(f"outcome is {outcome}: expected {self.outcome}")
        if self.tools is not None and tuple(tools) != self.tools:
            found.append(f"tools called: {', '.join(tools) or 'none'}: expected {', '.join(self.tools) or 'none'}")
        if self.arrangement is not None and (arrangement or False) != self.arrangement:
            found.append(f"arrangement is {arrangement or 'none'}: expected {self.arrangement or 'none'}")
        return tuple(found)


@dataclass(frozen=True, slots=True)
class Scenario:
    """One call written down."""

    name: str
    description: str
    from_number: str
    expect: Expectation
    steps: tuple[Step, ...]

    def script(self) -> "ScenarioScript":
        """Make the caller's script, for `Phone.call`."""
        return ScenarioScript(self.steps)


@dataclass(frozen=True, slots=True)
class ScenarioScript:
    """Does the steps one after another."""

    steps: tuple[Step, ...]

    @property
    def lines(self) -> tuple[str, ...]:
        """Everything the caller will say."""
        return tuple(step.text for step in self.steps if isinstance(step, Say))

    async def __call__(self, caller: Caller) -> None:
        """Play the caller."""
        for step in self.steps:
            await _do(caller, step)


async def _do(caller: Caller, step: Step) -> None:
    match step:
        case WaitForAgent(quiet_ms, timeout_s):
            await caller.agent_finished(quiet_ms=quiet_ms, timeout_s=timeout_s)
        case Say(text, interrupt_after_ms, hang_up_after_ms):
            if interrupt_after_ms is not None:
                await caller.agent_speaking(after_ms=interrupt_after_ms, timeout_s=TIMEOUT_S)
            await caller.say(text, for_ms=hang_up_after_ms)
            if hang_up_after_ms is not None:
                await caller.hang_up()
        case Press(digits):
            await caller.press(digits)
        case Wait(seconds):
            await caller.wait(seconds)
        case HangUp(after_agent_ms):
            if after_agent_ms is not None:
                await caller.agent_speaking(after_ms=after_agent_ms, timeout_s=TIMEOUT_S)
            await caller.hang_up()
        case _:
            assert_never(step)
