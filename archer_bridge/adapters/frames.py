"""Whole WebSocket text frames: cut out of what was read, and made of messages. Pure.

Only what nearly every frame is: final, text, at most 65,535 bytes on the way in, whole in one read. What is anything
else is left where it begins. `_frames.c` does the same, byte for byte, in a fifth of the time; it is there when a C
compiler was, at installation.

Frame layout: https://www.rfc-editor.org/rfc/rfc6455#section-5.2
"""

import struct
from collections.abc import Callable
from typing import Final
from typing import Protocol as TypingProtocol

try:
    from websockets.speedups import apply_mask
except ImportError:  # then the fast path is not used: fast_path_problem
    from websockets.utils import apply_mask

FINAL_TEXT: Final = 0x81
"""First byte of a complete text frame: FIN, no extension bit, opcode 1."""
LARGEST: Final = 65535
"""Bytes of a message on the fast path; longer ones are rare, and their length has another form."""
KERNEL_VERSION: Final = 3
"""A kernel compiled from another source is left alone."""

Sink = Callable[[str | bytes], None]
Broken = Callable[[BaseException], None]
Rest = Callable[[bytes], None]
NewKeys = Callable[[int], bytes]


class Reader(TypingProtocol):
    """A `FrameReader`, compiled or not."""

    def received(self, data: bytes, /) -> None:
        """See `FrameReader.received`."""


class Write(TypingProtocol):
    """`ports.TextSocket.write`, as a function."""

    def __call__(self, message: bytes, droppable: bool = False) -> None:
        """Send one message."""


class Wait(TypingProtocol):
    """What takes a message that cannot be sent now."""

    def __call__(self, message: bytes, droppable: bool, /) -> None:
        """Keep one message, or not."""


_LENGTH_16 = struct.Struct("!BBH").pack
_LENGTH_64 = struct.Struct("!BBQ").pack
_KEY_POOL = 512


class FrameReader:
    """Gives the payloads of whole text frames to a sink."""

    def __init__(self, sink: Sink, broken: Broken, rest: Rest, /, *, masked: bool, limit: int) -> None:
        """Prepare for one sink.

        Args:
            sink: gets each message, as bytes that are UTF-8.
            broken: gets the exception that the sink raised.
            rest: gets what is not for us: it begins at a frame boundary, and is something else, or what follows the
                message at which the sink broke.
            masked: frames come from a client.
            limit: bytes of the longest message.
        """
        self._sink = sink
        self._broken = broken
        self._rest = rest
        self._masked = masked
        self._limit = limit

    def received(self, data: bytes, /) -> None:
        """Give the message of each whole text frame at the start of `data` to the sink, and what is left to `rest`."""
        if (taken := self._take(data)) < len(data):
            self._rest(data[taken:])

    def _take(self, data: bytes) -> int:
        mask_bit, key_size = (0x80, 4) if self._masked else (0, 0)
        taken, size = 0, len(data)
        while taken + 2 <= size and data[taken] == FINAL_TEXT:
            length = data[taken + 1] ^ mask_bit  # 127 and more: eight bytes of length, or not masked as it must be
            start = taken + 2 + key_size
            if length >= 126:
                if length != 126 or taken + 4 > size:
                    break
                length = data[taken + 2] << 8 | data[taken + 3]
                start += 2
            end = start + length
            if end > size or length > self._limit:
                break
            message = apply_mask(data[start:end], data[start - 4 : start]) if mask_bit else data[start:end]
            if not message.isascii() and not is_utf8(message):
                break
            taken = end
            try:
                self._sink(message)
            except Exception as error:
                self._broken(error)
                break
        return taken


class Framer:
    """Makes a frame of each message and sends it at once."""

    def __init__(self, send: Callable[[bytes], object], wait: Wait, new_keys: NewKeys | None, /) -> None:
        """Prepare for one transport.

        Args:
            send: takes a frame.
            wait: takes a message, and whether it is droppable, while `is_open` is false.
            new_keys: gives so many unpredictable bytes, to mask frames as a client must (RFC 6455, 5.3); None: a
                server's, not masked.
        """
        self.is_open = True
        """Whether messages are sent; else they go to `wait`."""
        self._send = send
        self._wait = wait
        self._new_keys = new_keys
        self._keys = b""
        self._keys_used = 0

    def write(self, message: bytes, droppable: bool = False) -> None:
        """Send one message, or let it wait."""
        if not self.is_open:
            self._wait(message, droppable)
            return
        length, mask_bit = len(message), 0 if self._new_keys is None else 0x80
        if length < 126:
            head = bytes((FINAL_TEXT, mask_bit | length))
        elif length <= LARGEST:
            head = _LENGTH_16(FINAL_TEXT, mask_bit | 126, length)
        else:
            head = _LENGTH_64(FINAL_TEXT, mask_bit | 127, length)
        if self._new_keys is None:
            self._send(head + message)
            return
        if (used := self._keys_used) + 4 > len(self._keys):
            self._keys, used = self._new_keys(_KEY_POOL), 0  # each is used once
        self._keys_used = used + 4
        key = self._keys[used : used + 4]
        self._send(b"".join((head, key, apply_mask(message, key))))


def is_utf8(message: bytes) -> bool:
    """Whether these bytes are text, as a text frame's must be."""
    try:
        message.decode()
    except UnicodeDecodeError:
        return False
    return True


try:
    from archer_bridge.adapters import _frames as kernel
except ImportError:
    kernel = None  # type: ignore[assignment]

is_compiled: Final = kernel is not None and kernel.VERSION == KERNEL_VERSION
make_reader = kernel.Reader if is_compiled else FrameReader
make_framer = kernel.Framer if is_compiled else Framer
