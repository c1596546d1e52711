"""Cost of every stage and of the usual chains, beside the chain most bridges are made of."""

from collections.abc import Callable

import numpy as np

from archer_codecs.bench.subjects import Subject
from archer_codecs.bench.timing import Clock, Contender, Cost, mean_us, race
from archer_codecs.formats import Format
from archer_codecs.framing import Reframer
from archer_codecs.g711 import audioop, decode_stage, encode_stage
from archer_codecs.guard import FormatGuard
from archer_codecs.planner import plan
from archer_codecs.resample import Resampler
from archer_codecs.samples import float_decode_stage, float_encode_stage, gain_stage, mono_stage, stereo_stage
from archer_codecs.stage import Stage

USUAL = (
    ("mulaw/8000", "pcm_s16le/16000"),
    ("pcm_s16le/16000", "mulaw/8000"),
    ("mulaw/8000", "pcm_s16le/24000"),
    ("pcm_s16le/24000", "mulaw/8000"),
    ("mulaw/8000", "pcm_s16le/44100"),
    ("pcm_s16le/44100", "mulaw/8000"),
)
GOAL = USUAL[:2] + USUAL[3:4]
"""The chains whose cost has a goal."""

_FRAMES = 50


def speech_like(rate: int, frames: int = _FRAMES) -> list[bytes]:
    """20 ms frames of PCM16 mono noise shaped like speech: -20 dBFS, falling 6 dB an octave above 500 Hz."""
    rng = np.random.default_rng(7)
    size = frames * rate // 50
    spectrum = np.fft.rfft(rng.normal(0, 1, size))
    at = np.fft.rfftfreq(size, 1 / rate)
    wave = np.fft.irfft(spectrum / (1 + at / 500), size)
    data = (wave * (3276.8 / wave.std())).clip(-32768, 32767).astype("<i2").tobytes()
    step = len(data) // frames
    return [data[at : at + step] for at in range(0, step * frames, step)]


def frames_of(form: Format) -> list[bytes]:
    """20 ms frames of speech-like noise in any built-in format."""
    chain = plan(Format("pcm_s16le", form.rate), form).build()
    return [chain.feed(frame) for frame in speech_like(form.rate)]


def stage_costs(clock: Clock) -> dict[str, float]:
    """Microseconds of a 20 ms frame of every kind of stage, and of the guard once its window is over."""
    mulaw, pcm, stereo = Format("mulaw", 8000), Format("pcm_s16le", 8000), Format("pcm_s16le", 8000, 2)
    alaw, real = Format("alaw", 8000), Format("pcm_f32le", 8000)
    stages: list[Stage] = [
        decode_stage(mulaw), encode_stage(mulaw), decode_stage(alaw), encode_stage(alaw),
        float_decode_stage(real), float_encode_stage(real), mono_stage(stereo), stereo_stage(pcm),
        gain_stage(pcm, -3.0), Reframer(mulaw), Resampler(pcm, 16000), Resampler(Format("pcm_s16le", 16000), 8000),
    ]  # fmt: skip
    costs = {f"{each.name} {each.source} -> {each.sink}": _stage_us(each, clock) for each in stages}
    guard = FormatGuard(mulaw)
    frames = frames_of(mulaw)
    for frame in frames:
        guard.feed(frame)
    costs["format guard, after its 200 ms"] = mean_us(lambda: guard.feed(frames[0]), clock=clock)
    return costs


def chain_costs(others: tuple[Subject, ...], clock: Clock, rounds: int) -> dict[str, dict[str, Cost]]:
    """For each usual chain: ours and, for each other resampler, audioop's G.711 with it; ratios to soxr VHQ's."""
    table = {}
    for source, sink in USUAL:
        start, end = Format.parse(source), Format.parse(sink)
        frames = frames_of(start)
        contenders = {"archer": Contender(plan(start, end).build().feed, frames)}
        for other in others:
            contenders[f"audioop + {other.name}"] = Contender(_peer(other, start, end), frames)
        reference = "audioop + soxr VHQ"
        if reference not in contenders:
            reference = "archer"
        table[f"{start} -> {end}"] = race(contenders, reference, clock=clock, rounds=rounds)
    return table


def planning_us(clock: Clock) -> float:
    """Microseconds of the dearest plan among the usual chains and one with four stages."""
    pairs = [*USUAL, ("pcm_f32le/44100/2", "alaw/8000")]
    ends = [(Format.parse(source), Format.parse(sink)) for source, sink in pairs]
    return max(mean_us(lambda pair=pair: plan(*pair), clock=clock, times=500) for pair in ends)  # type: ignore[misc]  # mypy cannot infer a lambda with a default


def _stage_us(stage: Stage, clock: Clock) -> float:
    frames = frames_of(stage.source)
    feed = stage.feed
    turn = iter(range(1 << 40))
    return mean_us(lambda: feed(frames[next(turn) % _FRAMES]), clock=clock)


def _peer(subject: Subject, start: Format, end: Format) -> Callable[[bytes], bytes]:
    """The chain a bridge without this package writes: audioop for G.711, a resampler, nothing else."""
    feed = subject.open(start.rate, end.rate).feed
    if start.encoding == "mulaw":
        return lambda data: feed(audioop.ulaw2lin(data, 2))
    return lambda data: audioop.lin2ulaw(feed(data), 2)
