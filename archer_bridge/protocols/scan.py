"""The messages that nearly all are, recognised at a glance, and put together, by `_scan.c` where it was compiled.

A glance sees only what is plainly such a message; of everything else, valid or not, it says None, and the protocols'
decoders have the word. What it does see, it sees as they do. Without a kernel it sees nothing.

A sink takes a socket's messages: what it sees at a glance goes to one function, everything else to another one.
"""

from collections.abc import Callable
from functools import partial
from typing import Final

import pybase64

from archer_bridge.ports import EngineAudio, EngineEvent

try:
    from archer_bridge.protocols import _scan as kernel
except ImportError:
    kernel = None  # type: ignore[assignment]

KERNEL_VERSION: Final = 4
"""A kernel compiled from another source is left alone."""
is_compiled: Final = kernel is not None and kernel.VERSION == KERNEL_VERSION

Receive = Callable[[str | bytes], None]
Take = Callable[[bytes, bytes, int], bool]
"""Takes a frame of the caller's, its base64 text, and its timestamp (ms); False: it was left."""
Write = Callable[..., None]
"""`ports.TextSocket.write`: takes a message, and whether it is droppable if it is."""
Send = Callable[[bytes, bytes | None], None]
"""Takes audio, and its base64 form or None."""


class Sequence:
    """The numbers of one stream's messages."""

    __slots__ = ("last",)

    def __init__(self) -> None:
        self.last = 0
        """The highest so far."""


def _no_media(message: str | bytes, stream_sid: bytes, /) -> tuple[int, int, bytes, bytes] | None:
    return None


def _no_audio(message: str | bytes, /) -> tuple[bytes, bytes] | None:
    return None


twilio_media = kernel.twilio_media if is_compiled else _no_media
"""Return sequence number, timestamp (ms), audio, and its base64 text, of a `media` message of this stream."""
cartesia_audio = kernel.cartesia_audio if is_compiled else _no_audio
"""Return the audio of an `audio_output` message, and its base64 text."""
make_sequence: Callable[[], Sequence] = kernel.Sequence if is_compiled else Sequence


def media_sink(stream_sid: bytes, sequence: Sequence, take: Take | None, otherwise: Receive) -> Receive:
    """Return a function for messages: frames of this stream that follow the last one go to `take`.

    What it leaves, and every other message, goes to `otherwise`; all of them, where nothing is compiled.
    """
    if not is_compiled or take is None:
        return otherwise
    return kernel.MediaSink(stream_sid, sequence, take, otherwise).receive


class AudioSink:
    """Takes an engine's messages; where nothing is compiled, all of them are for `otherwise`."""

    __slots__ = ("_sink", "receive")

    def __init__(self, on_event: Callable[[EngineEvent], None], otherwise: Receive) -> None:
        """Let `on_event` have audio as `EngineAudio`, once this is open, and `otherwise` every other message."""
        self._sink = kernel.AudioSink(EngineAudio, on_event, otherwise) if is_compiled else None
        self.receive: Receive = otherwise if self._sink is None else self._sink.receive
        """Takes one message."""

    def open(self, is_open: bool) -> None:
        """Look for audio from now on, or leave all to `otherwise`."""
        if self._sink is not None:
            self._sink.is_open = is_open


class Sender:
    """Sends audio as one kind of message: base64 between a head and a tail."""

    __slots__ = ("_sender", "send")

    def __init__(self, head: bytes, tail: bytes, otherwise: Send, *, droppable: bool) -> None:
        """Until this is open, or where nothing is compiled, audio goes to `otherwise`.

        `droppable` says what `write` is told of each message, if it is true.
        """
        self._sender = kernel.Sender(head, tail, otherwise, droppable) if is_compiled else None
        self.send: Send = otherwise if self._sender is None else self._sender.send

    def open(self, write: Write) -> None:
        """Give messages to `write` from now on."""
        if self._sender is not None:
            self._sender.write = write


def open_sender(head: bytes, tail: bytes, write: Write) -> Send:
    """Return a function that gives audio to `write` as one kind of message."""
    plain = partial(_send, write, head, tail)
    sender = Sender(head, tail, plain, droppable=False)
    sender.open(write)
    return sender.send


def _send(write: Write, head: bytes, tail: bytes, data: bytes, text: bytes | None) -> None:
    write(head + (text if text is not None else pybase64.b64encode(data)) + tail)
