import pytest
from hypothesis import given
from hypothesis import strategies as st

from archer_codecs import MULAW_8K, PCM16_24K, Format, Reframer, Resampler


@given(chunks=st.lists(st.binary(max_size=500), max_size=8))
def test_frames_are_whole_and_in_order(chunks: list[bytes]) -> None:
    reframer = Reframer(MULAW_8K)
    frames = [frame for chunk in chunks for frame in reframer.frames(chunk)]
    last = reframer.flush()
    sent = b"".join(chunks)

    assert all(len(frame) == 160 for frame in frames)
    assert sent == (b"".join(frames) + last)[: len(sent)]
    assert b"\xff" * ((-len(sent)) % 160) == (b"".join(frames) + last)[len(sent) :]


@pytest.mark.parametrize(
    ("form", "padding"),
    [
        pytest.param(MULAW_8K, b"\xff", id="mulaw"),
        pytest.param(Format("alaw", 8000), b"\xd5", id="alaw"),
        pytest.param(PCM16_24K, b"\0", id="pcm16"),
        pytest.param(Format("pcm_f32le", 8000, 2), b"\0", id="float-stereo"),
    ],
)
def test_the_last_frame_is_padded_with_silence(form: Format, padding: bytes) -> None:
    reframer = Reframer(form)
    sample = b"\x42" * form.frame_bytes

    assert reframer.feed(sample) == b""
    assert sample + padding * (form.bytes_for(20) - len(sample)) == reframer.flush()


def test_nothing_is_flushed_behind_a_whole_frame() -> None:
    reframer = Reframer(MULAW_8K)

    assert bytes(320) == reframer.feed(bytes(320))
    assert reframer.flush() == b""


def test_a_split_sample_at_the_end_is_dropped() -> None:
    reframer = Reframer(PCM16_24K, frame_ms=1.0)
    reframer.feed(b"abc")

    assert b"ab" + bytes(46) == reframer.flush()


def test_primed_frames_come_with_their_chunk() -> None:
    resampler = Resampler(PCM16_24K, 8000)
    plain, primed = (Reframer(Format("pcm_s16le", 8000), prime_ms=ms) for ms in (0.0, resampler.delay_ms))
    answers = [resampler.feed(bytes(960)) for _ in range(3)]

    assert [len(plain.feed(each)) for each in answers] == [0, 320, 320]
    assert [len(primed.feed(each)) for each in answers] == [320, 320, 320]


@pytest.mark.parametrize(
    ("form", "ms", "message"),
    [
        pytest.param(MULAW_8K, 0.0, "a frame of 0.0 ms holds no sample of mulaw/8000/1", id="empty"),
        pytest.param(MULAW_8K, -20.0, "a frame of -20.0 ms holds no sample", id="negative"),
        pytest.param(Format("x", 8000, width=1), 20.0, "cannot pad x/8000/1: silence is known for mulaw", id="unknown"),
    ],
)
def test_impossible_frames_are_refused(form: Format, ms: float, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Reframer(form, frame_ms=ms)
