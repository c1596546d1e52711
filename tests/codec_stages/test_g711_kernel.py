"""Compiled mu-law gives audioop's bytes."""

import runpy
import warnings

import numpy as np
import pytest

from archer_codecs import MULAW_8K, Format, g711

kernel = pytest.importorskip("archer_codecs._g711", reason="the kernel was not compiled here: no C compiler")
with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)
    import audioop

CODES = bytes(range(256))
SAMPLES = np.arange(-32768, 32768, dtype="<i2").tobytes()


def test_every_code_and_every_sample_is_converted_as_audioop_does() -> None:
    assert kernel.mulaw_decode(CODES) == audioop.ulaw2lin(CODES, 2)
    assert kernel.mulaw_encode(SAMPLES) == audioop.lin2ulaw(SAMPLES, 2)


def test_nothing_is_nothing() -> None:
    assert kernel.mulaw_decode(b"") == kernel.mulaw_encode(b"") == b""


def test_half_a_sample_and_what_is_no_bytes_are_refused() -> None:
    with pytest.raises(ValueError, match="3 bytes are no whole number"):
        kernel.mulaw_encode(b"abc")
    for convert in (kernel.mulaw_decode, kernel.mulaw_encode):
        with pytest.raises(TypeError):
            convert("text")


def test_a_kernel_of_another_version_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernel, "VERSION", g711.KERNEL_VERSION + 1)

    assert runpy.run_path(g711.__file__)["decode_stage"](MULAW_8K).live is not kernel.mulaw_decode


def test_the_stages_use_it() -> None:
    assert g711.decode_stage(MULAW_8K).live is kernel.mulaw_decode
    encode = g711.encode_stage(Format("mulaw", 8000))
    assert encode.feed(b"\0") + encode.feed(b"\0\0\0") == b"\xff\xff"  # a split sample waits
