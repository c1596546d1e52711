"""A simulated Cartesia: agent socket, speech to text, text to speech and REST, with faults on demand."""

from archer_bridge.devkit.cartesia.agent_link import AgentLink
from archer_bridge.devkit.cartesia.app import create_simulator
from archer_bridge.devkit.cartesia.events import Counters, EventFeed
from archer_bridge.devkit.cartesia.faults import FAULTS, FaultError, Faults
from archer_bridge.devkit.cartesia.frames import SessionOver
from archer_bridge.devkit.cartesia.options import DEFAULT_API_KEY, AgentBrain, SimulatorOptions
from archer_bridge.devkit.cartesia.presets import PRESET_AGENT_ID
from archer_bridge.devkit.cartesia.simulator import CartesiaSimulator

__all__ = [
    "DEFAULT_API_KEY",
    "FAULTS",
    "PRESET_AGENT_ID",
    "AgentBrain",
    "AgentLink",
    "CartesiaSimulator",
    "Counters",
    "EventFeed",
    "FaultError",
    "Faults",
    "SessionOver",
    "SimulatorOptions",
    "create_simulator",
]
