"""The frames of one quick call's stream, and what comes back."""

import asyncio
import base64
import json
import random
import re
import socket
import struct

from archer_bridge.devkit.phone import DEMO_ACCOUNT
from tests.support.rush.plan import Plan
from tests.support.rush.wire import ClientSocket, message

TICK_MS = 60
"""Of audio in one message: three of Twilio's frames, which costs a third and is as good."""
PAYLOAD = base64.b64encode(random.Random(2).randbytes(8 * TICK_MS)).decode()
SPOKEN = re.compile(rb'"payload": ?"([^"]*)"')
RESET = struct.pack("ii", 1, 0)


class Leg:
    """The frames of one stream, and what comes back."""

    def __init__(self, plan: Plan, stream_sid: str) -> None:
        self.socket: ClientSocket
        self.left = False
        """This side ended it."""
        self._plan = plan
        self._sid = stream_sid
        self._sequence = 0
        self._plays_until = 0.0
        self._marks: dict[str, asyncio.TimerHandle] = {}
        self._loop = asyncio.get_running_loop()

    def receive(self, text: bytes) -> None:
        """Play audio, and echo marks when it was played."""
        if b'"media"' in text[:30]:
            now = self._loop.time()
            found = SPOKEN.search(text)
            size = len(found[1]) * 3 // 4 if found is not None else 0
            self._plays_until = max(now, self._plays_until) + size / 8000
            self._plan.audio_at.append(now)
        elif b'"mark"' in text[:30]:
            name = json.loads(text)["mark"]["name"]
            late = 0.3 if "late-marks" in self._plan else 0.0
            if "lost-marks" not in self._plan:
                self._marks[name] = self._loop.call_at(self._plays_until + late, self._echo, name)
        elif b'"clear"' in text[:30]:
            self._plays_until = 0.0
            for name, timer in list(self._marks.items()):
                timer.cancel()
                self._echo(name)

    def _echo(self, name: str) -> None:
        self._marks.pop(name, None)
        self._say("mark", mark={"name": name})

    def _say(self, event: str, **fields: object) -> None:
        self._sequence += 1
        self.socket.send(message(event=event, sequenceNumber=str(self._sequence), streamSid=self._sid, **fields))

    def start(self, parameters: dict[str, str]) -> None:
        """Send what begins a stream."""
        self.socket.send(message(event="connected", protocol="Call", version="1.0.0"))
        body = {
            "accountSid": DEMO_ACCOUNT.account_sid,
            "callSid": self._plan.call_sid,
            "streamSid": self._sid,
            "tracks": ["inbound"],
            "mediaFormat": {"encoding": "audio/x-mulaw", "sampleRate": 8000, "channels": 1},
            "customParameters": parameters,
        }
        self._say("start", start=body)

    async def send(self, parameters: dict[str, str]) -> None:
        """Send until cancelled; return when the caller is gone."""
        plan = self._plan
        if "early-media" in plan:
            self._media(0)
        if "never-start" in plan:
            self.socket.send(message(event="connected", protocol="Call", version="1.0.0"))
            await self.socket.closed
        if "late-start" in plan:
            await asyncio.sleep(0.5)
        self.start(parameters)
        if "duplicate-start" in plan:
            self.start(parameters)
        if "slow-reader" in plan:
            self.socket.transport.pause_reading()
            self._loop.call_later(0.5, self.socket.transport.resume_reading)
        began, tick = self._loop.time(), 0
        while True:
            held = "bursts" in plan and tick % 5
            if not held and not ("gaps" in plan and tick % 3 == 0):
                for number in range(max(0, tick - 4) if "bursts" in plan else tick, tick + 1):
                    self._media(number)
            if tick == 8 and await self._trouble():
                return
            tick += 1
            await asyncio.sleep(max(0.0, began + tick * TICK_MS / 1000 - self._loop.time()))

    def _media(self, number: int) -> None:
        self._sequence += 1
        frame = (
            f'{{"event":"media","sequenceNumber":"{self._sequence}","media":{{"track":"inbound","chunk":"{number + 1}",'
            f'"timestamp":"{number * TICK_MS}","payload":"{PAYLOAD}"}},"streamSid":"{self._sid}"}}'
        ).encode()
        if "dribble" in self._plan:
            self.socket.dribble(frame)
        else:
            self.socket.send(frame)

    async def _trouble(self) -> bool:
        """Do what goes wrong at this moment of the call; True when the caller is gone by it."""
        plan, send = self._plan, self.socket.send
        for name, frame, opcode in (
            ("not-json", b"{nothing", 1),
            ("bad-base64", message(event="media", streamSid=self._sid, media={"payload": "!!!!"}), 1),
            ("other-stream", message(event="media", streamSid="MZ" + "9" * 32, media={"payload": PAYLOAD}), 1),
            ("binary", b"\x00\x01", 2),
            ("too-big", b'{"event":"' + b"x" * 70_000 + b'"}', 1),
        ):
            if name in plan:
                send(frame, opcode)
        for digit in "0123456789*#ABCD01234567890123" if "digits" in plan else "":
            self._say("dtmf", dtmf={"digit": digit, "track": "inbound_track"})
        if "abrupt" in plan:
            self._reset()
            return True
        if "half-dead" in plan:
            self.socket.transport.pause_reading()
            await asyncio.sleep(6.0)
            self._reset()
            return True
        return "hang-up" in plan or "no-stop" in plan

    def _reset(self) -> None:
        self.left, self._plan.left_at = True, self._loop.time()
        raw = self.socket.transport.get_extra_info("socket")
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        self.socket.transport.abort()

    async def leave(self, *, polite: bool) -> None:
        """Hang up: `stop` when polite, then close; the bridge has two seconds to answer the close."""
        self.left, self._plan.left_at = True, self._loop.time()
        if polite:
            self._say("stop", stop={"accountSid": DEMO_ACCOUNT.account_sid, "callSid": self._plan.call_sid})
        self.socket.send((1000).to_bytes(2, "big"), opcode=8)
        await asyncio.wait({self.socket.closed}, timeout=2.0)
