import pytest
from hypothesis import given
from hypothesis import strategies as st

from archer_codecs import ENCODINGS, MULAW_8K, PCM16_16K, RATES, Format, FormatError

formats = st.builds(Format, st.sampled_from(sorted(ENCODINGS)), st.sampled_from(RATES), st.sampled_from((1, 2)))


@given(form=formats)
def test_parsing_undoes_printing(form: Format) -> None:
    assert form == Format.parse(str(form))


@pytest.mark.parametrize(
    ("text", "form"),
    [
        pytest.param("mulaw/8000", MULAW_8K, id="mono-is-understood"),
        pytest.param("mulaw/8000/1", MULAW_8K, id="mono-said"),
        pytest.param("pcm_s16le/44100/2", Format("pcm_s16le", 44100, 2), id="stereo"),
    ],
)
def test_text_is_parsed(text: str, form: Format) -> None:
    assert form == Format.parse(text)


KNOWN = (
    "; write ENCODING/RATE[/CHANNELS], known: encodings alaw mulaw pcm_f32le pcm_s16le, "
    "rates 8000 16000 22050 24000 44100 48000, channels 1 2"
)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        pytest.param("opus/48000", "the encoding 'opus' is unknown", id="encoding"),
        pytest.param("mulaw/11025", "the rate 11025 is unknown", id="rate"),
        pytest.param("mulaw/8000/3", "3 channels are unknown", id="channels"),
        pytest.param("mulaw", "it has not the form ENCODING/RATE[/CHANNELS]", id="no-rate"),
        pytest.param("", "it has not the form ENCODING/RATE[/CHANNELS]", id="empty"),
        pytest.param("mulaw/8000/1/1", "it has not the form ENCODING/RATE[/CHANNELS]", id="too-long"),
        pytest.param("mulaw/-8000", "it has not the form ENCODING/RATE[/CHANNELS]", id="negative"),
        pytest.param("mulaw/\u0668000", "it has not the form ENCODING/RATE[/CHANNELS]", id="foreign-digits"),
    ],
)
def test_unknown_text_is_refused_with_what_is_known(text: str, reason: str) -> None:
    with pytest.raises(FormatError) as caught:
        Format.parse(text)

    assert f"{text!r} is not an audio format: {reason}{KNOWN}" == str(caught.value)


def test_a_plugins_encoding_brings_its_width() -> None:
    form = Format.parse("pcm_s16be/16000/2", encodings={"pcm_s16be": 2})

    assert Format("pcm_s16be", 16000, 2, width=2) == form
    assert form.frame_bytes == 4


def test_an_unknown_encoding_needs_its_width() -> None:
    with pytest.raises(FormatError, match="'opus/48000/1' is not an audio format: the encoding 'opus' is unknown"):
        Format("opus", 48000)


def test_a_built_in_width_cannot_be_contradicted() -> None:
    with pytest.raises(FormatError, match="a mulaw sample has 1 bytes, not 2"):
        Format("mulaw", 8000, width=2)


@pytest.mark.parametrize(
    ("form", "ms", "size"),
    [
        pytest.param(MULAW_8K, 20, 160, id="twilio-frame"),
        pytest.param(PCM16_16K, 20, 640, id="pcm16-frame"),
        pytest.param(Format("pcm_s16le", 22050), 20, 882, id="441-samples"),
        pytest.param(Format("pcm_f32le", 44100, 2), 10, 3528, id="float-stereo"),
        pytest.param(Format("pcm_s16le", 22050), 0.03, 2, id="rounded-to-a-sample"),
    ],
)
def test_milliseconds_become_whole_samples(form: Format, ms: float, size: int) -> None:
    assert size == form.bytes_for(ms)


@given(form=formats, samples=st.integers(0, 10**7))
def test_milliseconds_and_bytes_go_both_ways(form: Format, samples: int) -> None:
    size = samples * form.frame_bytes

    assert size == form.bytes_for(form.ms_for(size))
