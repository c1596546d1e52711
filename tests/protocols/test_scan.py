"""A glance sees plain audio messages, sees them as the decoders do, and says nothing of all others."""

import base64
import gc
import json
import runpy
import string
import weakref
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from archer_bridge.ports import EngineAudio
from archer_bridge.protocols import cartesia_agent, scan, twilio_media
from archer_bridge.protocols.cartesia_agent import AgentSession
from archer_bridge.protocols.frames import BadFrame
from archer_bridge.protocols.twilio_media import MediaStream

kernel = pytest.importorskip("archer_bridge.protocols._scan", reason="the kernel was not compiled here: no C compiler")

SID = "MZ" + "5" * 32
BODY = {"track": "inbound", "chunk": "2", "timestamp": "155", "payload": "/////w=="}
MEDIA = {"event": "media", "sequenceNumber": "3", "media": BODY, "streamSid": SID}
START = {
    "event": "start",
    "sequenceNumber": "1",
    "streamSid": SID,
    "start": {
        "accountSid": "AC0",
        "callSid": "CA0",
        "streamSid": SID,
        "mediaFormat": {"encoding": "audio/x-mulaw", "sampleRate": 8000, "channels": 1},
    },
}


def media(**changes: Any) -> str:
    """Return a media message; changes of the body's members go into the body."""
    body = BODY | {name: value for name, value in changes.items() if name in BODY}
    return json.dumps(MEDIA | {"media": body} | {name: value for name, value in changes.items() if name not in BODY})


def test_the_shape_that_twilio_sends_is_seen() -> None:
    assert kernel.twilio_media(media(), SID.encode()) == (3, 155, b"\xff" * 4, b"/////w==")
    assert kernel.twilio_media(media().encode(), SID.encode()) == (3, 155, b"\xff" * 4, b"/////w==")


def test_the_shape_that_cartesia_sends_is_seen() -> None:
    assert kernel.cartesia_audio('{"type":"audio_output","audio":"/w=="}') == (b"\xff", b"/w==")


@pytest.mark.parametrize(
    "message",
    [
        pytest.param(json.dumps(MEDIA, indent=1), id="space"),
        pytest.param(json.dumps(dict(reversed(MEDIA.items()))), id="another order"),
        pytest.param(media(sequenceNumber=3, timestamp=155, chunk=2), id="numbers as numbers"),
        pytest.param(media(new="member", more=12), id="members that are new"),
    ],
)
def test_what_is_as_plain_is_seen(message: str) -> None:
    assert kernel.twilio_media(message, SID.encode()) == (3, 155, b"\xff" * 4, b"/////w==")


@pytest.mark.parametrize(
    "message",
    [
        "", " ", "{", "{}", "[]", "null", "5", '"media"', media()[:-1], media() + "x", media() + "{}", media()[1:],
        media(event="mark"), media(streamSid="MZ1"), media(streamSid=5), media(event=5), media(media=5),
        media(payload=""), media(payload="/"), media(payload="////w"), media(payload="/////w="), media(payload="===="),
        media(payload="/////x=="), media(payload="///=////"), media(payload="/// ////"), media(payload="/w==\n"),
        media(payload="__8="), media(payload="\u00e9AAA"), media(payload=5), media(track=5), media(new={}),
        media(new=None), media(new=1.5), media(new=-1), media(new="\u00e9"), media(new="\\"), media(chunk=None),
        media(timestamp="1.5"), media(timestamp="-5"), media(timestamp=""), media(timestamp="1" * 16),
        media(sequenceNumber="x"), media(sequenceNumber=True), media(new=10**20),
        json.dumps({**MEDIA, "media": {k: v for k, v in BODY.items() if k != "chunk"}}),
        media()[:-1] + ',"event":"media"}', media().replace("155", "0155").replace('"0155"', "0155"),
        media().replace('"', "'"), media().replace(": ", " "), media().replace(", ", " "),
    ],
)  # fmt: skip
def test_of_anything_else_it_says_nothing(message: str) -> None:
    assert kernel.twilio_media(message, SID.encode()) is None
    assert kernel.cartesia_audio(message) is None


@pytest.mark.parametrize("message", [b"\xff", media().encode()[:-1] + b"\xff}", "\ud800", b'{"event":"\xed\xa0\x80"}'])
def test_no_text_is_nothing_to_see(message: str | bytes) -> None:
    assert kernel.twilio_media(message, SID.encode()) is None
    assert kernel.cartesia_audio(message) is None


def test_what_is_no_message_is_refused() -> None:
    for arguments in ((5, b""), ("", ""), ("",), ("", b"", b"")):
        with pytest.raises(TypeError):
            kernel.twilio_media(*arguments)
    with pytest.raises(TypeError):
        kernel.cartesia_audio(None)


def test_a_kernel_of_another_version_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernel, "VERSION", scan.KERNEL_VERSION + 1)
    fresh = runpy.run_path(scan.__file__)

    assert scan.is_compiled
    assert not fresh["is_compiled"]
    assert fresh["twilio_media"](media(), SID.encode()) is None


