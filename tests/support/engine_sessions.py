"""The agent's sessions of one call, one after another: each has its own script."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from archer_bridge.devkit.cartesia import AgentLink, SimulatorOptions
from tests.support.scripted_agent import ScriptedAgent, spoken

SessionScript = Callable[[ScriptedAgent], Awaitable[None]]
RESUMED = "Now we go on."


async def goes_on(agent: ScriptedAgent) -> None:
    """Say that the call goes on, and listen for the rest of it."""
    await agent.turn(spoken(RESUMED))
    await forever(agent)


async def forever(agent: ScriptedAgent) -> None:
    """Say nothing more, and stay."""
    await asyncio.Event().wait()


@dataclass
class Sessions:
    """Give it to the simulator as `raw_session`; the last script serves every further session."""

    scripts: tuple[SessionScript, ...]
    agents: list[ScriptedAgent] = field(default_factory=list)

    async def __call__(self, link: AgentLink) -> None:
        agent = ScriptedAgent(self.scripts[min(len(self.agents), len(self.scripts) - 1)])
        self.agents.append(agent)
        await agent(link)


def simulated(*scripts: SessionScript) -> tuple[Sessions, SimulatorOptions]:
    """Return the sessions and the simulator that has them."""
    sessions = Sessions(scripts)
    return sessions, SimulatorOptions(voice="tones", raw_session=sessions)
