"""The two messages that nearly all are, recognised at a glance by `_scan.c` where it was compiled.

A glance sees only what is plainly such a message; of everything else, valid or not, it says None, and the protocols'
decoders have the word. What it does see, it sees as they do. Without a kernel it sees nothing.
"""

from typing import Final

try:
    from archer_bridge.protocols import _scan as kernel
except ImportError:
    kernel = None  # type: ignore[assignment]

KERNEL_VERSION: Final = 1
"""A kernel compiled from another source is left alone."""
is_compiled: Final = kernel is not None and kernel.VERSION == KERNEL_VERSION


def _no_media(message: str | bytes, stream_sid: bytes, /) -> tuple[int, int, bytes, bytes] | None:
    return None


def _no_audio(message: str | bytes, /) -> tuple[bytes, bytes] | None:
    return None


twilio_media = kernel.twilio_media if is_compiled else _no_media
"""Return sequence number, timestamp (ms), audio, and its base64 text, of a `media` message of this stream."""
cartesia_audio = kernel.cartesia_audio if is_compiled else _no_audio
"""Return the audio of an `audio_output` message, and its base64 text."""
