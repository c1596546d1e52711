"""What is plugged in: tools, codec families, and the route between the two audio formats."""

import archer_codecs
from archer_bridge.adapters.plugins import load_tools
from archer_bridge.cli.checks.verdict import Verdict, fail, ok, warn
from archer_bridge.config import Settings
from archer_bridge.errors import PluginError
from archer_bridge.protocols.cartesia_agent import FORMATS
from archer_codecs import MULAW_8K, CodecError, Format, load_families, plan
from archer_codecs.plugins import discover


def tools(settings: Settings) -> Verdict:
    """Whether every enabled tool loads; the bridge starts with none that does not."""
    configured = settings.tools
    try:
        loaded = load_tools(configured.enabled, local=configured.local, settings=configured.settings)
    except PluginError as error:
        fix = "install or repair them, or take them out of [tools] enabled; `archer tools ls` lists what there is"
        return fail("\n".join(error.problems), fix)
    if not loaded:
        return warn("none is enabled: the agent can only talk", "name some in [tools] enabled")
    return ok(", ".join(loaded))


def codec_plugins(settings: Settings) -> Verdict:
    """Whether the codec families of other packages load."""
    try:
        families = load_families()
    except archer_codecs.PluginError as error:
        return fail(" ".join(str(error).split()), "uninstall or repair the packages named")
    added = len(families) - len(archer_codecs.BUILTIN_FAMILIES)
    names = ", ".join(candidate.name for candidate in discover())
    return ok(f"{added} beside the built-in ones: {names}" if added else "none beside the built-in ones")


def audio_route(settings: Settings) -> Verdict:
    """Whether audio gets from Twilio's format to the agent's and back."""
    goal = Format.parse(FORMATS[settings.cartesia.audio_format])
    try:
        up, down = plan(MULAW_8K, goal), plan(goal, MULAW_8K)
    except CodecError as error:
        return fail(str(error), "choose another cartesia.audio_format: mulaw_8000 needs no conversion")
    if up.is_passthrough:
        return ok(f"{MULAW_8K}, untouched both ways")
    return ok(f"to the agent {up}; back {down}")
