"""TwiML: well-formed whatever goes in, and only the verbs we mean."""

import xml.etree.ElementTree as ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from archer_bridge.protocols import twiml

BASE = "https://b.example.com"


def tags(document: str) -> list[str]:
    return [element.tag for element in ElementTree.fromstring(document).iter()]


def connect(value: str = "x") -> str:
    return twiml.connect_stream(
        stream_url="wss://b.example.com/ws/cartesia",
        action_url=f"{BASE}/webhooks/twilio/stream-ended",
        status_url=f"{BASE}/webhooks/twilio/stream-status",
        parameters={"call_sid": "CA1", "customer_id": value, "customer_phone": value, "token": "t"},
    )


def test_connect_names_what_follows_and_never_ends_silently() -> None:
    root = ElementTree.fromstring(connect())

    assert [child.tag for child in root] == ["Connect", "Say", "Redirect"]
    assert root[0].attrib == {"action": f"{BASE}/webhooks/twilio/stream-ended", "method": "POST"}
    stream = root[0][0]
    assert stream.attrib["url"] == "wss://b.example.com/ws/cartesia"
    assert [item.attrib["name"] for item in stream] == ["call_sid", "customer_id", "customer_phone", "token"]
    assert root[2].text == f"{BASE}/webhooks/twilio/stream-ended"


@given(st.text(st.characters(), max_size=700))
def test_connect_parses_with_any_value_and_only_our_tags(value: str) -> None:
    root = ElementTree.fromstring(connect(value))

    expected = ["Response", "Connect", "Stream", *["Parameter"] * 4, "Say", "Redirect"]
    assert [element.tag for element in root.iter()] == expected
    assert all(len(item.attrib["name"]) + len(item.attrib["value"]) < 500 for item in root.iter("Parameter"))


@given(st.text(st.characters(), max_size=200))
def test_say_parses_with_any_words(words: str) -> None:
    document = twiml.say_and_hang_up(words)

    assert tags(document) == (["Response", "Say", "Hangup"] if words else ["Response", "Hangup"])


@pytest.mark.parametrize(
    ("to", "expected"),
    [
        pytest.param("+15550100200", ["Response", "Dial", "Number"], id="number"),
        pytest.param("sip:desk@example.com", ["Response", "Dial", "Sip"], id="sip"),
        pytest.param("</Dial><Hangup/>", ["Response", "Dial", "Number"], id="hostile"),
    ],
)
def test_transfer(to: str, expected: list[str]) -> None:
    assert tags(twiml.transfer(to, action_url=f"{BASE}/x", caller_id="+15550100001")) == expected


@given(st.text(st.characters(), min_size=1, max_size=200))
def test_a_transfer_is_announced_in_any_words(words: str) -> None:
    document = twiml.transfer("+15550100200", action_url=f"{BASE}/x", announce=words)

    assert tags(document) == ["Response", "Say", "Dial", "Number"]


def test_transfer_shows_a_caller_id_only_if_it_is_a_number() -> None:
    assert "callerId" not in twiml.transfer("+15550100200", action_url=BASE, caller_id="client:bob")
    assert 'callerId="+15550100001"' in twiml.transfer("+15550100200", action_url=BASE, caller_id="+15550100001")
