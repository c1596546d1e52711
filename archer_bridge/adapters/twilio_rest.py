"""Twilio's REST interface through the official SDK, as far as set-up needs it: the account and its numbers.

The SDK's plain client on a thread, not its asynchronous one, which ignores timeouts and uses what aiohttp 4 takes away.
https://www.twilio.com/docs/iam/api/account and
https://www.twilio.com/docs/phone-numbers/api/incomingphonenumber-resource
"""

import asyncio
import json
import logging
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeVar
from urllib.parse import urlsplit

import requests
from twilio.base.exceptions import TwilioException, TwilioRestException
from twilio.http.http_client import TwilioHttpClient
from twilio.rest import Client

from archer_bridge.errors import ArcherError

if TYPE_CHECKING:
    from archer_bridge.config_models import TwilioSettings

T = TypeVar("T")
VOICE_PATH = "/webhooks/twilio/incoming"
STATUS_PATH = "/webhooks/twilio/status"
NUMBER_SETTING = "twilio.phone_number (ARCHER_TWILIO__PHONE_NUMBER)"
MOST_NUMBERS = 200
TIMEOUT_S = 10.0
_LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})
_HINTS = {
    401: "; check TWILIO_ACCOUNT_SID with TWILIO_AUTH_TOKEN, or TWILIO_API_KEY with TWILIO_API_SECRET",
    403: "; these credentials may not do this",
    404: "; check TWILIO_ACCOUNT_SID and twilio.api_base_url",
    429: "; too many requests at once: try again",
}

_quiet = logging.getLogger("archer_bridge.twilio_sdk")
_quiet.setLevel(logging.CRITICAL)  # the SDK would log each request with its phone numbers


class TwilioApiError(ArcherError):
    """Twilio refused a request or did not answer; `status` is None when there was no answer."""

    code = "twilio_api_error"

    def __init__(self, request: str, detail: str, *, status: int | None = None, api_code: int | None = None) -> None:
        super().__init__(request, detail)
        self.request = request
        self.detail = detail
        self.status = status
        self.api_code = api_code

    def __str__(self) -> str:
        outcome = f" answered {self.status}" if self.status is not None else " failed"
        number = f" (error {self.api_code})" if self.api_code and self.api_code != self.status else ""
        return f"Twilio: {self.request}{outcome}: {self.detail}{number}{_HINTS.get(self.status or 0, '')}"


class NumberNotChosen(ArcherError):
    """Which of the account's numbers is meant is not clear; `owned` lists them."""

    code = "number_not_chosen"

    def __init__(self, wanted: str, owned: Sequence[str]) -> None:
        super().__init__(wanted, owned)
        self.wanted = wanted
        self.owned = tuple(owned)

    def __str__(self) -> str:
        listed = ", ".join(map(last_four, self.owned[:20]))
        if not self.owned:
            return "the Twilio account owns no phone number: buy one in the console (Phone Numbers > Buy a number)"
        if self.wanted:
            wanted = last_four(self.wanted)
            return f"{NUMBER_SETTING} is {wanted}, which this Twilio account does not own; it owns {listed}"
        return f"the Twilio account owns {len(self.owned)} numbers ({listed}): set {NUMBER_SETTING} to the one to use"


@dataclass(frozen=True, slots=True)
class TwilioAccount:
    """`status` is active, suspended or closed; `kind` is Trial or Full."""

    status: str
    kind: str


@dataclass(frozen=True, slots=True)
class PhoneNumber:
    """A number of the account and who answers its calls."""

    sid: str
    number: str
    voice_url: str = ""
    voice_method: str = "POST"
    status_callback: str = ""
    application_sid: str = ""
    """A TwiML application, whose own voice URL is used instead of this one."""
    trunk_sid: str = ""
    """A SIP trunk, which is used instead of any voice URL."""

    @property
    def handler(self) -> str:
        """What makes Twilio ignore `voice_url`; "" for nothing."""
        if self.trunk_sid:
            return f"SIP trunk {self.trunk_sid}"
        return f"TwiML application {self.application_sid}" if self.application_sid else ""

    def calls(self, public_url: str) -> bool:
        """Whether calls to this number reach the bridge at this address."""
        return (self.voice_url, self.voice_method, self.handler) == (voice_webhook(public_url), "POST", "")


