"""Each target on its committed corpus, and on mutations of it."""

import random
from pathlib import Path

import pytest

from tests.fuzz.targets import TARGETS

CORPUS = Path(__file__).parent / "corpus"
MUTATIONS = 2000
PIECES = [
    b"\x00",
    b"\xff",
    b'"',
    b"{",
    b"[",
    b"}",
    b"9" * 30,
    b"-1",
    b"1e999",
    b"null",
    b"NaN",
    b"\xed\xa0\x80",
    b"\\ud800",
    b"4111 1111 1111 1111",
    b"%00",
    b"=",
]


def corpus(target: str) -> list[bytes]:
    return [path.read_bytes() for path in sorted((CORPUS / target).iterdir())]


def mutated(choose: random.Random, seeds: list[bytes]) -> bytes:
    """Return a seed with a few things gone wrong."""
    data = bytearray(choose.choice(seeds))
    for _ in range(choose.randrange(1, 6)):
        at = choose.randrange(len(data) + 1)
        match choose.randrange(5):
            case 0:
                data[at:at] = choose.choice(PIECES)
            case 1:
                del data[at : at + choose.randrange(1, 20)]
            case 2:
                data[at : at + 1] = choose.randbytes(1)
            case 3:
                data[at:at] = data[: choose.randrange(50)]
            case _:
                other = choose.choice(seeds)
                data[at:] = other[choose.randrange(len(other) + 1) :]
    return bytes(data)


@pytest.mark.parametrize("target", TARGETS)
def test_committed_corpus(target: str) -> None:
    found = corpus(target)

    assert len(found) >= 5
    for data in found:
        for blanks in range(8):  # which mean nothing, and have it used in other ways
            TARGETS[target](data + b" " * blanks)


@pytest.mark.parametrize("target", TARGETS)
def test_mutations(target: str) -> None:
    choose, seeds = random.Random(target), corpus(target)
    for _ in range(MUTATIONS):
        data = mutated(choose, seeds)
        try:
            TARGETS[target](data)
        except Exception as error:
            raise AssertionError(f"{target} on {data!r}") from error