def seen(message: str | bytes, *, by_glance: bool) -> list[Any]:
    """Return what both protocols make of a message, the count of what is missing included."""
    stream, session = MediaStream(), AgentSession(bytes_per_ms=8)
    found: list[Any] = []
    with pytest.MonkeyPatch.context() as patch:
        if not by_glance:
            patch.setattr(twilio_media, "twilio_media", scan._no_media)
            patch.setattr(cartesia_agent, "cartesia_audio", scan._no_audio)
        stream.receive(json.dumps(START))
        for receive in (stream.receive, stream.receive, session.receive):
            try:
                found.append(receive(message))
            except BadFrame as error:
                found.append(error.reason)
    return [*found, stream.missing]


numbers = st.one_of(
    st.integers(-5, 10**17), st.integers(0, 10**6).map(str), st.text(string.digits + "-_ .", max_size=4)
)
audio = st.one_of(
    st.binary(max_size=40).map(lambda data: base64.b64encode(data).decode()), st.text("Aa/+=9_ ", max_size=9)
)
odd = st.one_of(
    st.none(), st.booleans(), st.floats(), st.text(max_size=3), numbers, st.dictionaries(st.text(max_size=2), numbers)
)


@given(
    sequence=numbers, timestamp=numbers, payload=audio, sid=st.sampled_from([SID, SID, SID, "MZ1", ""]),
    extra=st.dictionaries(st.sampled_from(["event", "track", "chunk", "x", "media", "type"]), odd, max_size=2),
    inside=st.booleans(), indent=st.sampled_from([None, 0, 2]), cut=st.integers(0, 400),
    tail=st.sampled_from(["", "", " ", "x"]),
)  # fmt: skip
def test_it_sees_media_as_the_decoder_does(
    sequence: Any, timestamp: Any, payload: str, sid: str, extra: dict[str, Any], inside: bool, indent: Any, cut: int,
    tail: str,
) -> None:  # fmt: skip
    body = BODY | {"timestamp": timestamp, "payload": payload} | (extra if inside else {})
    whole = {"event": "media", "sequenceNumber": sequence, "media": body, "streamSid": sid} | ({} if inside else extra)
    message = json.dumps(whole, indent=indent) + tail
    for text in (message, message[:cut] + message[cut + 1 :]):
        assert seen(text, by_glance=True) == seen(text, by_glance=False)


@given(
    payload=audio,
    extra=st.dictionaries(st.sampled_from(["audio", "type", "x", "y"]), odd, max_size=2),
    cut=st.integers(0, 90),
)
def test_it_sees_agent_audio_as_the_decoder_does(payload: str, extra: dict[str, Any], cut: int) -> None:
    message = json.dumps({"type": "audio_output", "audio": payload} | extra)
    for text in (message, message[:cut] + message[cut + 1 :], message[:cut] + message[: cut + 5]):
        assert seen(text.encode(errors="surrogatepass"), by_glance=True) == seen(
            text.encode(errors="surrogatepass"), by_glance=False
        )


@given(st.binary(max_size=60))
def test_it_sees_nothing_in_noise(noise: bytes) -> None:
    for data in (noise, b'{"type":"audio_output","audio":"' + noise + b'"}'):
        assert seen(data, by_glance=True) == seen(data, by_glance=False)


# ---- sinks


class Taker:
    """Takes frames, or leaves them."""

    def __init__(self, answer: Any = True) -> None:
        self.answer = answer
        self.taken: list[Any] = []
        self.left: list[Any] = []

    def take(self, *frame: Any) -> Any:
        self.taken.append(frame)
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer

    def sink(self) -> tuple[Any, Any]:
        sequence = scan.make_sequence()
        sequence.last = 2
        return sequence, scan.media_sink(SID.encode(), sequence, self.take, self.left.append)


def test_frames_that_follow_are_offered_and_the_numbers_are_kept() -> None:
    taker = Taker()
    sequence, receive = taker.sink()
    receive(media())
    receive(media(sequenceNumber=4).encode())

    assert taker.taken == [(b"\xff" * 4, b"/////w==", 155)] * 2
    assert (taker.left, sequence.last) == ([], 4)


@pytest.mark.parametrize("answer", [False, None, 1])
def test_what_is_not_taken_goes_on_as_it_came(answer: Any) -> None:
    taker = Taker(answer)
    sequence, receive = taker.sink()
    receive(message := media())

    assert taker.left == [message]
    assert sequence.last == 2


@pytest.mark.parametrize(
    "message",
    [media(sequenceNumber=5), media(sequenceNumber=2), media(streamSid="MZ1"), media(payload="x"), "{", "", b"\xff",
     "\ud800"],
)  # fmt: skip
def test_what_is_not_plain_is_not_offered(message: Any) -> None:
    taker = Taker()
    sequence, receive = taker.sink()
    receive(message)

    assert (taker.taken, taker.left, sequence.last) == ([], [message], 2)


def test_a_taker_that_breaks_is_heard_of() -> None:
    sequence, receive = Taker(LookupError()).sink()
    with pytest.raises(LookupError):
        receive(media())

    assert sequence.last == 2


