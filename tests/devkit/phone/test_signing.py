"""Signatures against Twilio's own vector and the SDK's validator."""

import pytest
from twilio.request_validator import RequestValidator

from archer_bridge.devkit.phone.signing import request_signature, signed_url, upgrade_signature

TOKEN = "12345"
WSS = "wss://bridge.example.test/media"


def test_official_vector():
    # twilio.com/docs/usage/security, "Validating Signatures from Twilio"
    form = {
        "CallSid": "CA1234567890ABCDE",
        "Caller": "+14158675310",
        "Digits": "1234",
        "From": "+14158675310",
        "To": "+18005551212",
    }

    assert request_signature(TOKEN, "https://example.com/myapp.php?foo=1&bar=2", form) == "L/OH5YylLD5NRKLltdqwSvS0BnU="


@pytest.mark.parametrize(
    ("url", "signed"),
    [
        pytest.param("https://h.test/a?b=1", "https://h.test/a?b=1", id="as it is"),
        pytest.param("https://h.test:8443/a", "https://h.test/a", id="https drops the port"),
        pytest.param("http://h.test:8080/a", "http://h.test:8080/a", id="http keeps the port"),
        pytest.param("https://me:secret@h.test/a", "https://h.test/a", id="no user and password"),
        pytest.param("https://h.test/a#rc=2", "https://h.test/a", id="no fragment"),
        pytest.param("wss://h.test:8443/media", "wss://h.test/media", id="wss drops the port"),
        pytest.param("http://[::1]:80/a", "http://[::1]:80/a", id="IPv6"),
    ],
)
def test_what_is_signed(url, signed):
    assert signed == signed_url(url)


@pytest.mark.parametrize(
    ("form", "over"),
    [
        pytest.param("plain", WSS, id="plain"),
        pytest.param("slash", WSS + "/", id="slash"),
        pytest.param("port", "wss://bridge.example.test:443/media", id="port"),
    ],
)
def test_upgrade_forms(form, over):
    assert RequestValidator(TOKEN).compute_signature(over, {}) == upgrade_signature(TOKEN, WSS, form)


def test_wrong_and_missing_upgrade_signatures():
    valid = {RequestValidator(TOKEN).compute_signature(url, {}) for url in (WSS, WSS + "/")}

    assert upgrade_signature(TOKEN, WSS, "wrong") not in valid
    assert upgrade_signature(TOKEN, WSS, "missing") is None
