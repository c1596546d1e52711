"""The media stream's socket: proves itself twice, then becomes a call.

Before `accept`: Twilio's signature over our configured address. Within seconds of it: a `start` with a one-time token
that our own webhook issued for this call and account. Nothing vendor-side happens before that, and a refused stream
changes no call's record.
"""

import asyncio
import time
from collections.abc import Awaitable
from typing import Any, TypeVar

import structlog
from starlette.applications import Starlette
from starlette.routing import WebSocketRoute
from starlette.types import ASGIApp, Receive, Scope, Send
from starlette.websockets import WebSocket

from archer_bridge.adapters.fast_server import CallerSocket, caller_socket
from archer_bridge.calls.before import before_this_stream, unread
from archer_bridge.calls.record_keeper import Verdict
from archer_bridge.engines.archer import CallContext
from archer_bridge.errors import StoreError
from archer_bridge.log import is_debug
from archer_bridge.log_raw import ShownSocket
from archer_bridge.models import CallEnd, CallRow, Outcome
from archer_bridge.ports import TextSocket
from archer_bridge.protocols.frames import BadFrame
from archer_bridge.protocols.stream_token import TokenProblem
from archer_bridge.protocols.twilio_media import MediaStream, Start
from archer_bridge.protocols.twilio_signature import SETTINGS_HEADER
from archer_bridge.web.context import Service

log = structlog.get_logger(__name__)

PATH = "/ws/cartesia"
MESSAGES_BEFORE_START = 10
UNAUTHENTICATED_LIMIT = 256
REFUSED = 1008
CLAIM_WITHIN_S, READ_WITHIN_S = 4.0, 1.0
"""Of the record: nothing watches over the caller's silence before the session begins."""
T = TypeVar("T")


async def media_stream(websocket: WebSocket) -> None:
    """Carry one Twilio media stream from its upgrade to its end."""
    service: Service = websocket.app.state.service
    signature = websocket.headers.get("x-twilio-signature")
    if not _is_own_origin(service, websocket.headers.get("origin")):
        service.gate.refuse("socket", "origin")
        await websocket.close()
        return
    genuine = service.checker.accepts_upgrade(PATH, signature, settings=websocket.headers.get(SETTINGS_HEADER))
    if not service.insecure_dev and not genuine:
        service.gate.refuse("socket", "signature" if signature else "unsigned")
        await websocket.close()  # before accept: HTTP 403
        return
    if service.unauthenticated >= UNAUTHENTICATED_LIMIT:
        service.gate.refuse("socket", "too_many")
        await websocket.close()
        return
    await websocket.accept()
    log.info("twilio_websocket_accepted_for_cartesia")
    socket, stream = caller_socket(websocket), MediaStream()
    service.unauthenticated += 1
    try:
        row = await _prove(service, socket, stream)
    finally:
        service.unauthenticated -= 1
    if row is None:
        await socket.close(REFUSED, "refused")
        return
    try:
        await _call(service, row, socket, stream)
    finally:
        service.left(row.call_sid)


def _is_own_origin(service: Service, origin: str | None) -> bool:
    """Twilio sends no Origin; a browser sends its page's, and only our own could have business here."""
    return origin is None or origin.rstrip("/").lower() == service.public_url.lower()


async def _call(service: Service, row: CallRow, socket: CallerSocket, stream: MediaStream) -> None:
    customer = before = None
    if row.customer_id:
        customer = await _read(service.store.get_customer(row.customer_id), row, None)
    if row.is_resumed:
        before = await _read(before_this_stream(service.store, row), row, unread(row))
    caller = _shown(socket, row.call_sid) if is_debug() else socket
    context = CallContext(call=row, customer=customer, stream=stream, caller=caller, tool_calls=[], before=before)
    structlog.contextvars.bind_contextvars(
        call_sid=row.call_sid, stream_sid=stream.stream_sid
    )  # of this connection's task
    try:
        await service.agent.handle_call(context)
    except Exception:  # no session came of it: the row, which is ours by now, has its end all the same
        end = CallEnd(Outcome.INTERNAL_ERROR, "no session could be made")
        service.agent.keeper.write(row.call_sid, Verdict(end, stream.stream_sid))
        raise


async def _read(work: Awaitable[T], row: CallRow, otherwise: T) -> T:
    """Return what the record says; one that is away or slow costs what it knows, for the caller waits in silence."""
    try:
        async with asyncio.timeout(READ_WITHIN_S):
            return await work
    except (StoreError, TimeoutError) as error:
        log.error("record_failed", call_sid=row.call_sid, error=str(error) or f"no answer in {READ_WITHIN_S:g} s")
        return otherwise


def _shown(socket: CallerSocket, call_sid: str) -> TextSocket:
    def show(direction: str, message: Any) -> None:
        log.debug("twilio_message_raw", call_sid=call_sid, direction=direction, message=message)

    return ShownSocket(socket, show)


async def _prove(service: Service, socket: CallerSocket, stream: MediaStream) -> CallRow | None:
    """Return the call that this stream belongs to, its place in `live` reserved; None when it is refused."""
    try:
        async with asyncio.timeout(service.start_timeout_s):
            start = await _start(socket, stream)
    except TimeoutError:
        service.gate.refuse("stream", "no_start")
        return None
    if start is None:
        service.gate.refuse("stream", "no_start")
        return None
    call_sid = start.start.call_sid
    try:
        token_id = service.keys.check(
            start.start.custom_parameters.get("token", ""),
            call_sid=call_sid,
            account_sid=start.start.account_sid,
            now=time.time(),
        )
    except TokenProblem as problem:
        service.gate.refuse("stream", problem.reason)
        return None
    if not service.live.reserve(call_sid):
        service.gate.refuse("stream", "second_stream", call_sid=call_sid)
        return None
    row = None
    try:
        async with asyncio.timeout(CLAIM_WITHIN_S):
            row = await service.store.claim_stream(call_sid, stream.stream_sid, token_id, service.owner_id)
    except (StoreError, TimeoutError) as error:
        log.error("record_failed", call_sid=call_sid, error=str(error) or f"no answer in {CLAIM_WITHIN_S:g} s")
    finally:
        if row is None:  # cancelled, too: the place is free again
            service.live.release(call_sid)
    if row is None:
        service.gate.refuse("stream", "token_spent", call_sid=call_sid)
    return row


async def _start(socket: CallerSocket, stream: MediaStream) -> Start | None:
    """Return the stream's `start`; None when the socket closes or sends anything else for too long."""
    for _ in range(MESSAGES_BEFORE_START):
        message = await socket.receive()
        if message is None:
            return None
        try:
            event = stream.receive(message)
        except BadFrame as error:
            log.debug("twilio_bad_frame", reason=error.reason)
            continue
        if isinstance(event, Start):
            return event
    return None


class _Endpoint:
    """`media_stream` as plain ASGI: Starlette's wrapping of a function costs two kilobytes a socket, proved or not.

    For the same reason no coroutine is made on the way that only awaits another one.
    """

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        return media_stream(WebSocket(scope, receive, send))


def straight(app: Starlette) -> ASGIApp:
    """Return `app` with a straight way for the streams, which need none of its middleware.

    Its coroutines, seven on the way to a route, would wait there as long as a call lasts: 4 KiB each call.
    """

    def serve(scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        if scope["type"] != "websocket" or scope["path"] != PATH:
            return app(scope, receive, send)
        scope["app"] = app
        return media_stream(WebSocket(scope, receive, send))

    return serve


ROUTES = [WebSocketRoute(PATH, _Endpoint(), name="media_stream")]
