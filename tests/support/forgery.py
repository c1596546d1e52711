"""Requests that are not Twilio's: every way to be almost right, each from a genuine one."""

import base64
import hashlib
import hmac
import json
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from urllib.parse import urlencode

from twilio.request_validator import HMAC_SHA1, HMAC_SHA256, RequestValidator

from archer_bridge.devkit.phone import DEMO_ACCOUNT
from tests.support.world import PUBLIC

TOKEN = DEMO_ACCOUNT.auth_token
SHARED_ID, SHARED_SECRET = "webhooks_sharedkey_" + "a" * 26, "the shared secret of the tests"
SIGNATURE, SETTINGS = b"x-twilio-signature", b"x-twilio-webhooks-signature-settings"
FORM_TYPE = b"application/x-www-form-urlencoded"


@dataclass(frozen=True, slots=True)
class Forged:
    """One request as it goes over the wire."""

    path: str
    form: tuple[tuple[str, str], ...]
    headers: tuple[tuple[bytes, bytes], ...]
    query: str = ""
    content_type: bytes = FORM_TYPE
    raw: bytes | None = field(default=None)

    @property
    def body(self) -> bytes:
        """The body's bytes."""
        return self.raw if self.raw is not None else urlencode(self.form).encode()


def sign(
    path: str, form: Mapping[str, str], *, token: str = TOKEN, base: str = PUBLIC, algorithm: str = HMAC_SHA1
) -> bytes:
    """Return the header that Twilio would send for this address and form."""
    made: str = RequestValidator(token).compute_signature(base + path, dict(form), algorithm)
    return made.encode()


def genuine(path: str, form: Mapping[str, str], *, shared: bool = False) -> Forged:
    """Return Twilio's own request."""
    if shared:
        settings = f"key={SHARED_ID},algorithm=HMAC_SHA256".encode()
        signed = sign(path, form, token=SHARED_SECRET, algorithm=HMAC_SHA256)
        return Forged(path, tuple(form.items()), ((SIGNATURE, signed), (SETTINGS, settings)))
    return Forged(path, tuple(form.items()), ((SIGNATURE, sign(path, form)),))


Forge = Callable[[Forged, random.Random], Forged]


def _signature(change: Callable[[bytes, random.Random], bytes]) -> Forge:
    def forge(good: Forged, choose: random.Random) -> Forged:
        return replace(good, headers=((SIGNATURE, change(good.headers[0][1], choose)),))

    return forge


def _signed_as(
    path: str = "", *, token: str = TOKEN, base: str = PUBLIC, algorithm: str = HMAC_SHA1, form: bool = True
) -> Forge:
    def forge(good: Forged, choose: random.Random) -> Forged:
        address = path.replace("?", f"?{choose.randrange(10**6)}&", 1) if path.startswith("?") else path
        target = good.path + address if not path.startswith("/webhooks") else path
        signed = sign(target, dict(good.form) if form else {}, token=token, base=base, algorithm=algorithm)
        return replace(good, headers=((SIGNATURE, signed),))

    return forge


def _form(change: Callable[[list[tuple[str, str]], int, random.Random], None]) -> Forge:
    def forge(good: Forged, choose: random.Random) -> Forged:
        pairs = list(good.form)
        change(pairs, choose.randrange(len(pairs)), choose)
        return replace(good, form=tuple(pairs))

    return forge


def _settings(header: str, *, token: str = TOKEN, algorithm: str = HMAC_SHA256) -> Forge:
    def forge(good: Forged, choose: random.Random) -> Forged:
        signed = sign(good.path, dict(good.form), token=token, algorithm=algorithm)
        return replace(good, headers=((SIGNATURE, signed), (SETTINGS, header.encode())))

    return forge


def _flip(signed: bytes, choose: random.Random) -> bytes:
    digest = bytearray(base64.b64decode(signed))
    digest[choose.randrange(len(digest))] ^= 1 << choose.randrange(8)
    return base64.b64encode(bytes(digest))


def _letter(pairs: list[tuple[str, str]], at: int, choose: random.Random) -> None:
    name, value = pairs[at]
    pairs[at] = name, value + choose.choice("0aZ~é\u2028")


def _raw(make: Callable[[Forged], bytes], content_type: bytes) -> Forge:
    return lambda good, choose: replace(good, raw=make(good), content_type=content_type)


def _spoofed(good: Forged, choose: random.Random) -> Forged:
    """Signed for another host with a token of its own, which the proxy headers claim to be ours."""
    host = f"h{choose.randrange(10**6)}.example.org"
    signed = sign(good.path, dict(good.form), base=f"https://{host}")
    names = (b"host", b"x-forwarded-host", b"x-original-host", b"forwarded")
    return replace(good, headers=((SIGNATURE, signed), *((name, host.encode()) for name in names)))


