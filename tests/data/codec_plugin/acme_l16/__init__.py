"""L16, the PCM of RTP: 16-bit samples in network byte order (RFC 3551, section 4.5.11)."""

from collections.abc import Iterable

import numpy as np

from archer_codecs import Edge, Format, SampleMap

ENCODING = "pcm_s16be"


def swap(data: bytes) -> bytes:
    """Turn each 16-bit sample round."""
    return np.frombuffer(data, "<u2").byteswap().tobytes()


class L16:
    """PCM16 in network order, to and from the machine's order."""

    name = "l16"
    encodings = {ENCODING: 2}

    def edges(self, source: Format, goal: Format) -> Iterable[Edge]:
        """Offer one step: to little-endian, or to L16 when that is the goal."""
        if source.encoding == ENCODING:
            sink = Format("pcm_s16le", source.rate, source.channels)
            yield Edge("l16-decode", source, sink, 1, lambda: SampleMap("l16-decode", source, sink, swap))
        elif source.encoding == "pcm_s16le" and goal.encoding == ENCODING:
            wire = Format(ENCODING, source.rate, source.channels, width=2)
            yield Edge("l16-encode", source, wire, 1, lambda: SampleMap("l16-encode", source, wire, swap))


FAMILY = L16()