def test_no_taker_no_sink() -> None:
    left: list[Any] = []

    assert scan.media_sink(SID.encode(), scan.make_sequence(), None, left.append) == left.append


AUDIO = '{"type":"audio_output","audio":"/w=="}'


def test_an_audio_sink_makes_events_while_it_is_open() -> None:
    events: list[Any] = []
    left: list[Any] = []
    sink = scan.AudioSink(events.append, left.append)
    sink.receive(AUDIO)
    sink.open(True)
    sink.receive(AUDIO.encode())
    sink.receive('{"type":"clear"}')
    sink.receive('{"type":"audio_output","audio":"x"}')
    sink.open(False)
    sink.receive(AUDIO)

    assert events == [EngineAudio(b"\xff", b"/w==")]
    assert left == [AUDIO, '{"type":"clear"}', '{"type":"audio_output","audio":"x"}', AUDIO]


def test_a_listener_that_breaks_is_heard_of() -> None:
    def breaks(_: Any) -> None:
        raise LookupError

    sink = scan.AudioSink(breaks, pytest.fail)
    sink.open(True)
    with pytest.raises(LookupError):
        sink.receive(AUDIO)


@given(st.binary(max_size=400))
def test_a_sender_puts_audio_into_a_message_once_it_is_open(data: bytes) -> None:
    sent: list[bytes] = []
    others: list[Any] = []
    sender = scan.Sender(b"{", b"}", lambda *audio: others.append(audio), droppable=False)
    sender.send(data, None)
    sender.open(sent.append)
    sender.send(data, None)
    sender.send(data, b"text")

    assert others == [(data, None)]
    assert sent == [b"{" + base64.b64encode(data) + b"}", b"{text}"]


def test_a_sender_keeps_what_it_writes_with_while_it_does() -> None:
    """A write that finds the socket gone gives the sender another one."""
    sent: list[bytes] = []
    sender = scan.Sender(b"", b"", pytest.fail, droppable=False)

    class Socket:
        def write(self, message: bytes) -> None:
            sender.open(lambda message: None)
            gc.collect()
            sent.append(self.framed(message))

        def framed(self, message: bytes) -> bytes:
            return b"framed " + message

    sender.open(Socket().write)
    sender.send(b"", b"text")
    sender.send(b"", b"text")

    assert sent == [b"framed text"]


@pytest.mark.parametrize("arguments", [(), (b"",), ("", None), (b"", ""), (b"", 5), (None, None)])
def test_a_sender_refuses_what_is_no_audio(arguments: Any) -> None:
    sender = scan.Sender(b"{", b"}", pytest.fail, droppable=False)
    sender.open(pytest.fail)
    with pytest.raises(TypeError):
        sender.send(*arguments)


@pytest.mark.parametrize(
    ("made", "arguments"),
    [("MediaSink", ("", scan.make_sequence(), 0, 0)), ("MediaSink", (b"", 5, 0, 0)), ("AudioSink", ()),
     ("Sender", ("", b"", 0, False)), ("Sender", (b"", b"", 0))],
)  # fmt: skip
def test_parts_of_the_wrong_kind_are_refused(made: str, arguments: Any) -> None:
    with pytest.raises(TypeError):
        getattr(kernel, made)(*arguments)


def test_circles_are_collected() -> None:
    class Owner:
        def take(self, *_: Any) -> None: ...

    owner = Owner()
    sender = scan.Sender(b"", b"", owner.take, droppable=True)
    sender.open(owner.take)
    sequence = scan.make_sequence()
    owner.parts = (  # type: ignore[attr-defined]
        scan.media_sink(b"", sequence, owner.take, owner.take), scan.AudioSink(owner.take, owner.take), sender
    )  # fmt: skip
    gone = weakref.ref(owner)
    del owner, sender
    gc.collect()

    assert gone() is None


def test_without_a_kernel_everything_goes_the_other_way(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernel, "VERSION", scan.KERNEL_VERSION + 1)
    fresh = runpy.run_path(scan.__file__)
    left: list[Any] = []
    audio, sender = (
        fresh["AudioSink"](pytest.fail, left.append),
        fresh["Sender"](b"", b"", lambda *a: left.append(a), droppable=True),
    )
    audio.open(True)
    sender.open(pytest.fail)
    audio.receive(AUDIO)
    sender.send(b"a", None)
    fresh["media_sink"](SID.encode(), fresh["make_sequence"](), pytest.fail, left.append)(media())

    assert left == [AUDIO, (b"a", None), media()]


@pytest.mark.parametrize(("droppable", "told"), [(True, (b"YQ==", True)), (False, (b"YQ==",))])
def test_a_sender_says_what_may_be_dropped(droppable: bool, told: Any) -> None:
    sent: list[Any] = []
    sender = scan.Sender(b"", b"", pytest.fail, droppable=droppable)
    sender.open(lambda *message: sent.append(message))
    sender.send(b"a", None)

    assert sent == [told]
