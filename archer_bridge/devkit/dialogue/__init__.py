"""A scripted mind for the agent on the phone: rules instead of a model, the same words every time."""

from archer_bridge.devkit.dialogue.actions import Action, CallTool, HangUp, Say
from archer_bridge.devkit.dialogue.archer import ArcherDialogue
from archer_bridge.devkit.dialogue.one_tool import OneTool

__all__ = ["Action", "ArcherDialogue", "CallTool", "HangUp", "OneTool", "Say"]
