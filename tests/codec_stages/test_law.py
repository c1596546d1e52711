"""The law: feed(a) + feed(b) + flush() equals feed(a + b) + flush(), bit for bit, for every stage and every chain."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from archer_codecs import Format, StageClosedError
from archer_codecs.g711 import SILENCE
from tests.codec_stages.subjects import FORMATS, STAGES, USUAL, Make, chain_maker, in_parts, noise, whole

CHAINS = {f"{source}->{sink}": chain_maker(Format.parse(source), Format.parse(sink)) for source, sink in USUAL}
EVERYTHING = STAGES | CHAINS


@pytest.fixture(params=EVERYTHING.values(), ids=EVERYTHING.keys())
def make(request: pytest.FixtureRequest) -> Make:
    maker: Make = request.param
    return maker


@pytest.mark.parametrize("name", EVERYTHING)
@settings(max_examples=60, deadline=None)
@given(data=st.binary(max_size=3000), cuts=st.lists(st.floats(0, 1), max_size=6))
def test_any_bytes_cut_anywhere_give_the_same_bits(name: str, data: bytes, cuts: list[float]) -> None:
    make = EVERYTHING[name]

    assert whole(make, data) == in_parts(make, data, [int(cut * len(data)) for cut in cuts])


def test_one_byte_at_a_time_gives_the_same_bits(make: Make) -> None:
    data = noise(4001)

    assert whole(make, data) == in_parts(make, data, range(1, len(data)))


def test_long_streams_in_uneven_chunks_give_the_same_bits(make: Make) -> None:
    data = noise(90_001)
    cuts = np.random.default_rng(4).integers(0, len(data), 40).tolist()

    assert whole(make, data) == in_parts(make, data, cuts)


@pytest.mark.parametrize(("source", "sink"), USUAL[:6])
def test_ten_thousand_random_splits_of_a_usual_chain(source: str, sink: str) -> None:
    start = Format.parse(source)
    make = chain_maker(start, Format.parse(sink))
    data = noise(start.bytes_for(4.0) + 1, seed=9)
    expected = whole(make, data)
    cuts = np.random.default_rng(10_000).integers(0, len(data) + 1, 10_000)

    broken = [int(cut) for cut in cuts if in_parts(make, data, [int(cut)]) != expected]

    assert broken == []


@pytest.mark.parametrize("source", FORMATS, ids=str)
def test_every_chain_out_of_a_format_keeps_the_law(source: Format) -> None:
    data = noise(source.bytes_for(8.0) + 3, seed=2)
    for sink in FORMATS:
        make = chain_maker(source, sink)
        expected = whole(make, data)

        assert expected == in_parts(make, data, [1, len(data) // 3, len(data) // 2]), str(sink)
        assert sink == source or len(expected) % sink.frame_bytes == 0, str(sink)


@pytest.mark.parametrize("source", FORMATS, ids=str)
def test_the_length_of_every_chain_is_exact(source: Format) -> None:
    samples = source.rate // 100 + 7
    data = noise(samples * source.frame_bytes, seed=2)
    for sink in FORMATS:
        out = whole(chain_maker(source, sink), data)

        assert -(-samples * sink.rate // source.rate) == len(out) // sink.frame_bytes, str(sink)


@pytest.mark.parametrize("source", [each for each in FORMATS if each.encoding != "alaw"], ids=str)
def test_silence_stays_silence_in_every_chain(source: Format) -> None:
    data = SILENCE[source.encoding] * (source.bytes_for(10.0) // source.width)
    for sink in FORMATS:
        out = whole(chain_maker(source, sink), data)

        assert out == SILENCE[sink.encoding] * (len(out) // sink.width), str(sink)


@pytest.mark.parametrize("source", [each for each in FORMATS if each.encoding == "alaw"], ids=str)
def test_a_law_silence_stays_its_smallest_value(source: Format) -> None:
    # A-law has no zero: its silence is 8 of 32768, and a resampler sees it begin and end.
    data = SILENCE["alaw"] * (source.bytes_for(10.0) // source.width)
    for sink in FORMATS:
        out = whole(chain_maker(source, sink), data)
        linear = whole(chain_maker(sink, Format("pcm_s16le", sink.rate, sink.channels)), out)

        assert np.abs(np.frombuffer(linear, "<i2")).max() <= 10, str(sink)


def test_instances_share_no_state(make: Make) -> None:
    first, second = noise(3001, seed=1), noise(3001, seed=2)
    one, other = make(), make()
    mixed = [(one.feed(first[at : at + 100]), other.feed(second[at : at + 100])) for at in range(0, 3001, 100)]
    one_out, other_out = (b"".join(parts) for parts in zip(*mixed, strict=True))

    assert whole(make, first) == one_out + one.flush()
    assert whole(make, second) == other_out + other.flush()


def test_a_second_flush_gives_nothing(make: Make) -> None:
    stage = make()
    stage.feed(noise(100))
    stage.flush()

    assert stage.flush() == b""


def test_feeding_after_flush_is_an_error(make: Make) -> None:
    stage = make()
    stage.flush()

    with pytest.raises(StageClosedError, match="was fed 2 bytes after flush"):
        stage.feed(b"ab")


def test_every_pair_of_formats_has_a_chain() -> None:
    for source, sink in itertools.product(FORMATS, FORMATS):
        chain = chain_maker(source, sink)()

        assert (source, sink) == (chain.source, chain.sink)
