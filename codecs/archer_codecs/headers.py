"""Container headers that have no business inside a stream of samples."""

import struct
from dataclasses import dataclass

# Sun/NeXT audio: magic, data offset, data size, encoding, rate, channels, all big-endian 32 bit.
_AU = struct.Struct(">4sIIIII")
_AU_ENCODINGS = {1: "mulaw", 2: "pcm_s8", 3: "pcm_s16be", 5: "pcm_s32be", 6: "pcm_f32be", 27: "alaw"}

# RIFF/WAVE: the tag, channels and rate that open a `fmt ` chunk, and at its bytes 14-15 the bits of a sample
# (Microsoft, "Multiple Channel Audio Data and WAVE Files").
_WAVE_FMT = struct.Struct("<4sIHHIIHH")
_WAVE_TAGS = {(1, 8): "pcm_u8", (1, 16): "pcm_s16le", (3, 32): "pcm_f32le", (6, 8): "alaw", (7, 8): "mulaw"}
_WAVE_SEARCH = 256  # bytes behind WAVE in which writers put `fmt `; it is nearly always the first chunk


@dataclass(frozen=True, slots=True)
class Header:
    """A container header found `offset` bytes into the stream; `says` is the format it declares, "" if cut off."""

    container: str
    offset: int
    says: str


def find_header(data: bytes, *, final: bool) -> Header | None:
    """Find a RIFF/WAVE or Sun .snd header; one that is cut off counts only when no more data will come (`final`)."""
    return _find_wave(data, final=final) or _find_au(data, final=final)


def _find_wave(data: bytes, *, final: bool) -> Header | None:
    at = data.find(b"RIFF")
    while at >= 0:
        if data[at + 8 : at + 12] == b"WAVE":
            says = _wave_format(data[at + 12 : at + 12 + _WAVE_SEARCH])
            enough = len(data) >= at + 12 + _WAVE_SEARCH
            if says or enough or final:
                return Header("RIFF/WAVE", at, says)
        at = data.find(b"RIFF", at + 1)
    return None


def _wave_format(chunks: bytes) -> str:
    at = chunks.find(b"fmt ")
    if at < 0 or len(chunks) < at + _WAVE_FMT.size:
        return ""
    _, _, tag, channels, rate, _, _, bits = _WAVE_FMT.unpack_from(chunks, at)
    return f"{_WAVE_TAGS.get((tag, bits), f'wave-{tag}-{bits}bit')}/{rate}/{channels}"


def _find_au(data: bytes, *, final: bool) -> Header | None:
    at = data.find(b".snd")
    while at >= 0:
        if len(data) >= at + _AU.size:
            _, offset, _, encoding, rate, channels = _AU.unpack_from(data, at)
            # Four bytes alone turn up by chance once in four thousand million; the other fields must make sense too.
            if 24 <= offset <= 4096 and 1 <= encoding <= 27 and 1000 <= rate <= 400_000 and 1 <= channels <= 16:
                name = _AU_ENCODINGS.get(encoding, f"au-{encoding}")
                return Header("Sun .snd", at, f"{name}/{rate}/{channels}")
        elif final:
            return None
        at = data.find(b".snd", at + 1)
    return None
