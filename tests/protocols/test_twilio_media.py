"""Media Streams: what Twilio documents is understood, anything else is a BadFrame and changes nothing."""

import contextlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from archer_bridge.errors import LocalProtocolError
from archer_bridge.protocols.frames import BadFrame
from archer_bridge.protocols.twilio_media import (
    Audio,
    Connected,
    Dtmf,
    Mark,
    MediaStream,
    Start,
    State,
    Stop,
    Unknown,
)

SID = "MZ0123456789abcdef0123456789abcdef"
CONNECTED = {"event": "connected", "protocol": "Call", "version": "1.0.0"}
START: dict[str, Any] = {
    "event": "start",
    "sequenceNumber": "1",
    "streamSid": SID,
    "start": {
        "accountSid": "AC1",
        "streamSid": SID,
        "callSid": "CA1",
        "tracks": ["inbound"],
        "mediaFormat": {"encoding": "audio/x-mulaw", "sampleRate": 8000, "channels": 1},
        "customParameters": {"token": "t"},
    },
}
MEDIA: dict[str, Any] = {
    "event": "media",
    "sequenceNumber": "2",
    "streamSid": SID,
    "media": {"track": "inbound", "chunk": "1", "timestamp": "155", "payload": "/////w=="},
}
STOP = {"event": "stop", "sequenceNumber": "5", "streamSid": SID, "stop": {"accountSid": "AC1", "callSid": "CA1"}}


def text(message: object) -> str:
    return json.dumps(message)


def streaming() -> MediaStream:
    stream = MediaStream()
    stream.receive(text(CONNECTED))
    stream.receive(text(START))
    return stream


def changed(message: dict[str, Any], **changes: Any) -> dict[str, Any]:
    return {**message, **changes}


def test_a_whole_stream() -> None:
    stream = MediaStream()

    assert stream.receive(text(CONNECTED)) == Connected("Call", "1.0.0")
    start = stream.receive(text(START))
    assert isinstance(start, Start)
    assert start.start.custom_parameters == {"token": "t"}
    assert stream.stream_sid == SID
    assert stream.receive(text(MEDIA)) == Audio(b"\xff\xff\xff\xff", b"/////w==", 155, 0)
    mark = stream.receive(text({"event": "mark", "sequenceNumber": "3", "streamSid": SID, "mark": {"name": "g3:17"}}))
    assert isinstance(mark, Mark)
    assert mark.mark.name == "g3:17"
    dtmf = stream.receive(
        text(
            {"event": "dtmf", "streamSid": SID, "sequenceNumber": "4", "dtmf": {"track": "inbound_track", "digit": "#"}}
        )
    )
    assert isinstance(dtmf, Dtmf)
    assert isinstance(stream.receive(text(STOP)), Stop)
    assert stream.state is State.STOPPED


@pytest.mark.parametrize(
    "message",
    [
        pytest.param(changed(MEDIA, sequenceNumber=2), id="number-not-string"),
        pytest.param(changed(MEDIA, media={"payload": "/w==", "timestamp": 155}), id="int-timestamp"),
        pytest.param(changed(MEDIA, media={"payload": "/w=="}), id="only-a-payload"),
        pytest.param(changed(MEDIA, media=changed(MEDIA["media"], codec="new")), id="new-field-inside"),
        pytest.param(changed(MEDIA, newField={"a": 1}), id="new-field"),
    ],
)
def test_media_is_read_tolerantly(message: dict[str, Any]) -> None:
    assert isinstance(streaming().receive(text(message)), Audio)


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        pytest.param("", "not_json", id="empty"),
        pytest.param("{", "not_json", id="cut"),
        pytest.param("[]", "not_json", id="array"),
        pytest.param("null", "not_json", id="null"),
        pytest.param("[" * 40_000, "not_json", id="nested"),
        pytest.param(text({"event": 7}), "not_json", id="event-number"),
        pytest.param(text({"event": "media", "media": 9}), "bad_shape", id="media-number"),
        pytest.param(text({"event": "media", "streamSid": SID}), "bad_shape", id="no-media"),
        pytest.param(text(changed(MEDIA, streamSid="MZother")), "wrong_stream", id="other-stream"),
        pytest.param(text(changed(MEDIA, media={"payload": "!!!!"})), "bad_media", id="not-base64"),
        pytest.param(text(changed(MEDIA, media={"payload": "/w"})), "bad_media", id="unpadded"),
        pytest.param(text(changed(MEDIA, media={"payload": ""})), "empty_media", id="no-audio"),
        pytest.param(text(changed(MEDIA, media={"payload": "/w==", "timestamp": "x"})), "bad_media", id="bad-time"),
        pytest.param(text({"event": "dtmf", "streamSid": SID, "dtmf": {"digit": "12"}}), "bad_digit", id="two-digits"),
        pytest.param(text(START), "out_of_order", id="second-start"),
    ],
)
def test_what_breaks_the_protocol_is_a_bad_frame_and_nothing_more(message: str, reason: str) -> None:
    stream = streaming()

    with pytest.raises(BadFrame) as caught:
        stream.receive(message)

    assert caught.value.reason == reason
    assert stream.state is State.STREAMING
    assert isinstance(stream.receive(text(changed(MEDIA, sequenceNumber="9"))), Audio)


