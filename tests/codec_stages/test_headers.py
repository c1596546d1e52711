import io
import struct
import wave

import pytest

from archer_codecs.headers import Header, find_header


def wav(rate: int = 8000, channels: int = 1, width: int = 2) -> bytes:
    file = io.BytesIO()
    with wave.open(file, "wb") as writer:
        writer.setnchannels(channels)
        writer.setsampwidth(width)
        writer.setframerate(rate)
        writer.writeframes(bytes(400))
    return file.getvalue()


def wave_with(tag: int, bits: int, *, before: bytes = b"") -> bytes:
    fmt = struct.pack("<4sIHHIIHH", b"fmt ", 16, tag, 1, 8000, 8000, 1, bits)
    return b"RIFF" + bytes(4) + b"WAVE" + before + fmt + bytes(300)


def au(encoding: int = 1, rate: int = 8000, channels: int = 1, offset: int = 24) -> bytes:
    return struct.pack(">4sIIIII", b".snd", offset, 0xFFFFFFFF, encoding, rate, channels) + bytes(100)


@pytest.mark.parametrize(
    ("data", "header"),
    [
        pytest.param(wav(), Header("RIFF/WAVE", 0, "pcm_s16le/8000/1"), id="wav"),
        pytest.param(wav(24000, 2), Header("RIFF/WAVE", 0, "pcm_s16le/24000/2"), id="wav-24k-stereo"),
        pytest.param(wav(width=1), Header("RIFF/WAVE", 0, "pcm_u8/8000/1"), id="wav-8-bit"),
        pytest.param(wave_with(7, 8), Header("RIFF/WAVE", 0, "mulaw/8000/1"), id="wav-mulaw"),
        pytest.param(wave_with(49, 0), Header("RIFF/WAVE", 0, "wave-49-0bit/8000/1"), id="wav-gsm"),
        pytest.param(
            wave_with(6, 8, before=b"LIST" + bytes(60)), Header("RIFF/WAVE", 0, "alaw/8000/1"), id="chunk-before"
        ),
        pytest.param(b"\xff" * 33 + wav(), Header("RIFF/WAVE", 33, "pcm_s16le/8000/1"), id="wav-further-in"),
        pytest.param(b"RIFF..RIFF" + wav(), Header("RIFF/WAVE", 10, "pcm_s16le/8000/1"), id="riff-by-chance"),
        pytest.param(b"RIFF" + bytes(4) + b"WAVE" + bytes(300), Header("RIFF/WAVE", 0, ""), id="wav-without-fmt"),
        pytest.param(au(), Header("Sun .snd", 0, "mulaw/8000/1"), id="au"),
        pytest.param(au(3, 16000, 2), Header("Sun .snd", 0, "pcm_s16be/16000/2"), id="au-linear"),
        pytest.param(au(23), Header("Sun .snd", 0, "au-23/8000/1"), id="au-g721"),
        pytest.param(b"ab" + au(27), Header("Sun .snd", 2, "alaw/8000/1"), id="au-further-in"),
        pytest.param(b"\xff" * 400, None, id="silence"),
        pytest.param(b"", None, id="nothing"),
        pytest.param(au(encoding=0), None, id="au-impossible-encoding"),
        pytest.param(au(offset=8), None, id="au-impossible-offset"),
        pytest.param(au(rate=3), None, id="au-impossible-rate"),
        pytest.param(au(channels=99), None, id="au-impossible-channels"),
        pytest.param(b"RIFF" + bytes(4) + b"AVI " + bytes(300), None, id="riff-of-something-else"),
    ],
)
def test_headers_are_found(data: bytes, header: Header | None) -> None:
    assert header == find_header(data, final=False)


@pytest.mark.parametrize(
    ("data", "header"),
    [
        pytest.param(wav()[:20], Header("RIFF/WAVE", 0, ""), id="wav"),
        pytest.param(au()[:20], None, id="au-proves-nothing"),
    ],
)
def test_a_header_cut_off_waits_for_more(data: bytes, header: Header | None) -> None:
    assert find_header(data, final=False) is None
    assert header == find_header(data, final=True)
