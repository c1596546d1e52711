"""G.711 against the tables of ITU-T Recommendation G.711 (11/88), built here from their decision values."""

from bisect import bisect_right

import numpy as np
import pytest

from archer_codecs import Format
from archer_codecs.g711 import decode_stage, encode_stage

# Table 2a, mu-law, column 3 (decision values, positive): 0, 1, 3 ... 31, then each segment doubles its step.
MULAW_DECISIONS = [0] + [1 + 2 * step for step in range(15)]
for segment in range(1, 8):
    base = 33 * (1 << segment) - 33 - (1 << segment)
    MULAW_DECISIONS += [base + step * (2 << segment) for step in range(16)]

# Table 1a, A-law: the first two segments share the step 2, then each doubles it.
ALAW_DECISIONS = [2 * step for step in range(32)]
for segment in range(2, 8):
    ALAW_DECISIONS += [(32 << (segment - 1)) + step * (1 << segment) for step in range(16)]

MULAW_ROWS = {  # character signal as sent (table 2a, columns 6 and 8): decoder output, 14-bit uniform PCM
    0x80: 8031, 0x8F: 4191, 0x9F: 2079, 0xAF: 1023, 0xBF: 495, 0xCF: 231, 0xDF: 99, 0xEF: 33, 0xFE: 2, 0xFF: 0,
    0x00: -8031, 0x0F: -4191, 0x7E: -2, 0x7F: 0,
}  # fmt: skip
ALAW_ROWS = {  # table 1a with the even bits inverted, as sent: decoder output, 13-bit uniform PCM
    0xAA: 4032, 0xA5: 2112, 0xB5: 1056, 0x85: 528, 0x95: 264, 0xE5: 132, 0xF5: 66, 0xD5: 1, 0xD4: 3,
    0x2A: -4032, 0x55: -1,
}  # fmt: skip


def pcm(data: bytes) -> np.ndarray:
    return np.frombuffer(data, "<i2").astype(int)


def mulaw_of(value: int) -> int:
    """Code of a 16-bit sample: its top 14 bits, sign and magnitude, against the decision values."""
    top = value >> 2
    index = bisect_right(MULAW_DECISIONS, min(abs(top), 8158)) - 1
    return (0xFF if top >= 0 else 0x7F) - index


def alaw_of(value: int) -> int:
    """Code of a 16-bit sample: its top 13 bits; a negative number's magnitude is its one's complement."""
    top = value >> 3
    index = bisect_right(ALAW_DECISIONS, top if top >= 0 else ~top) - 1
    return (index | (0x80 if top >= 0 else 0)) ^ 0x55


def test_the_decision_values_are_those_of_the_tables() -> None:
    assert [MULAW_DECISIONS[row] for row in (16, 17, 31)] == [31, 35, 91]
    assert [MULAW_DECISIONS[row] for row in (32, 48, 64, 80, 96, 112, 127)] == [95, 223, 479, 991, 2015, 4063, 7903]
    assert [ALAW_DECISIONS[row] for row in (32, 48, 64, 80, 96, 112, 127)] == [64, 128, 256, 512, 1024, 2048, 3968]


@pytest.mark.parametrize(
    ("encoding", "bits", "rows"),
    [pytest.param("mulaw", 2, MULAW_ROWS, id="mulaw"), pytest.param("alaw", 3, ALAW_ROWS, id="alaw")],
)
def test_rows_of_the_tables_decode_exactly(encoding: str, bits: int, rows: dict[int, int]) -> None:
    decoded = pcm(decode_stage(Format(encoding, 8000)).feed(bytes(rows)))

    assert [value << bits for value in rows.values()] == decoded.tolist()


@pytest.mark.parametrize(
    ("encoding", "code_of"), [pytest.param("mulaw", mulaw_of, id="mulaw"), pytest.param("alaw", alaw_of, id="alaw")]
)
def test_every_sample_is_encoded_by_the_decision_values(encoding: str, code_of: object) -> None:
    samples = np.arange(-32768, 32768).astype("<i2")
    encoded = encode_stage(Format(encoding, 8000)).feed(samples.tobytes())

    assert callable(code_of)
    assert bytes(code_of(int(value)) for value in samples) == encoded


@pytest.mark.parametrize("encoding", ["mulaw", "alaw"])
def test_every_code_survives_a_round_trip(encoding: str) -> None:
    codes = bytes(range(256))
    again = encode_stage(Format(encoding, 8000)).feed(decode_stage(Format(encoding, 8000)).feed(codes))
    # mu-law's two zeros, 0xFF and 0x7F, are one value; the encoder gives the positive one.
    same = codes.replace(b"\x7f", b"\xff") if encoding == "mulaw" else codes

    assert same == again


@pytest.mark.parametrize(("encoding", "values"), [("mulaw", 255), ("alaw", 256)])
def test_decoding_is_odd_about_zero(encoding: str, values: int) -> None:
    decoded = pcm(decode_stage(Format(encoding, 8000)).feed(bytes(range(256))))

    assert decoded[:128].tolist() == (-decoded[128:]).tolist()
    assert values == len(set(decoded.tolist()))


def test_stages_name_themselves_and_their_formats() -> None:
    stereo = Format("alaw", 16000, 2)

    assert ("alaw-decode", stereo, Format("pcm_s16le", 16000, 2)) == (
        decode_stage(stereo).name,
        decode_stage(stereo).source,
        decode_stage(stereo).sink,
    )
    assert encode_stage(stereo).name == "alaw-encode"
