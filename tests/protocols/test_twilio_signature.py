"""Signatures: Twilio's own are accepted in every form it uses; every mutation is refused, none raises."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.datastructures import FormData
from twilio.request_validator import HMAC_SHA1, HMAC_SHA256, RequestValidator

from archer_bridge.protocols.twilio_signature import SignatureChecker

TOKEN = "12345"
PUBLIC = "https://bridge.example.com"
PATH = "/webhooks/twilio/incoming"
FORM = {"CallSid": "CA1", "From": "+15550100001", "Called": "", "Digits": "12"}


def sign(url: str, form: dict[str, Any] | None = None, token: str = TOKEN) -> str:
    signature: str = RequestValidator(token).compute_signature(url, form or {})
    return signature


def checker(*tokens: str, public_url: str = PUBLIC) -> SignatureChecker:
    return SignatureChecker(tokens or (TOKEN,), public_url)


def test_the_official_vector() -> None:
    form = {
        "CallSid": "CA1234567890ABCDE",
        "Caller": "+14158675310",
        "Digits": "1234",
        "From": "+14158675310",
        "To": "+18005551212",
    }
    official = checker(public_url="https://example.com")

    assert official.accepts_webhook("/myapp.php?foo=1&bar=2", form, "L/OH5YylLD5NRKLltdqwSvS0BnU=")


@pytest.mark.parametrize(
    ("public_url", "signed_url"),
    [
        pytest.param(PUBLIC, PUBLIC + PATH, id="plain"),
        pytest.param(PUBLIC, "https://bridge.example.com:443" + PATH, id="standard-port-signed"),
        pytest.param("https://bridge.example.com:8443", "https://bridge.example.com" + PATH, id="port-dropped"),
        pytest.param("https://bridge.example.com:8443", "https://bridge.example.com:8443" + PATH, id="port-kept"),
        pytest.param("http://127.0.0.1:8000", "http://127.0.0.1:8000" + PATH, id="local"),
    ],
)
def test_webhook_url_forms(public_url: str, signed_url: str) -> None:
    assert checker(public_url=public_url).accepts_webhook(PATH, FORM, sign(signed_url, FORM))


@pytest.mark.parametrize(
    "signed_url",
    [
        "wss://bridge.example.com/ws/cartesia",
        "wss://bridge.example.com/ws/cartesia/",
        "wss://bridge.example.com:443/ws/cartesia",
        "wss://bridge.example.com:443/ws/cartesia/",
    ],
)
def test_upgrade_url_forms(signed_url: str) -> None:
    assert checker().accepts_upgrade("/ws/cartesia", sign(signed_url))


@pytest.mark.parametrize(
    "signed_url",
    [
        "https://bridge.example.com/ws/cartesia",
        "ws://bridge.example.com/ws/cartesia",
        "wss://bridge.example.com:8443/ws/cartesia",
        "wss://evil.example.com/ws/cartesia",
        "wss://bridge.example.com/ws/other",
        "wss://bridge.example.com/ws/cartesia?token=1",
    ],
)
def test_upgrade_refuses_other_addresses(signed_url: str) -> None:
    assert not checker().accepts_upgrade("/ws/cartesia", sign(signed_url))


@pytest.mark.parametrize("signature", [None, "", "é", "\ud800", " ", "x" * 10_000, "L/OH5YylLD5NRKLltdqwSvS0BnU="])
def test_no_signature_and_nonsense_are_refused_without_raising(signature: str | None) -> None:
    assert not checker().accepts_webhook(PATH, FORM, signature)
    assert not checker().accepts_upgrade("/ws/cartesia", signature)


def test_both_tokens_count_while_rotating() -> None:
    rotating = checker("old", "new")

    assert rotating.accepts_webhook(PATH, FORM, sign(PUBLIC + PATH, FORM, "old"))
    assert rotating.accepts_webhook(PATH, FORM, sign(PUBLIC + PATH, FORM, "new"))
    assert not rotating.accepts_webhook(PATH, FORM, sign(PUBLIC + PATH, FORM, "older"))


def test_no_token_accepts_nothing() -> None:
    assert not SignatureChecker((), PUBLIC).accepts_webhook(PATH, FORM, sign(PUBLIC + PATH, FORM, ""))
    assert not SignatureChecker(("",), PUBLIC).accepts_webhook(PATH, FORM, sign(PUBLIC + PATH, FORM, ""))


def test_a_fragment_is_not_part_of_what_is_signed() -> None:
    assert checker().accepts_webhook(f"{PATH}#rc=2", FORM, sign(PUBLIC + PATH, FORM))


def test_repeated_fields_are_kept() -> None:
    form = FormData([("A", "1"), ("A", "2"), ("CallSid", "CA1")])

    assert checker().accepts_webhook(PATH, form, sign(PUBLIC + PATH, form))


@given(
    key=st.sampled_from([*FORM, "New"]),
    value=st.text(max_size=20),
    drop=st.booleans(),
)
def test_any_change_of_a_field_is_refused(key: str, value: str, drop: bool) -> None:
    signature = sign(PUBLIC + PATH, FORM)
    changed: dict[str, str] = {name: text for name, text in FORM.items() if not (drop and name == key)}
    if not drop:
        changed[key] = value
    if changed == FORM:
        return
    # Known and harmless: names and values are not delimited, so an empty field may vanish (Called="").
    canonical = "".join(name + changed[name] for name in sorted(changed))
    if canonical == "".join(name + FORM[name] for name in sorted(FORM)):
        return

    assert not checker().accepts_webhook(PATH, changed, signature)


@given(st.integers(0, 27), st.integers(1, 255))
def test_any_bit_flip_is_refused(position: int, flip: int) -> None:
    signature = sign(PUBLIC + PATH, FORM)
    flipped = signature[:position] + chr((ord(signature[position]) ^ flip) & 0x7F) + signature[position + 1 :]
    if flipped == signature:
        return

    assert not checker().accepts_webhook(PATH, FORM, flipped)


SHARED = {"webhooks_sharedkey_a": "first secret", "webhooks_sharedkey_b": "second secret"}


def signed_by(secret: str, algorithm: str = HMAC_SHA256) -> str:
    made: str = RequestValidator(secret).compute_signature(PUBLIC + PATH, FORM, algorithm)
    return made


@pytest.mark.parametrize(
    ("settings", "signature", "accepted"),
    [
        pytest.param("key=webhooks_sharedkey_a,algorithm=HMAC_SHA256", signed_by("first secret"), True, id="its-own"),
        pytest.param(" algorithm=x , key=webhooks_sharedkey_b", signed_by("second secret"), True, id="ours-to-choose"),
        pytest.param("key=webhooks_sharedkey_a", signed_by("second secret"), False, id="anothers"),
        pytest.param("key=webhooks_sharedkey_c", signed_by("first secret"), False, id="unknown"),
        pytest.param(
            "key=webhooks_sharedkey_a,algorithm=HMAC_SHA1", signed_by("first secret", HMAC_SHA1), False, id="weak"
        ),
        pytest.param("", signed_by(TOKEN, HMAC_SHA1), False, id="empty-settings"),
        pytest.param(None, signed_by(TOKEN, HMAC_SHA1), True, id="no-settings"),
        pytest.param(None, signed_by("first secret"), False, id="shared-without-settings"),
    ],
)
def test_a_shared_key_is_looked_up_in_our_configuration(settings: str | None, signature: str, accepted: bool) -> None:
    shared = SignatureChecker([TOKEN], PUBLIC, SHARED)

    assert shared.accepts_webhook(PATH, FORM, signature, settings=settings) is accepted


def test_secrets_are_not_in_the_repr() -> None:
    shown = repr(SignatureChecker(["token-of-the-account"], PUBLIC, SHARED))

    assert "token-of-the-account" not in shown
    assert "first secret" not in shown


def test_a_port_that_twilio_never_signs_is_refused() -> None:
    assert not checker().accepts_upgrade("/ws/cartesia", sign("wss://bridge.example.com:80/ws/cartesia"))
