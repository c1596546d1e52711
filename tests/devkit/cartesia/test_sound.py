import threading
from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from archer_bridge.devkit.cartesia.sound import STT_ENCODINGS, Decoder, Encoder, Listener, utterances
from archer_bridge.devkit.voices import EarEvent, Heard, ToneEar, ToneVoice, Utterance
from archer_codecs import CodecError
from tests.support.virtual import virtual


class SlowVoice:
    """The tones as a voice that must not compute in the event loop."""

    name, rate, blocking = "slow", 8000, True

    def __init__(self) -> None:
        self.threads: set[int] = set()

    def warm(self) -> None:
        """Nothing to load."""

    def speak(self, text: str) -> Iterator[Utterance]:
        for utterance in ToneVoice().speak(text):
            self.threads.add(threading.get_ident())
            yield utterance


class SlowEar:
    """The tone ear as one that must not compute in the event loop."""

    blocking = True

    def __init__(self) -> None:
        self.ear = ToneEar()
        self.threads: set[int] = set()

    def warm(self) -> None:
        """Nothing to load."""

    def feed(self, audio: bytes) -> list[EarEvent]:
        self.threads.add(threading.get_ident())
        return self.ear.feed(audio)

    def flush(self) -> list[EarEvent]:
        self.threads.add(threading.get_ident())
        return self.ear.flush()


@virtual
async def test_a_blocking_voice_and_ear_compute_in_other_threads() -> None:
    voice, ear = SlowVoice(), SlowEar()
    listener = Listener(ear, "pcm_s16le", 8000)
    events: list[EarEvent] = []
    async for utterance in utterances(voice, "One sentence. Another."):
        events += await listener.feed(utterance.audio)
    events += await listener.flush()

    assert " ".join(event.text for event in events if isinstance(event, Heard)) == "One sentence. Another."
    assert threading.get_ident() not in voice.threads | ear.threads
    assert voice.threads
    assert ear.threads


@virtual
async def test_a_listener_hears_again_after_a_flush() -> None:
    listener = Listener(ToneEar(), "pcm_s16le", 8000)
    heard: list[str] = []
    for text in ("first", "second"):
        for utterance in ToneVoice().speak(text):
            events = await listener.feed(utterance.audio) + await listener.flush()
            heard += [event.text for event in events if isinstance(event, Heard)]

    assert heard == ["first", "second"]


@given(
    encoding=st.sampled_from(STT_ENCODINGS),
    data=st.binary(max_size=400),
    cuts=st.lists(st.integers(0, 400), max_size=5),
)
@example(encoding="pcm_f16le", data=b"\x00\x00\x00\x00\x01|", cuts=[])  # a signalling NaN
@example(encoding="pcm_f32le", data=b"\xff\xff\x7f\x7f\x00\x00\x80\xff", cuts=[])  # the largest number, -infinity
def test_decoding_does_not_depend_on_the_cuts(encoding: str, data: bytes, cuts: list[int]) -> None:
    whole, pieces = Decoder(encoding, 16000), Decoder(encoding, 16000)
    edges = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    joined = b"".join(pieces.feed(data[a:b]) for a, b in zip(edges, edges[1:], strict=False))

    assert joined + pieces.flush() == whole.feed(data) + whole.flush()


@given(samples=st.lists(st.integers(-32768, 32767), max_size=50))
def test_floats_and_wide_integers_are_the_same_sound(samples: list[int]) -> None:
    narrow = np.array(samples, "<i2")
    as_float = Encoder(8000, "pcm_f32le", 8000).feed(narrow.tobytes())
    wide = (narrow.astype("<i4") * 65536).tobytes()

    assert Decoder("pcm_s32le", 8000).feed(wide) == narrow.tobytes()
    back = np.frombuffer(Decoder("pcm_f32le", 8000).feed(as_float), "<i2").astype(int)
    assert np.abs(back - narrow.astype(int)).max(initial=0) <= 1


def test_rates_without_a_way_are_errors() -> None:
    with pytest.raises((CodecError, ValueError)):
        Decoder("pcm_s16le", 12345)
