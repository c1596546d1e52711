"""One media stream, from the socket's upgrade to its end (twilio.com/docs/voice/media-streams)."""

import asyncio
import random
from collections.abc import Callable, Mapping
from typing import Literal

from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed

from archer_bridge.devkit.phone.account import new_sid
from archer_bridge.devkit.phone.handshake import CLOSE_TIMEOUT_S, Door, HandshakeFailed, open_socket, reset
from archer_bridge.devkit.phone.interrupt import HangUp, Interrupt, Interrupted
from archer_bridge.devkit.phone.options import StreamFaults
from archer_bridge.devkit.phone.outbox import Outbox
from archer_bridge.devkit.phone.playback import Mark, Playback
from archer_bridge.devkit.phone.record import Record
from archer_bridge.devkit.phone.report import MarkTrace, StreamEnd, StreamReport
from archer_bridge.devkit.phone.tape import SAMPLES_PER_MS
from archer_bridge.devkit.phone.trouble import Trouble
from archer_bridge.devkit.phone.wire import Bad, Clear, Composer, MarkSent, Media, read_message

OVERFLOW = 31930
_PROTOCOL_CLOSE_CODES = {1002, 1007, 1009}


class MediaStream:
    """Runs one stream; everything heard goes onto the line's tape."""

    def __init__(
        self,
        door: Door,
        call_sid: str,
        parameters: Mapping[str, str],
        *,
        record: Record,
        faults: StreamFaults,
        seed: int,
    ) -> None:
        self.stream_sid = new_sid("MZ")
        self._door = door
        self._call_sid = call_sid
        self._parameters = parameters
        self._record = record
        self._line = record.line
        self._clock = record.line.clock
        self._faults = faults
        self._rng = random.Random(seed)
        self._playback = Playback(self._line.heard)
        composer = Composer(door.account.account_sid, call_sid, self.stream_sid)
        self._outbox = Outbox(composer, self._line, faults, self._rng)
        self._marks: list[MarkTrace] = []
        self._clears_ms: list[float] = []
        self._received_bytes = 0
        self._timer: asyncio.TimerHandle | None = None
        self._trouble = Trouble(
            faults,
            door,
            self._outbox,
            lambda: Composer(door.account.account_sid, call_sid, new_sid("MZ")).start(parameters, faults.media_format),
        )

    async def run(self, interrupt: Interrupt, started: Callable[[], None]) -> StreamReport:
        """Open the socket and stay until either side ends the stream.

        `started` is called once the socket is open. An interrupt is not taken here: the stream says `stop`, closes,
        and leaves the reason for the caller.
        """
        try:
            async with interrupt.scope():
                socket = await open_socket(self._door)
        except Interrupted:
            return self._report(_by(interrupt))
        except HandshakeFailed as failure:
            return self._report(StreamEnd("handshake", None, failure.code, str(failure)))
        started()
        self._line.plug = self
        self._line.emit("stream", "started")
        try:
            end = await self._talk(socket, interrupt)
        finally:
            self._line.plug = None
            if self._timer is not None:
                self._timer.cancel()
        self.advance()
        self._line.emit("stream", "stopped")
        return self._report(end)

    def advance(self) -> None:
        """Play up to now and echo the marks that were reached."""
        for mark in self._playback.advance(self._clock.now()):
            self._echo(mark, "played")
        due = self._playback.next_due
        if due is not None:
            if self._timer is not None:
                self._timer.cancel()
            loop = asyncio.get_running_loop()
            self._timer = loop.call_at(self._clock.time_of(due), self.advance)

    def digit(self, digit: str) -> bool:
        """Send a key the caller pressed; False before `start`, when nobody can get it."""
        if self._outbox.start_sample is None:
            return False
        self._outbox.digit(digit)
        return True

    async def _talk(self, socket: ClientConnection, interrupt: Interrupt) -> StreamEnd:
        async with asyncio.TaskGroup() as group:
            pacer = group.create_task(self._send(), name="stream-pacer")
            others = [
                pacer,
                group.create_task(self._outbox.write(socket), name="stream-writer"),
                *(group.create_task(fault, name="stream-fault") for fault in self._trouble.make(socket)),
            ]
            reader = group.create_task(self._read(socket), name="stream-reader")
            stopper = group.create_task(interrupt.wait(), name="stream-stopper")
            await asyncio.wait({reader, stopper}, return_when=asyncio.FIRST_COMPLETED)
            if not reader.done():
                self.advance()
                pacer.cancel()
                await self._say_goodbye(socket)
                reader.cancel()
                end = _by(interrupt)
            else:
                end = reader.result()
            for task in (*others, stopper):
                task.cancel()
        return end

    async def _send(self) -> None:
        if await self._outbox.start(self._parameters):
            await self._outbox.pace()

    async def _say_goodbye(self, socket: ClientConnection) -> None:
        if self._faults.abrupt_end:
            reset(socket)
            return
        try:
            async with asyncio.timeout(CLOSE_TIMEOUT_S):
                if not self._faults.no_stop:
                    await self._outbox.stop()
                self._outbox.cut()
                await socket.close()
        except TimeoutError:  # a bridge that does not read is not waited for
            socket.transport.abort()

    async def _read(self, socket: ClientConnection) -> StreamEnd:
        try:
            while True:
                self._handle(await socket.recv())
        except ConnectionClosed as closed:
            if self._trouble.end is not None:
                return self._trouble.end
            if closed.rcvd is not None:
                detail = f"31921: the server closed the stream with {closed.rcvd.code} {closed.rcvd.reason}".rstrip()
                return StreamEnd("server_closed", closed.rcvd.code, 31921, detail)
            if closed.sent is not None and closed.sent.code in _PROTOCOL_CLOSE_CODES:
                detail = f"31924: broken WebSocket framing: {closed.sent.reason}"
                return StreamEnd("tcp_lost", closed.sent.code, 31924, detail)
            return StreamEnd("tcp_lost", None, 31903, "31903: the connection was lost without a close frame")

    def _handle(self, frame: str | bytes) -> None:
        self.advance()
        now = self._clock.now()
        message = read_message(frame, self.stream_sid)
        if self._outbox.start_sample is None and not isinstance(message, Bad):
            message = Bad(31951, "a message before `start` was sent")
        match message:
            case Media(data, complaint):
                self._received_bytes += len(data)
                if complaint:
                    self._record.violation(31951, complaint)
                self._playback.media(now, data)
            case MarkSent(name):
                self._playback.mark(now, name)
            case Clear():
                self._clears_ms.append(self._clock.now_ms())
                self._line.emit("cleared")
                for mark in self._playback.clear(now):
                    self._echo(mark, "flushed")
            case Bad(code, detail):
                self._record.violation(code, detail)
        self.advance()

    def _echo(self, mark: Mark, why: Literal["played", "flushed"]) -> None:
        number = len(self._marks) + 1
        sent_ms = mark.sent / SAMPLES_PER_MS
        chance = self._faults.lost_mark_probability
        if number in self._faults.lost_marks or (chance and self._rng.random() < chance):
            self._marks.append(MarkTrace(mark.name, sent_ms, None, why))
            return
        delay_ms = self._faults.mark_echo_delay_ms
        self._marks.append(MarkTrace(mark.name, sent_ms, self._clock.now_ms() + delay_ms, why))
        self._line.emit("mark", mark.name)
        if delay_ms:
            asyncio.get_running_loop().call_later(delay_ms / 1000, self._outbox.mark, mark.name)
        else:
            self._outbox.mark(mark.name)

    def _report(self, end: StreamEnd) -> StreamReport:
        playback, outbox = self._playback, self._outbox
        is_ours = end is self._trouble.end or self._faults.signature_form in {"wrong", "missing"}
        if end.by in {"handshake", "tcp_lost"} and not is_ours:
            self._record.violation(end.error_code or 0, end.error)
        if outbox.overflowed:
            self._record.violation(OVERFLOW, f"{outbox.overflowed} frames of caller audio discarded: read faster")
        marks = [MarkTrace(mark.name, mark.sent / SAMPLES_PER_MS, None, "unplayed") for mark in playback.stop()]
        now_ms = self._clock.now_ms()
        start = outbox.start_sample
        return StreamReport(
            stream_sid=self.stream_sid,
            url=self._door.url,
            start_ms=now_ms if start is None else start / SAMPLES_PER_MS,
            end_ms=now_ms,
            end=end,
            parameters=dict(self._parameters),
            played=playback.segments,
            marks=(*self._marks, *marks),
            clears_ms=tuple(self._clears_ms),
            flushed_bytes=playback.flushed_bytes,
            unplayed_bytes=playback.unplayed_bytes,
            max_buffered_ms=playback.max_buffered_ms,
            underruns=tuple(playback.underruns),
            frames_sent=outbox.frames_sent,
            frames_lost=outbox.frames_lost + outbox.overflowed,
            received_bytes=self._received_bytes,
            second_socket=self._trouble.second_socket,
        )


def _by(interrupt: Interrupt) -> StreamEnd:
    reason = interrupt.reason
    return StreamEnd(reason.by if isinstance(reason, HangUp) else "rest")