@pytest.mark.parametrize("event", [MEDIA, STOP], ids=["media", "stop"])
def test_nothing_is_taken_before_start(event: dict[str, Any]) -> None:
    with pytest.raises(BadFrame, match="out_of_order"):
        MediaStream().receive(text(event))


@pytest.mark.parametrize(
    "media_format",
    [
        pytest.param({"encoding": "audio/x-l16", "sampleRate": 8000, "channels": 1}, id="encoding"),
        pytest.param({"encoding": "audio/x-mulaw", "sampleRate": 16000, "channels": 1}, id="rate"),
        pytest.param({"encoding": "audio/x-mulaw", "sampleRate": 8000, "channels": 2}, id="channels"),
    ],
)
def test_another_audio_format_is_refused(media_format: dict[str, Any]) -> None:
    stream = MediaStream()

    with pytest.raises(BadFrame, match="bad_format"):
        stream.receive(text(changed(START, start=changed(START["start"], mediaFormat=media_format))))

    assert stream.state is State.CONNECTING


def test_unknown_events_are_named_and_ignored() -> None:
    stream = streaming()

    assert stream.receive(text({"event": "hologram", "streamSid": SID})) == Unknown("hologram")
    assert stream.state is State.STREAMING


def test_gaps_are_counted_by_sequence_number() -> None:
    stream = streaming()
    stream.receive(text(MEDIA))

    late = stream.receive(text(changed(MEDIA, sequenceNumber="7")))

    assert isinstance(late, Audio)
    assert late.missing == 4
    assert stream.missing == 4


def test_marks_may_come_after_stop() -> None:
    stream = streaming()
    stream.receive(text(STOP))

    assert isinstance(stream.receive(text({"event": "mark", "streamSid": SID, "mark": {"name": "g0:1"}})), Mark)


def test_what_we_send_has_exactly_the_documented_fields() -> None:
    stream = streaming()
    sent: list[bytes] = []
    play = stream.sender(sent.append)
    play(b"\0\0", None)
    play(b"\0\0", b"AAA=")

    assert [json.loads(message) for message in sent] == [
        {"event": "media", "streamSid": SID, "media": {"payload": "AAA="}}
    ] * 2
    assert json.loads(stream.mark('g0:"1"')) == {"event": "mark", "streamSid": SID, "mark": {"name": 'g0:"1"'}}
    assert json.loads(stream.clear()) == {"event": "clear", "streamSid": SID}


@pytest.mark.parametrize("write", [lambda s: s.sender(pytest.fail), lambda s: s.mark("x"), lambda s: s.clear()])
def test_nothing_is_sent_before_start(write: Any) -> None:
    with pytest.raises(LocalProtocolError, match="no streamSid yet"):
        write(MediaStream())


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3),
    max_leaves=6,
)


@given(
    st.one_of(
        st.binary(max_size=200),
        st.fixed_dictionaries(
            {"event": st.sampled_from(["connected", "start", "media", "dtmf", "mark", "stop", "x"])},
            optional={"streamSid": _json, "media": _json, "start": _json, "dtmf": _json, "mark": _json},
        ).map(lambda message: json.dumps(message).encode()),
    )
)
def test_any_bytes_are_an_event_or_a_bad_frame(message: bytes) -> None:
    for stream in (MediaStream(), streaming()):
        with contextlib.suppress(BadFrame):
            stream.receive(message)