def _raw_hex(signed: bytes, choose: random.Random) -> bytes:
    return base64.b64decode(signed).hex().encode()


WEBHOOKS: Mapping[str, Forge] = {
    "no header": lambda good, choose: replace(good, headers=()),
    "empty": _signature(lambda signed, choose: b""),
    "spaces": _signature(lambda signed, choose: b" " * choose.randrange(1, 9)),
    "the word None": _signature(lambda signed, choose: choose.choice([b"None", b"null", b"undefined", b"0", b"true"])),
    "raw bytes": _signature(lambda signed, choose: choose.randbytes(20).replace(b"\n", b"x").replace(b"\r", b"x")),
    "not ASCII": _signature(lambda signed, choose: signed[:9] + "é\u0131".encode() + signed[9:]),
    "Latin-1": _signature(lambda signed, choose: signed[:-1] + b"\xe9"),
    "truncated": _signature(lambda signed, choose: signed[: choose.randrange(1, len(signed))]),
    "extended": _signature(lambda signed, choose: signed + choose.choice([b"=", b"A", b" A", b",x"])),
    "very long": _signature(lambda signed, choose: signed * choose.randrange(2, 200)),
    "a flipped bit": _signature(_flip),
    "other case": _signature(lambda signed, choose: signed.swapcase()),
    "hex": _signature(_raw_hex),
    "reversed": _signature(lambda signed, choose: signed[::-1]),
    "random": _signature(lambda signed, choose: base64.b64encode(choose.randbytes(20))),
    "doubled": _signature(lambda signed, choose: signed + b"," + signed),
    "another token": lambda good, choose: _signed_as(token=f"{choose.getrandbits(128):032x}")(good, choose),
    "empty token": _signed_as(token=""),
    "the account's id as token": _signed_as(token=DEMO_ACCOUNT.account_sid),
    "SHA-256 with the account's token": _signed_as(algorithm=HMAC_SHA256),
    "http": _signed_as(base=PUBLIC.replace("https", "http")),
    "wss": _signed_as(base=PUBLIC.replace("https", "wss")),
    "another host": _signed_as(base="https://evil.example.org"),
    "our host as a prefix": _signed_as(base=PUBLIC + ".evil.example.org"),
    "another port": _signed_as(base=PUBLIC + ":8443"),
    "port 80": _signed_as(base=PUBLIC + ":80"),
    "user and password": _signed_as(base=PUBLIC.replace("//", "//user:pass@")),
    "another path": _signed_as("/webhooks/twilio/other"),
    "another route": _signed_as("/webhooks/twilio/stream-status/"),
    "a trailing slash": _signed_as("/"),
    "upper-case path": lambda good, choose: replace(
        good, headers=((SIGNATURE, sign(good.path.upper(), dict(good.form))),)
    ),
    "a query that was signed": _signed_as("?x=1"),
    "a query that was not": lambda good, choose: replace(good, query=f"x={choose.randrange(10**6)}"),
    "a fragment that was signed": _signed_as("#x"),
    "the form was not signed": _signed_as(form=False),
    "a field less": _form(lambda pairs, at, choose: pairs.pop(next(i for i, p in enumerate(pairs) if p[1]))),
    "a field more": _form(lambda pairs, at, choose: pairs.append((f"X{choose.randrange(10**6)}", "1"))),
    "another value": _form(_letter),
    "another name": _form(lambda pairs, at, choose: pairs.__setitem__(at, (pairs[at][0] + "_", pairs[at][1]))),
    "another case of a name": _form(
        lambda pairs, at, choose: pairs.__setitem__(at, (pairs[at][0].swapcase(), pairs[at][1]))
    ),
    "a field twice": _form(lambda pairs, at, choose: pairs.append((pairs[at][0], f"other{choose.randrange(99)}"))),
    "blanks in a value": _form(lambda pairs, at, choose: pairs.__setitem__(at, (pairs[at][0], f" {pairs[at][1]} "))),
    "values swapped": _form(
        lambda pairs, at, choose: pairs.__setitem__(
            slice(0, 2), [(pairs[0][0], pairs[1][1]), (pairs[1][0], pairs[0][1])]
        )
    ),
    "JSON": _raw(lambda good: json.dumps(dict(good.form)).encode(), b"application/json"),
    "JSON with its hash in the query": lambda good, choose: replace(
        good,
        raw=(text := json.dumps(dict(good.form)).encode()),
        content_type=b"application/json",
        query=f"bodySHA256={hashlib.sha256(text).hexdigest()}",
    ),
    "multipart": _raw(
        lambda good: b'--x\r\nContent-Disposition: form-data; name="CallSid"\r\n\r\n1\r\n--x--\r\n',
        b"multipart/form-data; boundary=x",
    ),
    "no body": _raw(lambda good: b"", FORM_TYPE),
    "bytes that are no text": _raw(lambda good: b"CallSid=%ff%fe%00&\xff\xfe=\x80", FORM_TYPE),
    "proxy headers": _spoofed,
    "an unknown shared key": _settings("key=webhooks_sharedkey_unknown,algorithm=HMAC_SHA256", token=SHARED_SECRET),
    "a shared key, no secret": _settings(f"key={SHARED_ID},algorithm=HMAC_SHA256", token=""),
    "a shared key, the account's token": _settings(f"key={SHARED_ID},algorithm=HMAC_SHA256"),
    "a shared key, SHA-1": _settings(f"key={SHARED_ID},algorithm=HMAC_SHA1", token=SHARED_SECRET, algorithm=HMAC_SHA1),
    "settings without a key": _settings("algorithm=HMAC_SHA1", algorithm=HMAC_SHA1),
    "two keys": _settings(f"key={SHARED_ID},key=x,algorithm=HMAC_SHA256", token=SHARED_SECRET),
    "the shared secret without settings": lambda good, choose: _signed_as(token=SHARED_SECRET, algorithm=HMAC_SHA256)(
        good, choose
    ),
    "an id of another kind": _settings("key=../../etc/passwd,algorithm=MD5", token=SHARED_SECRET),
}
"""Each is refused with 403, whatever the random numbers."""


