"""Executes TwiML: fetches a document, does its verbs one after another, goes where they lead."""

from collections.abc import Callable, Coroutine
from typing import Any, Final, assert_never
from urllib.parse import urljoin, urlsplit

from archer_bridge.devkit.phone.account import new_sid
from archer_bridge.devkit.phone.errors import TwimlError
from archer_bridge.devkit.phone.handshake import Door
from archer_bridge.devkit.phone.interrupt import Goto, HangUp, Interrupt, Interrupted
from archer_bridge.devkit.phone.leg import CallStatus, Leg
from archer_bridge.devkit.phone.record import Record
from archer_bridge.devkit.phone.report import StreamReport
from archer_bridge.devkit.phone.speaker import Speaker
from archer_bridge.devkit.phone.stream import MediaStream
from archer_bridge.devkit.phone.tones import dial_tones
from archer_bridge.devkit.phone.twiml import Document, stream_problem
from archer_bridge.devkit.phone.verbs import (
    Connect,
    Dial,
    Hangup,
    Pause,
    Play,
    Redirect,
    Reject,
    Say,
    Stream,
    Verb,
)
from archer_bridge.devkit.phone.webhooks import NoDocument, Webhooks

CANNED_ERROR = "We are sorry. An application error has occurred. Goodbye."


class _End:
    """A verb's result: the call is over."""


_END: Final = _End()
_Next = Goto | _End | None
"""Where a verb leads: another document, the end, or the next verb."""

Spawn = Callable[[Coroutine[Any, Any, None]], object]
"""Runs something beside the call."""


