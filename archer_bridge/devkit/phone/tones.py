"""DTMF as sound (ITU-T Q.23), for what `<Play digits>` lets the caller hear."""

import numpy as np

from archer_bridge.devkit.phone.tape import SAMPLES_PER_MS, SILENCE
from archer_codecs import MULAW_8K, PCM16_8K, plan

_ROWS = (697, 770, 852, 941)
_COLUMNS = (1209, 1336, 1477, 1633)
_KEYS = "123A456B789C*0#D"
_TONE_MS = 100
_GAP_MS = 100
_WAIT_MS = 500
_AMPLITUDE = 6000.0


def dial_tones(digits: str) -> bytes:
    """Return mu-law: 100 ms of tone and 100 ms of silence a digit, half a second of silence for `w`."""
    return b"".join(_tone(digit) for digit in digits)


def _tone(digit: str) -> bytes:
    if digit in "wW":
        return SILENCE * (_WAIT_MS * SAMPLES_PER_MS)
    index = _KEYS.index(digit)
    time_s = np.arange(_TONE_MS * SAMPLES_PER_MS) / (SAMPLES_PER_MS * 1000)
    low, high = (np.sin(2 * np.pi * hertz * time_s) for hertz in (_ROWS[index // 4], _COLUMNS[index % 4]))
    pcm = (_AMPLITUDE * (low + high)).astype("<i2").tobytes()
    chain = plan(PCM16_8K, MULAW_8K).build()
    return chain.feed(pcm) + chain.flush() + SILENCE * (_GAP_MS * SAMPLES_PER_MS)