def upgrade_signature(url: str, token: str = TOKEN) -> bytes:
    """Sign an upgrade."""
    made: str = RequestValidator(token).compute_signature(url, {})
    return made.encode()


_WSS = PUBLIC.replace("https", "wss") + "/ws/cartesia"
UPGRADES: Mapping[str, Callable[[random.Random], tuple[tuple[bytes, bytes], ...]]] = {
    "no header": lambda choose: (),
    "empty": lambda choose: ((SIGNATURE, b""),),
    "random": lambda choose: ((SIGNATURE, base64.b64encode(choose.randbytes(20))),),
    "raw bytes": lambda choose: ((SIGNATURE, choose.randbytes(24).replace(b"\n", b"x").replace(b"\r", b"x")),),
    "a flipped bit": lambda choose: ((SIGNATURE, _flip(upgrade_signature(_WSS), choose)),),
    "truncated": lambda choose: ((SIGNATURE, upgrade_signature(_WSS)[: choose.randrange(1, 28)]),),
    "another token": lambda choose: ((SIGNATURE, upgrade_signature(_WSS, f"{choose.getrandbits(128):x}")),),
    "https": lambda choose: ((SIGNATURE, upgrade_signature(_WSS.replace("wss", "https"))),),
    "ws": lambda choose: ((SIGNATURE, upgrade_signature(_WSS.replace("wss", "ws"))),),
    "another host": lambda choose: (
        (SIGNATURE, upgrade_signature(f"wss://h{choose.randrange(10**6)}.example.org/ws/cartesia")),
    ),
    "port 80": lambda choose: ((SIGNATURE, upgrade_signature(_WSS.replace("/ws/", ":80/ws/"))),),
    "another path": lambda choose: ((SIGNATURE, upgrade_signature(_WSS + f"{choose.randrange(10**6)}")),),
    "a query": lambda choose: ((SIGNATURE, upgrade_signature(_WSS + f"?token={choose.randrange(10**6)}")),),
    "a foreign origin": lambda choose: ((SIGNATURE, upgrade_signature(_WSS)), (b"origin", b"https://evil.example.org")),
    "a null origin": lambda choose: ((SIGNATURE, upgrade_signature(_WSS)), (b"origin", b"null")),
    "SHA-256": lambda choose: ((SIGNATURE, base64.b64encode(hmac.digest(TOKEN.encode(), _WSS.encode(), "sha256"))),),
    "an unknown shared key": lambda choose: (
        (SIGNATURE, upgrade_signature(_WSS)),
        (SETTINGS, b"key=x,algorithm=HMAC_SHA1"),
    ),
    "spoofed host": lambda choose: (
        (SIGNATURE, upgrade_signature("wss://evil.example.org/ws/cartesia")),
        (b"x-forwarded-host", b"evil.example.org"),
    ),
}
"""Each is refused before accept."""
