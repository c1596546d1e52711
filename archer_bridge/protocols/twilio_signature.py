"""Twilio's request signatures, checked with the official validator plus the forms it misses.

The URL is always the configured public one: never the Host header, never X-Forwarded-*. Facts: voice over HTTPS is
signed without user and port; the WebSocket upgrade is signed over the `wss://` URL with no parameters, and Twilio
advises to try a trailing slash; the official validator tries port 80 for wss and no slash, and raises on a missing
signature. https://www.twilio.com/docs/usage/security
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from twilio.request_validator import RequestValidator


@dataclass(frozen=True, slots=True)
class SignatureChecker:
    """Knows the account's tokens (the primary, and a secondary while rotating) and its public address."""

    tokens: Sequence[str]
    public_url: str
    """https://host[:port][/prefix], without a trailing slash."""

    def accepts_webhook(self, path_and_query: str, form: Any, signature: str | None) -> bool:
        """Whether a webhook is Twilio's.

        Args:
            path_and_query: the raw path and query as received, below the public URL.
            form: every form field, repeats kept (Starlette's FormData), or an empty mapping for GET.
            signature: the X-Twilio-Signature header, if there was one.
        """
        url = self.public_url + path_and_query.split("#", 1)[0]
        return self._any(_port_forms(url), form, signature)

    def accepts_upgrade(self, path: str, signature: str | None) -> bool:
        """Whether a socket upgrade is Twilio's; `path` is below the public URL, without a query."""
        secure = self.public_url.startswith("https://")
        url = ("wss://" if secure else "ws://") + self.public_url.partition("://")[2] + path
        forms = [form for bare in _port_forms(url) for form in (bare, bare + "/")]
        return self._any(forms, {}, signature)

    def _any(self, urls: Iterable[str], form: Mapping[str, Any], signature: str | None) -> bool:
        if not signature or not signature.isascii():
            return False
        candidates = list(urls)
        for token in self.tokens:
            if token:
                validator = RequestValidator(token)
                if any(validator.validate(url, form, signature) for url in candidates):
                    return True
        return False


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
