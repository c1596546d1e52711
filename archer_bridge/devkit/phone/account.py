"""The simulated account: what Twilio and the bridge both know."""

import re
import secrets
from dataclasses import dataclass, field

_ACCOUNT_SID = re.compile(r"AC[0-9a-f]{32}")


@dataclass(frozen=True, slots=True)
class Account:
    """A Twilio account: the token signs webhooks, token or API key authorise REST calls."""

    account_sid: str
    auth_token: str = field(repr=False)
    api_key: str = "SK00000000000000000000000000000001"
    api_secret: str = field(default="demo-api-secret", repr=False)

    def __post_init__(self) -> None:
        if not _ACCOUNT_SID.fullmatch(self.account_sid):
            raise ValueError(f"account_sid {self.account_sid!r}: expected AC and 32 lower-case hex digits")
        if not self.auth_token:
            raise ValueError("auth_token is empty: the bridge and the phone need the same one to sign and check")

    def accepts(self, username: str, password: str) -> bool:
        """Whether REST credentials are right: AC with the auth token, or SK with its secret."""
        pairs = ((self.account_sid, self.auth_token), (self.api_key, self.api_secret))
        return any(
            secrets.compare_digest(username.encode(), user.encode())
            and secrets.compare_digest(password.encode(), secret.encode())
            for user, secret in pairs
        )


DEMO_ACCOUNT = Account("AC00000000000000000000000000000001", "demo-auth-token-of-the-simulated-phone")


def new_sid(prefix: str) -> str:
    """Make an identifier as Twilio does: two letters (CA, MZ, PN) and 32 hex digits."""
    return prefix + secrets.token_hex(16)
