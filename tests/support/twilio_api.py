"""The simulated Twilio REST interface, completed by the account resource."""

import base64

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Mount, Route

from archer_bridge.devkit.phone import DEMO_ACCOUNT, Account, Exchange, twilio_rest


def twilio_api(
    exchange: Exchange, *, account: Account = DEMO_ACCOUNT, status: str = "active", kind: str = "Full"
) -> Starlette:
    """Make the ASGI app; an API key may not read the account, as Twilio's standard keys may not."""

    async def fetched(request: Request) -> JSONResponse:
        user, _, secret = base64.b64decode(request.headers["authorization"].partition(" ")[2]).decode().partition(":")
        if (user, secret) != (account.account_sid, account.auth_token):
            return JSONResponse({"code": 20003, "message": "Authenticate", "status": 401}, 401)
        return JSONResponse({"sid": account.account_sid, "status": status, "type": kind, "friendly_name": "Test"})

    path = f"/2010-04-01/Accounts/{account.account_sid}.json"
    return Starlette(routes=[Route(path, fetched), Mount("/", twilio_rest(account, exchange))])
