"""What the bridge may send, one rule a row."""

import base64
import json

import pytest

from archer_bridge.devkit.phone.wire import Bad, Clear, Composer, MarkSent, Media, read_message

SID = "MZ" + "0" * 32
AUDIO = base64.b64encode(b"\x7f" * 160).decode()


def text(**message) -> str:
    return json.dumps({"streamSid": SID, **message})


@pytest.mark.parametrize(
    ("frame", "expected"),
    [
        pytest.param(text(event="media", media={"payload": AUDIO}), Media(b"\x7f" * 160), id="media"),
        pytest.param(text(event="mark", mark={"name": "g1:2"}), MarkSent("g1:2"), id="mark"),
        pytest.param(text(event="clear"), Clear(), id="clear"),
    ],
)
def test_documented_messages_are_taken(frame, expected):
    assert expected == read_message(frame, SID)


@pytest.mark.parametrize(
    ("frame", "code", "says"),
    [
        pytest.param(b"{}", 31950, "binary frame of 2 bytes", id="binary"),
        pytest.param("{", 31951, "not JSON", id="not JSON"),
        pytest.param("[]", 31951, "a JSON list", id="not an object"),
        pytest.param(text(event="hello"), 31951, "event 'hello'", id="unknown event"),
        pytest.param(text(event=["media"]), 31951, "event ['media']", id="event of another type"),
        pytest.param(json.dumps({"event": "clear"}), 31951, "clear: missing streamSid", id="no streamSid"),
        pytest.param(text(event="clear", streamSid="MZ1"), 31951, "streamSid 'MZ1'", id="another stream"),
        pytest.param(text(event="clear", x=1), 31951, "clear: extra x", id="extra field"),
        pytest.param(text(event="media"), 31951, "media: missing media", id="media without media"),
        pytest.param(
            text(event="media", media={"payload": AUDIO, "track": "outbound"}), 31951, "extra track", id="extra inside"
        ),
        pytest.param(text(event="media", media={}), 31951, "missing payload", id="no payload"),
        pytest.param(text(event="media", media="x"), 31951, "a JSON str", id="media of another type"),
        pytest.param(text(event="media", media={"payload": 1}), 31951, "a base64 string", id="payload number"),
        pytest.param(text(event="media", media={"payload": "a b="}), 31951, "bad base64", id="bad base64"),
        pytest.param(text(event="media", media={"payload": "YWJ"}), 31951, "bad base64", id="bad padding"),
        pytest.param(text(event="media", media={"payload": "é"}), 31951, "bad base64", id="not ascii"),
        pytest.param(text(event="media", media={"payload": ""}), 31951, "no audio", id="empty payload"),
        pytest.param(text(event="mark"), 31951, "mark: missing mark", id="mark without mark"),
        pytest.param(text(event="mark", mark={}), 31951, "missing name", id="mark without name"),
        pytest.param(text(event="mark", mark={"name": ""}), 31951, "non-empty string", id="empty name"),
        pytest.param(text(event="mark", mark={"name": 4}), 31951, "non-empty string", id="name of another type"),
    ],
)
def test_everything_else_is_refused_with_twilios_code(frame, code, says):
    bad = read_message(frame, SID)

    assert isinstance(bad, Bad)
    assert code == bad.code
    assert says in bad.detail


@pytest.mark.parametrize("header", [b"RIFF", b".snd"])
def test_a_file_header_is_played_as_the_noise_it_is_and_complained_of(header):
    data = header + bytes(40)
    message = read_message(text(event="media", media={"payload": base64.b64encode(data).decode()}), SID)

    assert isinstance(message, Media)
    assert data == message.data
    assert f"begins with {header.decode()!r}" in message.complaint


def test_composed_messages_have_string_counters_and_number_formats():
    composer = Composer("AC1", "CA1", SID)
    media_format = {"encoding": "audio/x-mulaw", "sampleRate": 8000, "channels": 1}

    start, first, second, digit, mark, stop = (
        json.loads(composed)
        for composed in (
            composer.start({"token": "t"}, media_format),
            composer.media(b"\xff" * 160, 155),
            composer.media(b"\xff" * 160, 174),
            composer.dtmf("5"),
            composer.mark("g3:17"),
            composer.stop(),
        )
    )

    assert start == {
        "event": "start",
        "sequenceNumber": "1",
        "streamSid": SID,
        "start": {
            "accountSid": "AC1",
            "streamSid": SID,
            "callSid": "CA1",
            "tracks": ["inbound"],
            "mediaFormat": media_format,
            "customParameters": {"token": "t"},
        },
    }
    assert first["media"] | {"payload": ""} == {"track": "inbound", "chunk": "1", "timestamp": "155", "payload": ""}
    assert len(first["media"]["payload"]) == 216
    assert second["media"]["chunk"] == "2"
    assert digit["dtmf"] == {"track": "inbound_track", "digit": "5"}
    assert mark["mark"] == {"name": "g3:17"}
    assert stop["stop"] == {"accountSid": "AC1", "callSid": "CA1"}
    assert [m["sequenceNumber"] for m in (start, first, second, digit, mark, stop)] == ["1", "2", "3", "4", "5", "6"]
