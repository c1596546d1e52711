"""Many calls at once, as Twilio places them: a frame each 20 ms, phases staggered, from bytes made before."""

import asyncio
import base64
import json
import random
import re
from collections import deque
from collections.abc import Awaitable, Callable, MutableSequence, Sequence
from dataclasses import dataclass, field
from time import perf_counter
from typing import cast

from archer_bridge.devkit.phone import DEMO_ACCOUNT
from tests.bench.far_engine import STREAM

FRAME_S = 0.020
FRAME_BYTES = 160
"""Of mu-law in 20 ms."""
MARK = re.compile(rb'"name": ?"([^"]+)"')
PAYLOAD = base64.b64encode(random.Random(1).randbytes(160)).decode()


def client_frame(message: str) -> bytes:
    """Return a masked text frame; the key is zero, which unmasks for the same price."""
    data = message.encode()
    head = bytes((0x81, 0x80 | len(data))) if len(data) < 126 else b"\x81\xfe" + len(data).to_bytes(2, "big")
    return head + bytes(4) + data


def noise(_: int) -> str:
    """Return the base64 of loud audio, the same for each frame."""
    return PAYLOAD


def media_frames(stream: str, count: int, payload: Callable[[int], str]) -> list[bytes]:
    """Return a call's frames in order."""
    return [
        client_frame(
            f'{{"event":"media","sequenceNumber":"{n + 2}","media":{{"track":"inbound","chunk":"{n + 1}",'
            f'"timestamp":"{n * 20}","payload":"{payload(n)}"}},"streamSid":"{stream}"}}'
        )
        for n in range(count)
    ]


@dataclass
class Measured:
    """What one driven segment gave."""

    calls: int = 1
    sent: int = 0
    received: int = 0
    audio_bytes: int = 0
    """Of mu-law that came back, 8,000 a second and call."""
    largest: int = 0
    """Bytes of mu-law in the largest message."""
    latencies: MutableSequence[float] = field(default_factory=list)
    lateness: MutableSequence[float] = field(default_factory=list)

    def percentile(self, values: Sequence[float], share: float) -> float:
        """Return a percentile in milliseconds; NaN without values."""
        ordered = sorted(values)
        return ordered[min(len(ordered) - 1, int(len(ordered) * share))] * 1000 if ordered else float("nan")


class Leg(asyncio.Protocol):
    """One call's socket."""

    def __init__(self, measured: Measured) -> None:
        self.measured = measured
        self.loop = asyncio.get_running_loop()
        self.opened: asyncio.Future[None] = self.loop.create_future()
        self.in_flight: deque[float] = deque()
        self.least = 1 << 30
        """Fewest frames on their way after one came back: what filters hold for good."""
        self.unmatched = 0
        """Bytes of mu-law that came back and are no whole frame yet."""
        self.counting = False
        self.since = 0.0
        self.buffer = b""
        self.is_open = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)

    def send(self, frame: bytes, due: float) -> None:
        """Send one frame that is due at this time."""
        now = perf_counter()
        self.in_flight.append(due)
        self.transport.write(frame)
        if self.counting:
            self.measured.sent += 1
            self.measured.lateness.append(now - due)

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        if not self.is_open:
            head, end, rest = self.buffer.partition(b"\r\n\r\n")
            if end:
                self.buffer, self.is_open = rest, True
                if b" 101 " in head.partition(b"\r\n")[0] + b" ":
                    self.opened.set_result(None)
                else:
                    self.opened.set_exception(ConnectionError(head.decode()))
        if self.is_open:
            self._frames()

    def _frames(self) -> None:
        buffer, at, size = self.buffer, 0, len(self.buffer)
        while at + 4 <= size:
            length, head = buffer[at + 1], 2
            if length == 126:
                length, head = buffer[at + 2] << 8 | buffer[at + 3], 4
            elif length == 127:
                if at + 10 > size:
                    break
                length, head = int.from_bytes(buffer[at + 2 : at + 10], "big"), 10
            end = at + head + length
            if end > size:
                break
            if buffer[at] == 0x81:
                if b"media" in buffer[at : at + 30]:
                    begins = buffer.index(b'"', buffer.index(b'"payload"', at) + 9) + 1
                    self.heard(buffer[begins : buffer.index(b'"', begins)])
                elif b'"mark"' in buffer[at : at + 30] and (found := MARK.search(buffer, at, end)) is not None:
                    self._echo(found[1].decode())
            elif buffer[at] == 0x89:  # a ping that is not answered ends the connection
                self.transport.write(bytes((0x8A, 0x80 | length)) + bytes(4) + buffer[at + head : end])
            at = end
        self.buffer = buffer[at:]

    def heard(self, payload: bytes) -> None:
        """Take the base64 of one media message."""
        size = len(payload) // 4 * 3 - payload.count(b"=", -2)
        if self.counting:
            self.measured.audio_bytes += size
            self.measured.largest = max(self.measured.largest, size)
        # A bridge that was kept waiting sends several frames in one message: time is told by bytes.
        self.unmatched += size
        while self.unmatched >= FRAME_BYTES and self.in_flight:
            self.unmatched -= FRAME_BYTES
            due = self.in_flight.popleft()
            self.least = min(self.least, len(self.in_flight))
            if self.counting and due >= self.since:
                self.measured.received += 1
                self.measured.latencies.append(perf_counter() - due)

    def _echo(self, name: str) -> None:
        mark = {"event": "mark", "sequenceNumber": "0", "streamSid": STREAM, "mark": {"name": name}}
        self.transport.write(client_frame(json.dumps(mark)))

    def look_again(self) -> None:
        """Find out anew what filters hold: a call's beginning may have been answered with more than it asked."""
        self.least = 1 << 30

    def begin(self, since: float) -> None:
        """Count frames due from this time on; forget what filters hold, so that answers match their questions."""
        for _ in range(min(self.least, len(self.in_flight))):
            self.in_flight.popleft()
        self.counting, self.since = True, since


