"""What happens to audio on its way: companding, resampling, noise, cuts into pieces."""

import warnings

import numpy as np

from archer_bridge.devkit.voices.tones import ToneVoice

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)  # audioop left the standard library in 3.13
    import audioop


def say(text: str, *, speaker: str = "agent", rate: int = 8000) -> bytes:
    """The text in tones."""
    return b"".join(utterance.audio for utterance in ToneVoice(speaker=speaker, rate=rate).speak(text))


def companded(pcm: bytes) -> bytes:
    """The audio after a trip through G.711 mu-law."""
    return audioop.ulaw2lin(audioop.lin2ulaw(pcm, 2), 2)


def resampled(pcm: bytes, source: int, sink: int) -> bytes:
    """The audio at another rate, by plain linear interpolation: no filter is gentler than none."""
    return audioop.ratecv(pcm, 2, 1, source, sink, None)[0]


def noisy(pcm: bytes, dbfs: float, *, seed: int = 0) -> bytes:
    """The audio with white noise of the given level added."""
    noise = np.random.default_rng(seed).normal(0, 32768 * 10 ** (dbfs / 20), len(pcm) // 2)
    mixed = np.frombuffer(pcm, dtype="<i2") + noise
    return np.clip(np.rint(mixed), -32768, 32767).astype("<i2").tobytes()


def level_dbfs(pcm: bytes) -> float:
    """Root mean square level against full scale 32768."""
    samples = np.frombuffer(pcm, dtype="<i2").astype(np.float64)
    return float(20 * np.log10(np.sqrt(np.mean(samples**2)) / 32768))


def silence(ms: float) -> bytes:
    """Digital silence at 8 kHz."""
    return bytes(2 * round(8 * ms))


def tone(hz: float, ms: float, *, amplitude: float = 8000.0) -> bytes:
    """A sine at 8 kHz."""
    seconds = np.arange(round(8 * ms)) / 8000
    return (amplitude * np.sin(2 * np.pi * hz * seconds)).astype("<i2").tobytes()


def mixed(one: bytes, other: bytes) -> bytes:
    """Two sounds of one length at once."""
    total = np.frombuffer(one, dtype="<i2").astype(np.int32) + np.frombuffer(other, dtype="<i2")
    return np.clip(total, -32768, 32767).astype("<i2").tobytes()


def pieces(pcm: bytes, cuts: list[int]) -> list[bytes]:
    """The audio cut at the given byte positions, in any order and beyond its end."""
    places = [0, *sorted(min(cut, len(pcm)) for cut in cuts), len(pcm)]
    return [pcm[start:end] for start, end in zip(places, places[1:], strict=False)]
