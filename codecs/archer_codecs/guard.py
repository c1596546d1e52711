"""Notices, within the first 200 ms, audio that is not what it claims, and says so with numbers.

Theory of operation. A container header is found by its bytes. Raw samples betray themselves by two figures.

- *Parity*: PCM16 puts a noise-like low byte and a slow high byte side by side, so its even and odd bytes are
  spread differently; in G.711 every byte is a sample and both halves are spread alike. The figure is the total
  variation distance of the two histograms, 0 (alike) to 1.
- *Gain*: how many dB a short linear predictor takes out of the decoded samples. Audio read rightly can be predicted;
  read wrongly it is near to white noise.

Neither is enough alone: a steady tone has uneven parity and true noise no gain. Only both together count. PCM16 near
silence has a sign of its own: its high bytes are 0x00 and 0xFF, clipping and silence in mu-law.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from archer_codecs.formats import Format
from archer_codecs.g711 import decode_stage
from archer_codecs.headers import find_header
from archer_codecs.rounding import INT16

Floats = npt.NDArray[np.float64]

_ORDER = 4
_BINS = 16


@dataclass(frozen=True, slots=True)
class Evidence:
    """What the guard found. `measured` pairs the name of each figure with its value."""

    kind: str
    promised: Format
    seems: str
    measured: tuple[tuple[str, float], ...]
    looked_ms: float

    def __str__(self) -> str:
        figures = ", ".join(f"{name} {value:g}" for name, value in self.measured)
        return (
            f"promised {self.promised}, looks like {self.seems} after {self.looked_ms:.0f} ms ({self.kind}: {figures})"
        )


class FormatGuard:
    """Looks at the start of one stream; costs nothing after `window_ms`."""

    __slots__ = ("_done", "_need", "_promised", "_seen")

    def __init__(self, promised: Format, *, window_ms: float = 200.0) -> None:
        self._promised = promised
        self._need = max(promised.bytes_for(window_ms), promised.frame_bytes)
        self._seen = bytearray()
        self._done = False

    @property
    def is_done(self) -> bool:
        """Whether the verdict has been given; feeding on is free and gives None."""
        return self._done

    def feed(self, data: bytes) -> Evidence | None:
        """Look at the next bytes of the stream; evidence is given once, None means nothing is wrong so far."""
        if self._done:
            return None
        self._seen += data[: self._need - len(self._seen)]
        return self._judge(final=len(self._seen) >= self._need)

    def flush(self) -> Evidence | None:
        """Judge a stream that ended inside the window by what there was."""
        if self._done:
            return None
        return self._judge(final=True)

    def _judge(self, *, final: bool) -> Evidence | None:
        seen = bytes(self._seen)
        self._done = final
        header = find_header(seen, final=final)
        if header is not None:
            self._done = True
            seems = f"a {header.container} file" + (f" of {header.says}" if header.says else "")
            return self._evidence("header", seems, offset=header.offset)
        if not final:
            return None
        self._seen.clear()
        if self._promised.encoding in ("mulaw", "alaw"):
            return self._judge_g711(seen)
        if self._promised.encoding == "pcm_s16le":
            return self._judge_pcm16(seen)
        return None

    def _judge_g711(self, seen: bytes) -> Evidence | None:
        figures = _Figures.of(seen, self._promised.encoding)
        if figures is None:
            return None
        if figures.is_quiet_pcm16:
            return self._evidence("quiet_pcm16_in_g711", "pcm_s16le", extreme=figures.extreme, zeros=figures.zeros)
        lead = figures.gain_pcm16_db - figures.gain_g711_db
        if figures.parity >= _UNEVEN and (figures.gain_g711_db < _WHITE_DB or lead >= _LEAD_DB):
            return self._evidence("pcm16_in_g711", "pcm_s16le", **figures.shown())
        return None

    def _judge_pcm16(self, seen: bytes) -> Evidence | None:
        best: tuple[float, str, dict[str, float]] | None = None
        for encoding in ("mulaw", "alaw"):
            figures = _Figures.of(seen, encoding)
            if figures is None or figures.level_pcm16 < _LOUD:
                continue
            lead = figures.gain_g711_db - figures.gain_pcm16_db
            alike = figures.parity <= _EVEN and (lead >= _LEAD_DB or figures.lumpy >= _LUMPY)
            if (alike or lead >= _TONE_LEAD_DB) and (best is None or lead > best[0]):
                best = lead, encoding, figures.shown()
        return None if best is None else self._evidence("g711_in_pcm16", best[1], **best[2])

    def _evidence(self, kind: str, seems: str, **measured: float) -> Evidence:
        looked = self._promised.ms_for(len(self._seen) or self._need)
        rounded = tuple((name, round(float(value), 3)) for name, value in measured.items())
        return Evidence(kind, self._promised, seems, rounded, looked)


# Thresholds lie between the two sides measured over speech, noise, tones, DTMF and silence at levels from -80 dBFS to
# clipping: docs/codecs.md has the outcome.
_UNEVEN = 0.3
_EVEN = 0.15
_WHITE_DB = 3.0
_LEAD_DB = 4.0
_TONE_LEAD_DB = 15.0
_LOUD = 2000.0
_LUMPY = 0.25
_LEAST = 320  # bytes; fewer say nothing


@dataclass(frozen=True, slots=True)
class _Figures:
    """What was measured.

    `extreme` is the share of bytes 0x00 and 0xFF, `zeros` of 0x00, `mirrors` of 0x80, which in G.711 is 0x00 with the
    other sign; `lumpy` is how far the bytes are from evenly spread.
    """

    parity: float
    extreme: float
    zeros: float
    mirrors: float
    lumpy: float
    gain_g711_db: float
    gain_pcm16_db: float
    level_pcm16: float

    @classmethod
    def of(cls, seen: bytes, encoding: str) -> "_Figures | None":
        """Measure `seen` under both readings; None when it is too short to tell."""
        if len(seen) < _LEAST:
            return None
        seen = seen[: len(seen) // 2 * 2]
        raw = np.frombuffer(seen, np.uint8)
        decoded = decode_stage(Format(encoding, 8000)).feed(seen)
        as_g711 = np.frombuffer(decoded, INT16).astype(np.float64)
        as_pcm16 = np.frombuffer(seen, INT16).astype(np.float64)
        even, odd, both = (_histogram(part) for part in (raw[::2], raw[1::2], raw))
        return cls(
            parity=float(np.abs(even - odd).sum() / 2),
            extreme=float(np.mean((raw == 0x00) | (raw == 0xFF))),
            zeros=float(np.mean(raw == 0x00)),
            mirrors=float(np.mean(raw == 0x80)),
            lumpy=float(np.abs(both - 1 / _BINS).sum() / 2),
            gain_g711_db=_prediction_gain_db(_without_means(as_g711)),
            gain_pcm16_db=_prediction_gain_db(as_pcm16 - as_pcm16.mean()),
            level_pcm16=float(np.sqrt(np.mean(as_pcm16**2))),
        )

    @property
    def is_quiet_pcm16(self) -> bool:
        """Whether half the bytes are sign extensions: 0x00 without its mirror image, beside 0xFF.

        In mu-law that would be clipping on one side only, in a signal that otherwise is silent.
        """
        return self.extreme >= 0.45 and self.zeros >= 0.15 and self.mirrors <= self.zeros / 4

    def shown(self) -> dict[str, float]:
        return {
            "parity": self.parity,
            "gain_g711_db": self.gain_g711_db,
            "gain_pcm16_db": self.gain_pcm16_db,
            "level_pcm16": self.level_pcm16,
        }


def _histogram(raw: npt.NDArray[np.uint8]) -> Floats:
    return np.bincount(raw >> 4, minlength=_BINS) / len(raw)


def _without_means(samples: Floats) -> Floats:
    """Samples less the mean of their parity: PCM16 read as G.711 swings between two means, which is no audio."""
    pairs = samples.reshape(-1, 2)
    return np.asarray(pairs - pairs.mean(axis=0)).reshape(-1)


def _prediction_gain_db(samples: Floats) -> float:
    """Energy over the residue's of the best linear predictor of order 4 (autocorrelation method), in dB."""
    size = len(samples)
    lags = np.array([samples[: size - lag] @ samples[lag:] for lag in range(_ORDER + 1)])
    if lags[0] <= 0.0:
        return 0.0
    lags[0] *= 1 + 1e-9  # keeps the system regular for a pure tone
    matrix = lags[np.abs(np.subtract.outer(np.arange(_ORDER), np.arange(_ORDER)))]
    residue = lags[0] - lags[1:] @ np.linalg.solve(matrix, lags[1:])
    return float(10 * np.log10(lags[0] / max(residue, lags[0] * 1e-9)))
