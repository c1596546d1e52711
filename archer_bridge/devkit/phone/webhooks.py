"""Fetching documents and posting call progress: what the bridge's HTTP side is asked, and what is made of it."""

import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import format_datetime
from urllib.parse import urlsplit

from archer_bridge.devkit.phone.account import new_sid
from archer_bridge.devkit.phone.errors import PhoneError, RequestFailed, TwimlError
from archer_bridge.devkit.phone.http import Response
from archer_bridge.devkit.phone.leg import CallStatus, Leg
from archer_bridge.devkit.phone.options import StatusEvent
from archer_bridge.devkit.phone.record import Record
from archer_bridge.devkit.phone.requester import Requester
from archer_bridge.devkit.phone.twiml import Document, read_twiml
from archer_bridge.devkit.phone.verbs import Say

_XML_TYPES = {"text/xml", "application/xml", "text/html"}


class NoDocument(PhoneError):
    """There is nothing to execute: the bridge failed, and its fallback too (or it has none)."""

    def __init__(self, code: int, detail: str) -> None:
        super().__init__(code, detail)
        self.code = code
        self.detail = detail

    def __str__(self) -> str:
        return self.detail


class Webhooks:
    """The requests of one call."""

    def __init__(self, leg: Leg, record: Record) -> None:
        self._leg = leg
        self._record = record
        self._requester = Requester(leg.account.auth_token, leg.route, record)
        self._sequence = 0

    async def document(self, purpose: str, url: str, method: str, form: Mapping[str, str]) -> tuple[str, Document]:
        """Ask for TwiML; return the URL that answered (the base of relative URLs) and the document.

        Raises:
            NoDocument: neither `url` nor the fallback URL gave a usable document.
        """
        try:
            return url, await self._ask(purpose, url, method, form)
        except (RequestFailed, TwimlError) as problem:
            failure = problem
        self._record.violation(failure.code, str(failure))
        fallback = self._leg.fallback_url
        if not fallback:
            raise NoDocument(failure.code, str(failure)) from failure
        form = {**form, "ErrorCode": str(failure.code), "ErrorUrl": url}
        try:
            return fallback, await self._ask("fallback", fallback, "POST", form)
        except (RequestFailed, TwimlError) as problem:
            self._record.violation(problem.code, str(problem))
            raise NoDocument(problem.code, str(problem)) from problem

    def read(self, text: str | bytes) -> Document:
        """Parse TwiML and note its warnings.

        Raises:
            TwimlError: it cannot be executed.
        """
        self._record.twiml.append(text if isinstance(text, str) else text.decode("utf-8", "replace"))
        document = read_twiml(text)
        for code, detail in document.warnings:
            self._record.violation(code, detail)
        return document

    async def status(self, event: StatusEvent, status: CallStatus, duration_ms: float) -> None:
        """Post call progress, if it is wanted; best effort, failures are only noted."""
        callback = self._leg.status_callback
        if callback is None or event not in callback.events:
            return
        extra = {
            "CallbackSource": "call-progress-events",
            "SequenceNumber": str(self._sequence),
            "Timestamp": format_datetime(datetime.now(UTC)),
        }
        self._sequence += 1
        if event == "completed":
            seconds = round(duration_ms / 1000)
            extra |= {"CallDuration": str(seconds), "Duration": str(-(-seconds // 60)), "SipResponseCode": "200"}
        form = self._leg.form(status, extra)
        self._record.statuses.append(form)
        await self._tell("status", callback.url, "POST", form)

    async def stream_event(self, url: str, method: str, fields: Mapping[str, str]) -> None:
        """Post a stream event to `<Stream statusCallback>`; `Timestamp` has nine decimals, as Twilio's."""
        stamp = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f000Z")
        known = {"AccountSid": self._leg.account.account_sid, "CallSid": self._leg.call_sid, "Timestamp": stamp}
        form = {**known, **fields}
        self._record.stream_events.append(form)
        await self._tell("stream-status", url, method, form)

    async def _ask(self, purpose: str, url: str, method: str, form: Mapping[str, str]) -> Document:
        token = new_sid("")
        if purpose == "webhook" and self._leg.options.duplicate_webhook:
            async with asyncio.TaskGroup() as group:
                first = group.create_task(self._attempt(purpose, url, form, (method, token)), name="webhook")
                again = group.create_task(self._attempt("duplicate", url, form, (method, token)), name="duplicate")
            await again
            outcome = first.result()
        else:
            outcome = await self._attempt(purpose, url, form, (method, token))
        if isinstance(outcome, RequestFailed):
            raise outcome
        return self._interpret(outcome)

    async def _attempt(
        self, purpose: str, url: str, form: Mapping[str, str], how: tuple[str, str]
    ) -> Response | RequestFailed:
        """Return the failure instead of raising it, so that a twin request is not cancelled with it."""
        try:
            return await self._requester.send(purpose, url, form, method=how[0], token=how[1])
        except RequestFailed as failure:
            return failure

    def _interpret(self, response: Response) -> Document:
        kind = response.content_type
        if kind in _XML_TYPES:
            return self.read(response.body)
        if kind == "text/plain":
            try:
                return self.read(response.body)
            except TwimlError:
                text = response.body.decode("utf-8", "replace").strip()
                self._record.violation(12300, "text/plain that is not TwiML is read aloud: expected text/xml")
                return Document((Say(text),) if text else (), ())
        raise TwimlError(12300, f"Content-Type {kind!r}: expected text/xml or application/xml")

    async def _tell(self, purpose: str, url: str, method: str, form: Mapping[str, str]) -> None:
        if urlsplit(url).scheme not in {"http", "https"} or "_" in (urlsplit(url).hostname or "_"):
            self._record.violation(11200, f"{purpose} URL {url!r}: expected http(s) and a hostname without underscore")
            return
        try:
            response = await self._requester.send(purpose, url, form, method=method)
        except RequestFailed as failure:
            self._record.violation(failure.code, str(failure))
            return
        if response.body and response.content_type not in _XML_TYPES:
            self._record.violation(
                12300, f"{purpose}: Content-Type {response.content_type!r}: answer 204 or empty TwiML"
            )
