"""One quick call: Twilio's side of it, from the webhook to the last status callback."""

import asyncio
import base64
import json
import random
import re
import socket
import struct
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from archer_bridge.devkit.phone import DEMO_ACCOUNT
from archer_bridge.devkit.phone.signing import SignatureForm, request_signature, upgrade_signature
from tests.support.rush.plan import Plan
from tests.support.rush.wire import ClientSocket, connect, message, post
from tests.support.world import BRIDGE_NUMBER, PUBLIC

INCOMING, STATUS = "/webhooks/twilio/incoming", "/webhooks/twilio/status"
TICK_MS = 60
"""Of audio in one message: three of Twilio's frames, which costs a third and is as good."""
PAYLOAD = base64.b64encode(random.Random(2).randbytes(8 * TICK_MS)).decode()
SPOKEN = re.compile(rb'"payload": ?"([^"]*)"')
RESET = struct.pack("ii", 1, 0)
MOST_DOCUMENTS = 6
GIVEN_UP = "given up"


@dataclass(frozen=True, slots=True)
class Connect:
    """What a TwiML's `<Connect><Stream>` says."""

    action: str
    url: str
    status_url: str
    parameters: dict[str, str]


class QuickCall:
    """Runs one plan to its end."""

    def __init__(self, plan: Plan, address: tuple[str, int], *, stolen: Callable[[], str], longest_s: float) -> None:
        self.plan = plan
        self._address = address
        self._stolen = stolen
        self._longest_s = longest_s
        self._number = 0
        self._hung_up = asyncio.Event()
        self.token = ""
        """The last one this call was given."""

    async def run(self) -> None:
        """Place the call."""
        plan = self.plan
        plan.began_at = asyncio.get_running_loop().time()
        body: str | None = await self._ask(INCOMING, CallStatus="ringing", twice="twice" in plan)
        for _ in range(MOST_DOCUMENTS):
            if body is not None:
                body = await self._follow(body)
        plan.ended_at = asyncio.get_running_loop().time()
        await self._ask(STATUS, CallStatus="completed")
        if "replayed" in plan:
            await self._ask(INCOMING, CallStatus="ringing")

    def hang_up(self) -> None:
        """The caller puts the phone down."""
        self._hung_up.set()

    # ---- webhooks --------------------------------------------------------------------------------------------

    async def _ask(self, path: str, *, twice: bool = False, **fields: str) -> str:
        """Post what Twilio posts; once more when the connection failed."""
        form = {
            "CallSid": self.plan.call_sid,
            "AccountSid": DEMO_ACCOUNT.account_sid,
            "From": self.plan.from_number,
            "To": BRIDGE_NUMBER,
            "Direction": "inbound",
            "ApiVersion": "2010-04-01",
            **fields,
        }
        headers = {"X-Twilio-Signature": request_signature(DEMO_ACCOUNT.auth_token, PUBLIC + path, form)}
        loop = asyncio.get_running_loop()
        began = loop.time()
        asked = [post(self._address, path, form, headers) for _ in range(2 if twice else 1)]
        answers = await asyncio.gather(*asked)
        status, body = answers[0]
        if status == 0:
            status, body = await post(self._address, path, form, headers)
        self.plan.statuses += [status, *(code for code, _ in answers[1:])]
        self.plan.webhook_ms.append((loop.time() - began) * 1000)
        return body if status == 200 else ""

    async def _follow(self, body: str) -> str | None:
        """Do what one TwiML says; return the next, or None when the call is over."""
        plan = self.plan
        if not body:
            plan.documents.append("nothing")
            return None
        for verb in ElementTree.fromstring(body):
            match verb.tag:
                case "Connect":
                    return await self._connect(_read(verb))
                case "Say":
                    plan.heard.append(verb.text or "")
                case "Dial":
                    plan.documents.append("dial")
                    return await self._ask(_path(verb.get("action", "")), DialCallStatus="completed")
                case "Redirect":
                    plan.documents.append("redirect")
                    return await self._ask(_path(verb.text or ""), CallStatus="in-progress")
                case "Hangup":
                    break
        plan.documents.append("hang up")
        return None

    async def _connect(self, said: Connect) -> str | None:
        plan = self.plan
        plan.documents.append("stream")
        plan.answered_connect = True
        self.token = said.parameters["token"]
        if "never-connects" in plan or self._hung_up.is_set():
            return None
        await self._stream(said)
        if self._hung_up.is_set():
            return None
        return await self._ask(_path(said.action), CallStatus="in-progress")

    # ---- the stream ------------------------------------------------------------------------------------------

    async def _stream(self, said: Connect) -> None:
        plan = self.plan
        form: SignatureForm = "wrong" if "forged-upgrade" in plan else "plain"
        signature = upgrade_signature(DEMO_ACCOUNT.auth_token, said.url, form)
        assert signature is not None
        self._number += 1
        leg = Leg(plan, f"MZ{plan.number:016x}{self._number:016x}")
        headers = {"X-Twilio-Signature": signature}
        path = urlsplit(said.url).path
        socket, _ = await connect(self._address, path, headers, leg.receive)
        if socket is None:
            return
        leg.socket = socket
        parameters = said.parameters
        if "stolen-token" in plan:
            parameters = {**parameters, "token": self._stolen()}
        plan.on_payment = self.hang_up if "gone-at-payment" in plan else plan.on_payment
        if "early-status" in plan:
            await self._ask(STATUS, CallStatus="completed")
        second = None
        if "second-socket" in plan:
            second = asyncio.create_task(self._second(path, headers, parameters))
        sending = asyncio.create_task(leg.send(parameters), name="leg")
        hanging_up = asyncio.create_task(self._hung_up.wait())
        ends: set[asyncio.Future[Any]] = {socket.closed, sending, hanging_up}
        done, _ = await asyncio.wait(ends, timeout=self._longest_s, return_when=asyncio.FIRST_COMPLETED)
        if not done:
            plan.documents.append(GIVEN_UP)
        if not socket.closed.done():
            await leg.leave(polite="no-stop" not in plan)
            self._hung_up.set()
        elif not leg.left:
            plan.stream_lost.append(asyncio.get_running_loop().time())
        for task in (sending, hanging_up, second):
            if task is not None:
                task.cancel()
        socket.transport.abort()

    async def _second(self, path: str, headers: dict[str, str], parameters: dict[str, str]) -> None:
        leg = Leg(self.plan, "MZ" + "f" * 32)
        await asyncio.sleep(0.1)
        socket, _ = await connect(self._address, path, headers, leg.receive)
        if socket is not None:
            try:
                leg.socket = socket
                leg.start(parameters)
                await socket.closed
            finally:
                socket.transport.abort()


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
        self.left = True
        raw = self.socket.transport.get_extra_info("socket")
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        self.socket.transport.abort()

    async def leave(self, *, polite: bool) -> None:
        """Hang up: `stop` when polite, then close; the bridge has two seconds to answer the close."""
        self.left = True
        if polite:
            self._say("stop", stop={"accountSid": DEMO_ACCOUNT.account_sid, "callSid": self._plan.call_sid})
        self.socket.send((1000).to_bytes(2, "big"), opcode=8)
        await asyncio.wait({self.socket.closed}, timeout=2.0)


def _read(verb: ElementTree.Element) -> Connect:
    stream = verb[0]
    return Connect(
        action=verb.get("action", ""),
        url=stream.get("url", ""),
        status_url=stream.get("statusCallback", ""),
        parameters={one.get("name", ""): one.get("value", "") for one in stream},
    )


def _path(url: str) -> str:
    return urlsplit(url).path