class Executor:
    """Executes one call's documents until nothing is left."""

    def __init__(
        self,
        leg: Leg,
        record: Record,
        interrupt: Interrupt,
        *,
        speaker: Speaker,
        answer: Callable[[], None],
        spawn: Spawn,
    ) -> None:
        self._leg = leg
        self._record = record
        self._line = record.line
        self._clock = record.line.clock
        self._interrupt = interrupt
        self._speaker = speaker
        self._answer = answer
        self._spawn = spawn
        self.webhooks = Webhooks(leg, record)
        self.status: CallStatus = "ringing"
        """As Twilio names it; final when `run` has returned."""

    async def run(self) -> None:
        """Run the call to its end; the record says who ended it."""
        step: Goto | None = self._leg.first
        if self._leg.direction == "outbound-api":
            self._pick_up()
        while step is not None:
            try:
                step = await self._execute(step)
            except Interrupted:
                reason = self._interrupt.take()
                if isinstance(reason, HangUp):
                    self._record.ended(reason.by)
                    break
                step = reason
        if self.status in {"ringing", "in-progress"}:
            self.status = "completed" if self._clock.is_answered else "canceled"

    async def _execute(self, step: Goto) -> Goto | None:
        try:
            base, document = await self._fetch(step)
        except (NoDocument, TwimlError) as failure:
            self._pick_up()
            self._record.ended("error", str(failure))
            await self._speak(await self._speaker.speak(CANNED_ERROR))
            return None
        for verb in document.verbs:
            self._record.verb(type(verb).__name__)
            leads_to = await self._do(verb, base)
            if isinstance(leads_to, Goto):
                return leads_to
            if leads_to is _END:
                return None
        self._pick_up()
        self._record.ended("bridge", "no verb left")
        return None

    async def _fetch(self, step: Goto) -> tuple[str, Document]:
        if step.twiml:
            return "", self.webhooks.read(step.twiml)
        form = self._leg.form(self.status, step.extra)
        async with self._interrupt.scope():
            return await self.webhooks.document(step.purpose, step.url, step.method, form)

    async def _do(self, verb: Verb, base: str) -> _Next:
        if isinstance(verb, Reject) and not self._clock.is_answered:
            self.status = "busy" if verb.reason == "busy" else "no-answer"
            self._record.ended("rejected", verb.reason)
            return _END
        self._pick_up()
        match verb:
            case Say():
                await self._speak(await self._speaker.speak(verb.text) * verb.loop)
            case Play():
                await self._speak(dial_tones(verb.digits))
            case Pause():
                await self._interrupt.sleep(verb.length_s)
            case Connect():
                return await self._connect(verb, base)
            case Dial():
                return await self._dial(verb, base)
            case Redirect():
                return Goto(urljoin(base, verb.url), verb.method)
            case Hangup() | Reject():
                self._record.ended("bridge", type(verb).__name__)
                return _END
            case _:
                assert_never(verb)
        return None

    def _pick_up(self) -> None:
        if not self._clock.is_answered:
            self.status = "in-progress"
            self._answer()

    async def _speak(self, data: bytes) -> None:
        """Let the caller hear `data`; what an interrupt leaves unheard is taken off the tape."""
        start = max(self._clock.now(), len(self._line.heard))
        self._line.heard.write(start, data)
        try:
            async with self._interrupt.scope():
                await self._clock.until(start + len(data))
        except Interrupted:
            self._line.heard.cut(max(start, self._clock.now()))
            raise

    async def _connect(self, verb: Connect, base: str) -> _Next:
        url = _stream_url(base, verb.stream.url)
        problem = stream_problem(verb.stream, url)
        if problem is not None:
            code, detail = problem
            self._record.violation(code, detail)
            self._tell(verb.stream, new_sid("MZ"), "stream-error", f"{code}: {detail}")
        else:
            report = await self._stream(verb.stream, url)
            if self._interrupt.reason is not None:
                raise Interrupted
            if report.end.by == "tcp_lost" and self._leg.options.after_tcp_loss == "end":
                self._record.ended("error", report.end.error)
                return _END
        return Goto(urljoin(base, verb.action), verb.method, purpose="action") if verb.action else None

    async def _stream(self, noun: Stream, url: str) -> StreamReport:
        leg, options = self._leg, self._leg.options
        form = options.faults.signature_form
        door = Door(leg.account, url, leg.route, form, options.handshake_timeout_s)
        seed = options.seed + len(self._record.streams)
        stream = MediaStream(door, leg.call_sid, noun.parameters, record=self._record, faults=options.faults, seed=seed)
        report = await stream.run(self._interrupt, lambda: self._tell(noun, stream.stream_sid, "stream-started", ""))
        self._record.streams.append(report)
        failed = report.end.by in {"handshake", "tcp_lost"}
        self._tell(noun, stream.stream_sid, "stream-error" if failed else "stream-stopped", report.end.error)
        return report

    def _tell(self, noun: Stream, stream_sid: str, event: str, error: str) -> None:
        if noun.status_callback:
            fields = {"StreamSid": stream_sid, "StreamName": noun.name or stream_sid, "StreamEvent": event}
            if error:
                fields["StreamError"] = error
            self._spawn(self.webhooks.stream_event(noun.status_callback, noun.status_method, fields))

    async def _dial(self, verb: Dial, base: str) -> _Next:
        options = self._leg.options
        outcome = options.dial_outcome
        result = {"DialCallStatus": outcome, "DialCallSid": new_sid("CA"), "DialBridged": "false"}
        await self._interrupt.sleep(verb.timeout_s if outcome == "no-answer" else options.dial_ring_s)
        if outcome == "completed":
            ends_at = self._clock.now() + round(options.dial_duration_s * 8000)
            await self._speak(await self._speaker.speak(options.dial_greeting))
            async with self._interrupt.scope():
                await self._clock.until(ends_at)
            result |= {"DialBridged": "true", "DialCallDuration": str(round(options.dial_duration_s))}
        if not verb.action:
            return None
        return Goto(urljoin(base, verb.action), verb.method, purpose="dial-action", extra=result)


def _stream_url(base: str, url: str) -> str:
    """Make a stream's URL absolute; a relative one takes the document's host and wss for https."""
    if urlsplit(url).scheme:
        return url
    joined = urlsplit(urljoin(base, url))
    return joined._replace(scheme="wss" if joined.scheme == "https" else joined.scheme).geturl()