class TwilioRest:
    """A connection for a few requests; use it as an async context manager."""

    def __init__(
        self, account_sid: str, user: str, secret: str, *, base_url: str, timeout_s: float = TIMEOUT_S
    ) -> None:
        """Prepare; raises ValueError for plain http beyond this machine, which would send the secret in the clear."""
        parts = urlsplit(base_url)
        if parts.scheme != "https" and not (parts.scheme == "http" and parts.hostname in _LOOPBACK):
            raise ValueError(f"twilio.api_base_url is {base_url!r}: it must be https (http on this machine only)")
        self._account_sid, self._host, self._timeout_s = account_sid, parts.netloc, timeout_s
        self._http = TwilioHttpClient(timeout=timeout_s, logger=_quiet)
        # An edge or region from the environment would rewrite the host that is configured here.
        environment = {"TWILIO_EDGE": "", "TWILIO_REGION": ""}
        self._client = Client(user, secret, account_sid, http_client=self._http, environment=environment)
        self._client.api.base_url = base_url.rstrip("/")

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._http.session.close()

    async def account(self) -> TwilioAccount:
        """Return the account's state; standard API keys may not ask, the auth token may."""
        found = await self._asked("fetching the account", self._client.api.accounts(self._account_sid).fetch)
        return TwilioAccount(_text(found.status), _text(found.type))

    async def numbers(self, number: str = "") -> list[PhoneNumber]:
        """Return the account's numbers, at most 200; `number` (E.164) asks for that one only."""
        query = {"phone_number": number} if number else {}
        ask = partial(self._client.incoming_phone_numbers.list, limit=MOST_NUMBERS, **query)
        found = await self._asked("listing phone numbers", ask)
        # Twilio's filter finds parts of numbers too, so the answer is compared.
        return [one for one in map(_phone_number, found) if number in ("", one.number)]

    async def find_number(self, wanted: str = "") -> PhoneNumber:
        """Return the number `wanted`, or the account's only one.

        Raises:
            NumberNotChosen: it is not owned, or none is named and there is not exactly one.
        """
        wanted = re.sub(r"[\s().-]", "", wanted)
        found = await self.numbers(wanted)
        if len(found) == 1:
            return found[0]
        owned = await self.numbers() if wanted else found
        raise NumberNotChosen(wanted, [one.number for one in owned])

    async def point(self, number: PhoneNumber, public_url: str) -> PhoneNumber:
        """Make the number's calls and their status go to the bridge; return the number as it is now."""
        change = partial(
            self._client.incoming_phone_numbers(number.sid).update,
            voice_url=voice_webhook(public_url),
            voice_method="POST",
            status_callback=public_url + STATUS_PATH,
            status_callback_method="POST",
        )
        return _phone_number(await self._asked(f"changing the number {last_four(number.number)}", change))

    async def _asked(self, request: str, ask: Callable[[], T]) -> T:
        """Run the SDK's call on a thread, and tell what can go wrong in a sentence."""
        try:
            async with asyncio.timeout(2 * self._timeout_s):  # the client's own bounds connecting, and each wait
                return await asyncio.to_thread(ask)
        except TwilioRestException as error:
            # str(error) is coloured for terminals; msg begins with the SDK's "Unable to fetch record: ".
            detail = str(error.msg).rpartition(" record: ")[2]
            raise TwilioApiError(request, detail, status=error.status, api_code=error.code) from error
        except (requests.Timeout, TimeoutError) as error:
            raise TwilioApiError(request, f"{self._host} did not answer in {self._timeout_s:g} s") from error
        except requests.exceptions.SSLError as error:
            raise TwilioApiError(request, f"no good TLS with {self._host}") from error
        except requests.ConnectionError as error:
            raise TwilioApiError(request, f"{self._host} cannot be reached") from error
        except TwilioException as error:
            raise _page_error(request, error) from error
        except (requests.RequestException, ValueError) as error:
            raise TwilioApiError(request, f"{self._host} gave no usable answer: {error}") from error


def open_twilio(twilio: "TwilioSettings", *, by_token: bool = False) -> TwilioRest:
    """Return a connection with the API key if there is one, else, or `by_token`, with the auth token."""
    if twilio.api_key and not by_token:
        user, secret = twilio.api_key, twilio.api_secret
    else:
        user, secret = twilio.account_sid, twilio.auth_token
    return TwilioRest(twilio.account_sid, user, secret.get_secret_value(), base_url=twilio.api_base_url)


def voice_webhook(public_url: str) -> str:
    """Return what a number's voice URL has to be."""
    return public_url + VOICE_PATH


def last_four(number: str) -> str:
    """Return a phone number that may be shown: `***0001`."""
    return f"***{number[-4:]}" if len(number) > 4 else "***"


def _page_error(request: str, error: TwilioException) -> TwilioApiError:
    """Understand how the SDK refuses a list: a message and the raw response, not a TwilioRestException."""
    response = error.args[1] if len(error.args) > 1 else None
    status, text = getattr(response, "status_code", None), str(getattr(response, "text", error))
    try:
        body = json.loads(text)
    except ValueError:
        body = None
    if not isinstance(body, dict):
        return TwilioApiError(request, text[:300], status=status)
    return TwilioApiError(request, str(body.get("message", text[:300])), status=status, api_code=body.get("code"))


def _phone_number(found: Any) -> PhoneNumber:
    return PhoneNumber(
        sid=_text(found.sid),
        number=_text(found.phone_number),
        voice_url=_text(found.voice_url),
        voice_method=_text(found.voice_method) or "POST",
        status_callback=_text(found.status_callback),
        application_sid=_text(found.voice_application_sid),
        trunk_sid=_text(found.trunk_sid),
    )


def _text(value: Any) -> str:
    return "" if value is None else str(getattr(value, "value", value))