async def open_leg(port: int, start: str, headers: str, make: Callable[[], Leg]) -> Leg:
    """Open one call's socket and begin its stream."""
    _, leg = await asyncio.get_running_loop().create_connection(make, "127.0.0.1", port)
    leg.transport.write(
        f"GET /ws/cartesia HTTP/1.1\r\nHost: bridge.example.test\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        f"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n{headers}\r\n".encode()
    )
    await leg.opened
    leg.transport.write(client_frame('{"event":"connected","protocol":"Call","version":"1.0.0"}') + client_frame(start))
    return leg


def start_message(call_sid: str, token: str) -> str:
    """Return a stream's `start`."""
    body = {
        "accountSid": DEMO_ACCOUNT.account_sid,
        "callSid": call_sid,
        "streamSid": STREAM,
        "tracks": ["inbound"],
        "mediaFormat": {"encoding": "audio/x-mulaw", "sampleRate": 8000, "channels": 1},
        "customParameters": {"token": token},
    }
    return json.dumps({"event": "start", "sequenceNumber": "1", "streamSid": STREAM, "start": body})


async def drive(
    legs: list[Leg],
    *,
    warm_s: float,
    measure_s: float,
    edge: Callable[[], Awaitable[None]],
    payload: Callable[[int], str] = noise,
    begin_within_s: float = 0.0,
) -> None:
    """Send every call's frames at their times; `edge` is called when measuring begins and when it has ended.

    `payload` gives the base64 of the frame of a number. Callers begin to speak one after the other within this time: a
    hundred who begin at once would be a stall that agents who never pause cannot make up for.
    """
    loop = asyncio.get_running_loop()  # its own clock counts milliseconds
    count = round((warm_s + measure_s) / FRAME_S)
    frames, warm = media_frames(STREAM, count, payload), round(warm_s / FRAME_S)
    first = [round(begin_within_s / FRAME_S * i / len(legs)) for i in range(len(legs))]
    schedule = sorted(
        (n * FRAME_S + i * FRAME_S / len(legs), n - first[i], i)
        for i in range(len(legs))
        for n in range(first[i], count)
    )
    before = sum(warm - frames_late for frames_late in first)
    began = perf_counter() + 0.05  # not before all is made: what is late at once comes in a burst
    at, done = 0, loop.create_future()

    def tick() -> None:
        nonlocal at
        now, end = perf_counter(), len(schedule) if legs[0].counting else before
        while at < end and began + schedule[at][0] <= now:
            after, n, i = schedule[at]
            legs[i].send(frames[n], began + after)
            at += 1
        if at == end:
            done.set_result(None)
        else:
            loop.call_later(max(0.0, began + schedule[at][0] - now), tick)

    loop.call_later(0.05, tick)
    await done
    for leg in legs:
        leg.begin(began + warm * FRAME_S)
    await edge()
    done = loop.create_future()
    tick()
    await done
    await edge()
    measured = legs[0].measured
    for _ in range(10):  # the last answers, for a second at most
        if measured.received >= measured.sent:
            break
        await asyncio.sleep(0.1)
