"""The one-time token that ties a media stream to the webhook that announced it.

`v1.<call sid>.<expiry>.<token id>.<key id>.<MAC>`: HMAC-SHA-256 over everything before the MAC and the account,
so that it is good for one call of one account until its expiry; the store spends its 128-bit id, so it is good once.
It rides in `<Parameter>`, because Twilio drops a query on a stream's URL. Pure: the time and the random id come in.
"""

import hashlib
import hmac
from base64 import urlsafe_b64encode
from collections.abc import Sequence
from dataclasses import dataclass

CLOCK_TOLERANCE_S = 30
"""Two machines' clocks may differ by this much."""


@dataclass(frozen=True, slots=True)
class TokenProblem(Exception):
    """Why a token is refused; `reason` is a stable word for counters and the security log."""

    reason: str

    def __str__(self) -> str:
        return self.reason


@dataclass(frozen=True, slots=True)
class TokenKeys:
    """Signs with the first secret, accepts every one of them (rotation)."""

    secrets: Sequence[str]

    def issue(self, call_sid: str, account_sid: str, *, expires_at: float, token_id: str) -> str:
        """Return a token; `expires_at` in seconds since the epoch, `token_id` at least 128 random bits."""
        secret = self.secrets[0]
        body = f"v1.{call_sid}.{int(expires_at)}.{token_id}.{_key_id(secret)}"
        return f"{body}.{_mac(secret, body, account_sid)}"

    def check(self, token: str, *, call_sid: str, account_sid: str, now: float) -> str:
        """Return the token's id, which must then be spent.

        Raises:
            TokenProblem: `malformed`, `unknown_key`, `forged`, `wrong_call` or `expired`.
        """
        parts = token.split(".") if token.isascii() and len(token) < 256 else []
        if len(parts) != 6 or parts[0] != "v1" or not parts[2].isdecimal() or len(parts[2]) > 12:
            raise TokenProblem("malformed")
        _, owner, expiry, token_id, key_id, mac = parts
        secret = next((secret for secret in self.secrets if _key_id(secret) == key_id), None)
        if secret is None:
            raise TokenProblem("unknown_key")
        if not hmac.compare_digest(mac, _mac(secret, token.rpartition(".")[0], account_sid)):
            raise TokenProblem("forged")
        if owner != call_sid:
            raise TokenProblem("wrong_call")
        if now > int(expiry) + CLOCK_TOLERANCE_S:
            raise TokenProblem("expired")
        return token_id


def _derived(secret: str) -> bytes:
    """A key of its own, so that a token never reveals anything about the account's auth token."""
    return hmac.digest(secret.encode(), b"archer-bridge stream token v1", "sha256")


def _key_id(secret: str) -> str:
    return hashlib.sha256(_derived(secret)).hexdigest()[:8]


def _mac(secret: str, body: str, account_sid: str) -> str:
    digest = hmac.digest(_derived(secret), f"{body}|{account_sid}".encode(), "sha256")
    return urlsafe_b64encode(digest).rstrip(b"=").decode()
