"""TwiML: documents become verbs; what Twilio would warn about is named."""

import pytest

from archer_bridge.devkit.phone.errors import TwimlError
from archer_bridge.devkit.phone.twiml import read_twiml, stream_problem
from archer_bridge.devkit.phone.verbs import Connect, Dial, Hangup, Pause, Play, Redirect, Reject, Say, Stream

WSS = "wss://h.test/media"


def document(body: str) -> str:
    return f'<?xml version="1.0" encoding="UTF-8"?><Response>{body}</Response>'


@pytest.mark.parametrize(
    ("body", "verb"),
    [
        pytest.param("<Say voice='alice'> Hello\n there &amp; you </Say>", Say("Hello there & you"), id="Say"),
        pytest.param("<Say loop='2'>Hi</Say>", Say("Hi", 2), id="Say loop"),
        pytest.param("<Play digits='ww1#'/>", Play("ww1#"), id="Play digits"),
        pytest.param("<Pause/>", Pause(1), id="Pause"),
        pytest.param("<Pause length='3'/>", Pause(3), id="Pause length"),
        pytest.param("<Redirect method='GET'> /next </Redirect>", Redirect("/next", "GET"), id="Redirect"),
        pytest.param("<Hangup/>", Hangup(), id="Hangup"),
        pytest.param("<Reject reason='busy'/>", Reject("busy"), id="Reject"),
        pytest.param("<Dial>+15550100</Dial>", Dial("+15550100"), id="Dial"),
        pytest.param(
            "<Dial action='/d' timeout='9'><Number>+1555</Number></Dial>", Dial("+1555", "/d", "POST", 9), id="Number"
        ),
        pytest.param(
            f"<Connect action='/a'><Stream url='{WSS}' name='n' statusCallback='https://h.test/s'>"
            "<Parameter name='token' value='a&lt;b'/></Stream></Connect>",
            Connect(Stream(WSS, {"token": "a<b"}, "https://h.test/s", "POST", "n"), "/a"),
            id="Connect",
        ),
    ],
)
def test_verbs(body, verb):
    parsed = read_twiml(document(body))

    assert ((verb,), ()) == (parsed.verbs, parsed.warnings)


@pytest.mark.parametrize(
    ("body", "code", "says"),
    [
        pytest.param("<Speak>x</Speak>", 12200, "<Speak> is not allowed in <Response>", id="unknown verb"),
        pytest.param("<Hangup now='1'/>", 12200, "<Hangup> has no attribute 'now'", id="unknown attribute"),
        pytest.param("<Pause length='x'/>", 12200, "expected a whole number from 1", id="bad number"),
        pytest.param("<Redirect method='PUT'>/x</Redirect>", 12200, "expected one of GET, POST", id="bad method"),
        pytest.param("<Say></Say>", 13520, "no text", id="empty Say"),
        pytest.param("<Play>https://h.test/a.mp3</Play>", 12200, "only digits", id="Play a file"),
        pytest.param("<Connect/>", 12200, "0 nouns", id="Connect without Stream"),
        pytest.param("<Dial/>", 13223, "no number", id="Dial without number"),
        pytest.param("<Connect><Say>x</Say></Connect>", 12200, "<Say> is not allowed in <Connect>", id="wrong child"),
        pytest.param(
            f"<Connect><Stream url='{WSS}' statusCallback='/rel'/></Connect>", 12200, "absolute URL", id="relative"
        ),
        pytest.param(
            f"<Connect><Stream url='{WSS}'><Parameter name='{'n' * 20}' value='{'v' * 480}'/></Stream></Connect>",
            12200,
            "500 characters",
            id="Parameter of 500 characters",
        ),
    ],
)
def test_warnings(body, code, says):
    warnings = read_twiml(document(body)).warnings

    assert {code} == {found for found, _ in warnings}
    assert says in warnings[0][1]


def test_a_parameter_of_499_characters_is_taken():
    parameter = f"<Parameter name='{'n' * 19}' value='{'v' * 480}'/>"
    parsed = read_twiml(document(f"<Connect><Stream url='{WSS}'>{parameter}</Stream></Connect>"))

    assert parsed.warnings == ()
    assert isinstance(parsed.verbs[0], Connect)
    assert list(parsed.verbs[0].stream.parameters) == ["n" * 19]


def test_what_is_wrong_is_skipped_and_the_rest_executed():
    parsed = read_twiml(document("<Speak>x</Speak><Say>y</Say>"))

    assert parsed.verbs == (Say("y"),)


BOMB = '<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;">]><Response><Say>&b;</Say></Response>'


@pytest.mark.parametrize(
    ("text", "code", "says"),
    [
        pytest.param("", 12100, "not well-formed", id="empty"),
        pytest.param("hello", 12100, "not well-formed", id="not XML"),
        pytest.param("<Response><Say>x</Response>", 12100, "mismatched tag", id="unclosed"),
        pytest.param("<response/>", 12102, "the root element is <response>", id="wrong root"),
        pytest.param(BOMB, 12100, "document type", id="entity bomb"),
        pytest.param("<Response>" + "<Say>" * 20 + "</Say>" * 20 + "</Response>", 12100, "nested", id="deep"),
    ],
)
def test_what_cannot_be_executed(text, code, says):
    with pytest.raises(TwimlError, match=says) as caught:
        read_twiml(text)

    assert code == caught.value.code


@pytest.mark.parametrize(
    ("stream", "url", "code"),
    [
        pytest.param(Stream("", {}), WSS, None, id="fine"),
        pytest.param(Stream("", {}, track="both_tracks"), WSS, 31941, id="track"),
        pytest.param(Stream("", {}), "ws://h.test/media", 31922, id="not wss"),
        pytest.param(Stream("", {}), "https://h.test/media", 31922, id="not a socket"),
        pytest.param(Stream("", {}), "wss://h.test/media?token=1", 31920, id="query string"),
    ],
)
def test_stream_rules(stream, url, code):
    problem = stream_problem(stream, url)

    assert code == (problem[0] if problem else None)
