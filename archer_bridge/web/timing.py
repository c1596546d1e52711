"""How long webhooks took to be answered, by route and status."""

import asyncio
from collections.abc import Awaitable

from starlette.types import ASGIApp, Message, Receive, Scope, Send

PREFIX = "/webhooks/twilio/"
ROUTES = frozenset({"incoming", "stream-ended", "status", "stream-status"})


class WebhookTimer:
    """Pure ASGI: measures to the first byte of the answer."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        """Pass the request on; what is no webhook is not measured, and keeps no coroutine of ours alive."""
        route = scope["path"].removeprefix(PREFIX) if scope["type"] == "http" else ""
        return self._measured(route, scope, receive, send) if route in ROUTES else self._app(scope, receive, send)

    async def _measured(self, route: str, scope: Scope, receive: Receive, send: Send) -> None:
        loop = asyncio.get_running_loop()
        began = loop.time()

        async def measured(message: Message) -> None:
            if message["type"] == "http.response.start":
                webhooks = scope["app"].state.service.vitals.webhooks
                webhooks[route, message["status"]].observe(loop.time() - began)
            await send(message)

        await self._app(scope, receive, measured)
