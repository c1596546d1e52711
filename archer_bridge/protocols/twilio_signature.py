"""Twilio's request signatures, made by the official validator and compared over every form of the URL it signs.

The URL is always the configured public one: never the Host header, never X-Forwarded-*. Facts: voice over HTTPS is
signed without user and port; the WebSocket upgrade is signed over the `wss://` URL with no parameters, and Twilio
advises to try a trailing slash; the official validator tries port 80 for wss and no slash, and raises on a missing
signature. https://www.twilio.com/docs/usage/security

With a SharedKey (https://www.twilio.com/docs/usage/webhooks/webhook-shared-keys) a second header names a key and an
algorithm. It chooses neither here: an id that is not in our configuration is refused, and every key there signs with
HMAC-SHA256, whatever the header says.
"""

import hmac
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import urlsplit

from twilio.request_validator import HMAC_SHA1, HMAC_SHA256, RequestValidator

SETTINGS_HEADER: Final = "x-twilio-webhooks-signature-settings"


@dataclass(frozen=True, slots=True)
class SignatureChecker:
    """Knows the account's tokens (the primary, and a secondary while rotating), shared keys and public address."""

    tokens: Sequence[str] = field(repr=False)
    public_url: str
    """https://host[:port][/prefix], without a trailing slash."""
    shared_keys: Mapping[str, str] = field(default_factory=dict, repr=False)
    """The id of each SharedKey and its secret."""

    def accepts_webhook(
        self, path_and_query: str, form: Any, signature: str | None, *, settings: str | None = None
    ) -> bool:
        """Whether a webhook is Twilio's.

        Args:
            path_and_query: the raw path and query as received, below the public URL.
            form: every form field, repeats kept (Starlette's FormData), or an empty mapping for GET.
            signature: the X-Twilio-Signature header, if there was one.
            settings: the X-Twilio-Webhooks-Signature-Settings header, if there was one.
        """
        url = self.public_url + path_and_query.split("#", 1)[0]
        return self._any(_port_forms(url), form, signature, settings)

    def accepts_upgrade(self, path: str, signature: str | None, *, settings: str | None = None) -> bool:
        """Whether a socket upgrade is Twilio's; `path` is below the public URL, without a query."""
        secure = self.public_url.startswith("https://")
        url = ("wss://" if secure else "ws://") + self.public_url.partition("://")[2] + path
        forms = [form for bare in _port_forms(url) for form in (bare, bare + "/")]
        return self._any(forms, {}, signature, settings)

    def _any(self, urls: Iterable[str], form: Any, signature: str | None, settings: str | None) -> bool:
        if not signature or not signature.isascii():
            return False
        candidates, given = list(urls), signature.encode()
        return any(
            hmac.compare_digest(_signature(secret, url, form, algorithm), given)
            for secret, algorithm in self._secrets(settings)
            if secret
            for url in candidates
        )

    def _secrets(self, settings: str | None) -> list[tuple[str, str]]:
        """Return what may have signed, each with the only algorithm it may have signed with."""
        if settings is None:
            return [(token, HMAC_SHA1) for token in self.tokens]
        named = [part.strip().removeprefix("key=") for part in settings.split(",") if part.strip().startswith("key=")]
        if len(named) != 1 or named[0] not in self.shared_keys:
            return []
        return [(self.shared_keys[named[0]], HMAC_SHA256)]


def _signature(secret: str, url: str, form: Any, algorithm: str) -> bytes:
    """Sign by the official validator, but for its guesses at ports: it would also take `wss://host:80`."""
    signature: str = RequestValidator(secret).compute_signature(url, form, algorithm)
    return signature.encode()


def _port_forms(url: str) -> list[str]:
    """Return the URL without and with its scheme's standard port, and as configured."""
    parts = urlsplit(url)
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
    standard = 443 if parts.scheme in {"https", "wss"} else 80
    rest = url.partition("://")[2]
    rest = rest[len(rest.split("/", 1)[0]) :]
    forms = {url: None, f"{parts.scheme}://{host}{rest}": None}
    if parts.port in {None, standard}:
        forms[f"{parts.scheme}://{host}:{standard}{rest}"] = None
    return list(forms)
