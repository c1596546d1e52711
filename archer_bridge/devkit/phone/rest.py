"""A stub of Twilio's REST API, enough for the official SDK: calls and incoming phone numbers.

Source: twilio.com/docs/voice/api/call-resource, .../phone-numbers/api/incomingphonenumber-resource.
"""

import base64
import binascii
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Any, cast

from starlette.applications import Starlette
from starlette.datastructures import FormData
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from archer_bridge.devkit.phone.account import Account
from archer_bridge.devkit.phone.exchange import Exchange, Number
from archer_bridge.devkit.phone.interrupt import Goto
from archer_bridge.devkit.phone.leg import API_VERSION, Leg
from archer_bridge.devkit.phone.options import ALL_STATUS_EVENTS, StatusCallback, StatusEvent

MAX_TWIML = 4000
"""Characters of `Twiml` in a request (twilio.com/docs/voice/api/call-resource)."""
_NUMBER_FIELDS = {
    "VoiceUrl": "voice_url",
    "VoiceMethod": "voice_method",
    "VoiceFallbackUrl": "voice_fallback_url",
    "StatusCallback": "status_callback",
}
_Handler = Callable[[Request], Awaitable[JSONResponse]]


class _Refused(Exception):
    """A request Twilio would refuse, with its HTTP status and error code."""

    def __init__(self, status: int, code: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code


def twilio_rest(account: Account, exchange: Exchange) -> Starlette:
    """Make the ASGI app; point the SDK at it with `client.api.base_url = "http://127.0.0.1:PORT"`."""
    stub = _Stub(account, exchange)
    base = f"/{API_VERSION}/Accounts/{account.account_sid}"
    routes = [
        ("/Calls.json", "POST", stub.create_call),
        ("/Calls.json", "GET", stub.list_calls),
        ("/Calls/{sid}.json", "POST", stub.update_call),
        ("/Calls/{sid}.json", "GET", stub.fetch_call),
        ("/IncomingPhoneNumbers.json", "GET", stub.list_numbers),
        ("/IncomingPhoneNumbers/{sid}.json", "POST", stub.update_number),
        ("/IncomingPhoneNumbers/{sid}.json", "GET", stub.fetch_number),
    ]
    return Starlette(
        routes=[Route(base + path, _guarded(account, handler), methods=[method]) for path, method, handler in routes],
        exception_handlers={404: _not_found},
    )


async def _not_found(request: Request, _error: Exception) -> JSONResponse:
    return _error_body(_Refused(404, 20404, f"The requested resource {request.url.path} was not found"))


def _error_body(refused: _Refused) -> JSONResponse:
    more_info = f"https://www.twilio.com/docs/errors/{refused.code}"
    body = {"code": refused.code, "message": str(refused), "more_info": more_info, "status": refused.status}
    return JSONResponse(body, status_code=refused.status)


def _guarded(account: Account, handler: _Handler) -> _Handler:
    """Check Basic authentication, and turn refusals into Twilio's error body."""

    async def guarded(request: Request) -> JSONResponse:
        try:
            if not account.accepts(*_credentials(request)):
                raise _Refused(401, 20003, "Authenticate")
            return await handler(request)
        except _Refused as refused:
            return _error_body(refused)

    return guarded


def _credentials(request: Request) -> tuple[str, str]:
    scheme, _, value = request.headers.get("authorization", "").partition(" ")
    try:
        user, _, password = base64.b64decode(value, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return "", ""
    return (user, password) if scheme.lower() == "basic" else ("", "")


class _Stub:
    """The handlers."""

    def __init__(self, account: Account, exchange: Exchange) -> None:
        self._account = account
        self._exchange = exchange

    async def create_call(self, request: Request) -> JSONResponse:
        form = await request.form()
        for name in ("To", "From"):
            if not form.get(name):
                raise _Refused(400, 21201 if name == "To" else 21213, f"No '{name}' number is specified")
        first = _target(form, "webhook")
        if first is None:
            raise _Refused(400, 21205, "Url parameter is required: exactly one of Url and Twiml")
        callback = str(form.get("StatusCallback", ""))
        wanted = cast("tuple[StatusEvent, ...]", tuple(form.getlist("StatusCallbackEvent"))) or ("completed",)
        if set(wanted) - set(ALL_STATUS_EVENTS):
            raise _Refused(400, 21626, f"StatusCallbackEvent {', '.join(wanted)}: expected {ALL_STATUS_EVENTS}")
        status_callback = StatusCallback(callback, wanted) if callback else None
        leg = self._exchange.place(str(form["From"]), str(form["To"]), first, status_callback=status_callback)
        return JSONResponse(self._call(leg, "queued"), status_code=201)

    async def list_calls(self, request: Request) -> JSONResponse:
        wanted = request.query_params
        found = [
            self._call(call.leg, call.status)
            for call in self._exchange.calls.values()
            if wanted.get("To") in (None, call.leg.to_number)
            and wanted.get("From") in (None, call.leg.from_number)
            and wanted.get("Status") in (None, call.status)
        ]
        return JSONResponse(_page("calls", found))

    async def fetch_call(self, request: Request) -> JSONResponse:
        call = self._exchange.calls.get(request.path_params["sid"])
        if call is None:
            raise _Refused(404, 20404, f"The requested resource {request.url.path} was not found")
        return JSONResponse(self._call(call.leg, call.status))

    async def update_call(self, request: Request) -> JSONResponse:
        form = await request.form()
        call = self._exchange.calls.get(request.path_params["sid"])
        if call is None:
            raise _Refused(404, 20404, f"The requested resource {request.url.path} was not found")
        if call.status not in {"queued", "ringing", "in-progress"}:
            raise _Refused(400, 21220, "Call is not in-progress. Cannot redirect.")
        status = form.get("Status")
        target = _target(form, "rest")
        if status in {"completed", "canceled"} and target is None:
            call.hang_up()
        elif status is None and target is not None:
            if call.status != "in-progress":
                raise _Refused(400, 21220, "Call is not in-progress. Cannot redirect.")
            call.redirect(target)
        else:
            raise _Refused(400, 21218, "expected Status=completed or canceled, or exactly one of Url and Twiml")
        return JSONResponse(self._call(call.leg, call.status))

    async def list_numbers(self, request: Request) -> JSONResponse:
        wanted = request.query_params.get("PhoneNumber")
        numbers = self._exchange.numbers.values()
        found = [self._number(n) for n in numbers if wanted in (None, n.phone_number)]
        return JSONResponse(_page("incoming_phone_numbers", found))

    async def fetch_number(self, request: Request) -> JSONResponse:
        return JSONResponse(self._number(self._find_number(request)))

    async def update_number(self, request: Request) -> JSONResponse:
        form = await request.form()
        number = self._find_number(request)
        changes = {ours: str(form[theirs]) for theirs, ours in _NUMBER_FIELDS.items() if theirs in form}
        return JSONResponse(self._number(self._exchange.update_number(number.sid, changes)))

    def _find_number(self, request: Request) -> Number:
        number = self._exchange.numbers.get(request.path_params["sid"])
        if number is None:
            raise _Refused(404, 20404, f"The requested resource {request.url.path} was not found")
        return number

    def _call(self, leg: Leg, status: str) -> dict[str, Any]:
        sid = self._account.account_sid
        return {
            "sid": leg.call_sid,
            "account_sid": sid,
            "api_version": API_VERSION,
            "from": leg.from_number,
            "to": leg.to_number,
            "direction": leg.direction,
            "status": status,
            "date_created": format_datetime(datetime.now(UTC)),
            "uri": f"/{API_VERSION}/Accounts/{sid}/Calls/{leg.call_sid}.json",
        }

    def _number(self, number: Number) -> dict[str, Any]:
        sid = self._account.account_sid
        fields = {ours: getattr(number, ours) for ours in _NUMBER_FIELDS.values()}
        uri = f"/{API_VERSION}/Accounts/{sid}/IncomingPhoneNumbers/{number.sid}.json"
        return {"sid": number.sid, "account_sid": sid, "phone_number": number.phone_number, "uri": uri, **fields}


def _target(form: FormData, purpose: str) -> Goto | None:
    url, twiml = str(form.get("Url", "")), str(form.get("Twiml", ""))
    if bool(url) == bool(twiml):
        return None
    if len(twiml) > MAX_TWIML:
        raise _Refused(400, 21219, f"Twiml has {len(twiml)} characters: expected at most {MAX_TWIML}")
    return Goto(url, str(form.get("Method", "POST")), twiml, purpose=purpose)


def _page(name: str, items: list[dict[str, Any]]) -> dict[str, Any]:
    return {name: items, "page": 0, "page_size": 50, "next_page_uri": None, "previous_page_uri": None}
