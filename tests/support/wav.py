"""Reading a recording as a stranger would: by its header alone, mu-law included (`wave` knows PCM only)."""

import struct
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Wav:
    """What a WAV file says of itself, and as much of its data as the header promises."""

    tag: int
    channels: int
    rate: int
    bits: int
    data: bytes

    @property
    def pairs(self) -> int:
        """Return how many samples a channel has."""
        return len(self.data) // (self.channels * self.bits // 8)


def read_wav(path: Path) -> Wav:
    """Read a RIFF/WAVE file.

    Raises:
        ValueError: it is not one, or promises more than it holds.
    """
    raw = path.read_bytes()
    kind, size, form = struct.unpack_from("<4sI4s", raw)
    if (kind, form) != (b"RIFF", b"WAVE") or 8 + size > len(raw):
        raise ValueError(f"{path}: {kind!r} of {size} bytes in a file of {len(raw)}")
    chunks: dict[bytes, bytes] = {}
    at = 12
    while at + 8 <= 8 + size:
        name, length = struct.unpack_from("<4sI", raw, at)
        chunks[name] = raw[at + 8 : at + 8 + length]
        if len(chunks[name]) != length:
            raise ValueError(f"{path}: chunk {name!r} promises {length} bytes and has {len(chunks[name])}")
        at += 8 + length + length % 2
    tag, channels, rate, _, _, bits = struct.unpack_from("<HHIIHH", chunks[b"fmt "])
    return Wav(tag, channels, rate, bits, chunks[b"data"])
