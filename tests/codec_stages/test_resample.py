import sys
from itertools import permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from archer_codecs import RATES, Format, Resampler
from archer_codecs.bench.quality import measure
from archer_codecs.bench.signals import play, sinad_db, tone
from archer_codecs.bench.subjects import ours
from archer_codecs.polyphase import table_for
from archer_codecs.prototype import Phase

PAIRS = list(permutations(RATES, 2))
LINEAR, MINIMUM = ours()


def slow(samples: np.ndarray, source: int, sink: int, phase: Phase) -> np.ndarray:
    """The definition, in integers, one output at a time: what every output must be, to the bit."""
    table = table_for(source, sink, phase)
    behind, ahead = table.behind, table.ahead
    filters = taps_of(source, sink, phase)
    padded = [0] * behind + samples.tolist() + [0] * (ahead + 1)
    out = []
    for index in range(-(-len(samples) * table.up // table.down)):
        newest, part = divmod(index * table.down, table.up)
        exact = sum(tap * padded[newest + at] for at, tap in enumerate(filters[part]))
        out.append(round_half_even(exact, 1 << 24))
    return np.clip(out, -32768, 32767)


def round_half_even(value: int, scale: int) -> int:
    low, rest = divmod(value, scale)
    return low + (rest * 2 > scale or (rest * 2 == scale and low % 2 == 1))


def taps_of(source: int, sink: int, phase: Phase) -> list[list[int]]:
    """Integer filters by fractional position, read back out of the blocks' matrices."""
    table = table_for(source, sink, phase)
    group = table.block_out // table.groups
    filters: dict[int, list[int]] = {}
    for output in range(table.block_out):
        newest, part = divmod(output * table.down + table.offset, table.up)
        first = newest - output // group * table.hop
        column = table.weights[output // group, :, output % group]
        length = table.behind + table.ahead + 1
        filters[part] = [int(value) for value in column[first : first + length] * (1 << 24)]
        assert not column[:first].any()
        assert not column[first + length :].any()
    return [filters[part] for part in range(table.up)]


@pytest.mark.parametrize("phase", ["linear", "minimum"])
@pytest.mark.parametrize(("source", "sink"), [(8000, 16000), (24000, 8000), (8000, 22050), (44100, 48000)])
def test_outputs_are_the_defining_sums_to_the_bit(source: int, sink: int, phase: Phase) -> None:
    samples = np.random.default_rng(6).integers(-32768, 32768, source // 100).astype("<i2")
    stage = Resampler(Format("pcm_s16le", source), sink, phase=phase)
    out = np.frombuffer(stage.feed(samples.tobytes()) + stage.flush(), "<i2")

    assert slow(samples.astype(int), source, sink, phase).tolist() == out.tolist()


@pytest.mark.parametrize(("source", "sink"), PAIRS)
def test_every_pair_of_rates_reaches_its_figures(source: int, sink: int) -> None:
    linear = measure(LINEAR, source, sink, tones=8, splits=3)
    minimum = measure(MINIMUM, source, sink, tones=8, splits=3)

    assert linear.reject_db <= -80
    assert linear.ripple_db <= 0.02
    assert linear.sinad_db >= 85
    assert linear.delay_ms <= 2.2
    assert minimum.reject_db <= -58
    assert minimum.ripple_db <= 0.02
    assert minimum.delay_ms <= 0.3


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize(("source", "sink"), PAIRS)
def test_a_streams_state_is_below_4_kib(source: int, sink: int, channels: int) -> None:
    stage = Resampler(Format("pcm_s16le", source, channels), sink)
    stage.feed(bytes(stage.source.bytes_for(29.9)))
    shared = {"_table", "_weights", "source", "sink"}
    held = [getattr(stage, name) for name in Resampler.__slots__ if name not in shared and hasattr(stage, name)]

    assert sys.getsizeof(stage) + sum(sys.getsizeof(each) for each in held) <= 4096


def test_tables_are_shared_between_streams_and_cannot_be_written() -> None:
    form = Format("pcm_s16le", 24000)
    table = table_for(24000, 8000, "linear")

    assert Resampler(form, 8000)._table is Resampler(form, 8000)._table is table
    with pytest.raises(ValueError, match="read-only"):
        table.weights[0, 0, 0] = 1.0


@pytest.mark.parametrize(("source", "sink"), PAIRS)
def test_20_ms_in_are_20_ms_out_once_the_filter_is_full(source: int, sink: int) -> None:
    stage = Resampler(Format("pcm_s16le", source), sink)
    sizes = [len(stage.feed(bytes(stage.source.bytes_for(20)))) for _ in range(5)]

    assert [stage.sink.bytes_for(20)] * 4 == sizes[1:]
    assert stage.sink.bytes_for(20) - sizes[0] <= stage.sink.bytes_for(2.2)


@settings(max_examples=50, deadline=None)
@given(sizes=st.lists(st.integers(0, 30_000), max_size=6))
def test_any_chunk_sizes_give_the_expected_length(sizes: list[int]) -> None:
    stage = Resampler(Format("pcm_s16le", 44100, 2), 24000)
    out = sum(len(stage.feed(bytes(size))) for size in sizes) + len(stage.flush())

    assert stage.expected(sum(sizes) // 4) * 4 == out


@pytest.mark.parametrize("value", [32767, -32768, 1, -1])
@pytest.mark.parametrize(("source", "sink"), [(8000, 16000), (44100, 8000), (22050, 48000)])
def test_a_constant_stays_that_constant(source: int, sink: int, value: int) -> None:
    stage = Resampler(Format("pcm_s16le", source), sink)
    out = np.frombuffer(stage.feed(np.full(source // 10, value, "<i2").tobytes()), "<i2")

    assert {value} == set(out[sink // 100 :].tolist())


def test_overshoot_is_clamped_not_wrapped() -> None:
    square = np.tile(np.repeat(np.array([32767, -32768], "<i2"), 8), 60)
    stage = Resampler(Format("pcm_s16le", 8000), 48000)
    out = np.frombuffer(stage.feed(square.tobytes()), "<i2").astype(int)

    assert {32767, -32768} <= set(out.tolist())
    assert np.abs(np.diff(out)).max() < 30_000


def test_sides_of_stereo_do_not_mix() -> None:
    left = tone(24000, 1000.0)
    stage = Resampler(Format("pcm_s16le", 24000, 2), 8000)
    both = np.stack([left, np.zeros_like(left)], axis=1)
    out = np.frombuffer(stage.feed(both.tobytes()) + stage.flush(), "<i2").reshape(-1, 2)
    alone = play(LINEAR.open(24000, 8000), left, 24000)

    assert alone.tolist() == out[:, 0].tolist()
    assert not out[:, 1].any()


def test_there_and_back_keeps_the_voice_band() -> None:
    there = play(LINEAR.open(8000, 24000), tone(8000, 1003.0), 8000)
    back = play(LINEAR.open(24000, 8000), there, 24000)

    assert sinad_db(back, 8000, 1003.0) > 85


@pytest.mark.parametrize(
    ("form", "rate", "message"),
    [
        pytest.param(Format("mulaw", 8000), 16000, "resampling works on pcm_s16le, not on mulaw/8000/1", id="mulaw"),
        pytest.param(Format("pcm_s16le", 8000), 8000, "has the rate 8000 already; nothing to resample", id="same"),
        pytest.param(Format("pcm_s16le", 8000), 11025, "the rate 11025 is unknown", id="unknown"),
    ],
)
def test_impossible_resampling_is_refused(form: Format, rate: int, message: str) -> None:
    with pytest.raises(Exception, match=message):
        Resampler(form, rate)
