"""Signed requests as Twilio makes them, for tests of single routes."""

import ssl
from typing import Any

import httpx
from twilio.request_validator import RequestValidator

from archer_bridge.devkit.phone import DEMO_ACCOUNT
from tests.support.world import BRIDGE_NUMBER, DANA, PUBLIC, World

CALL_SID = "CA" + "1" * 32
NO_TLS = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
"""For plain http: reading the machine's certificates takes a fifth of a second a client."""


def voice_form(**changes: str) -> dict[str, str]:
    """Return an incoming call's form."""
    form = {
        "CallSid": CALL_SID,
        "AccountSid": DEMO_ACCOUNT.account_sid,
        "From": DANA,
        "To": BRIDGE_NUMBER,
        "CallStatus": "ringing",
        "Direction": "inbound",
        "ApiVersion": "2010-04-01",
    }
    return {**form, **changes}


def signature(path: str, form: dict[str, str], token: str = DEMO_ACCOUNT.auth_token) -> str:
    """Sign as Twilio does, over the public URL."""
    made: str = RequestValidator(token).compute_signature(PUBLIC + path, form)
    return made


async def post(
    here: World, path: str, form: dict[str, str], headers: dict[str, str] | None = None, **more: Any
) -> httpx.Response:
    """Post a form with a good signature, unless `headers` are given."""
    if headers is None:
        headers = {"X-Twilio-Signature": signature(path, form)}
    async with httpx.AsyncClient(base_url=here.bridge.http_url, trust_env=False, verify=NO_TLS, timeout=None) as client:
        return await client.post(path, data=form, headers=headers, **more)
