"""One quick call: Twilio's side of it, from the webhook to the last status callback."""

import asyncio
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from archer_bridge.devkit.phone import DEMO_ACCOUNT
from archer_bridge.devkit.phone.signing import SignatureForm, request_signature, upgrade_signature
from tests.support.rush.leg import Leg
from tests.support.rush.plan import Plan
from tests.support.rush.wire import connect, post
from tests.support.world import BRIDGE_NUMBER, PUBLIC

INCOMING, STATUS = "/webhooks/twilio/incoming", "/webhooks/twilio/status"
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

    def __init__(
        self, plan: Plan, address: Callable[[], tuple[str, int]], *, stolen: Callable[[], str], longest_s: float
    ) -> None:
        """`address` is asked for each connection, `stolen` for somebody else's token."""
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
        if "replayed" in plan and plan.answered_connect:  # else the bridge may never have heard of it: a first copy
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
        asked = [post(self._address(), path, form, headers) for _ in range(2 if twice else 1)]
        answers = await asyncio.gather(*asked)
        status, body = answers[0]
        if status == 0:
            status, body = await post(self._address(), path, form, headers)
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
        socket, _ = await connect(self._address(), path, headers, leg.receive)
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
        elif leg.left:  # reset by the caller's own side: nobody is there to be asked about
            self._hung_up.set()
        else:
            plan.stream_lost.append(asyncio.get_running_loop().time())
        for task in (sending, hanging_up, second):
            if task is not None:
                task.cancel()
        socket.transport.abort()

    async def _second(self, path: str, headers: dict[str, str], parameters: dict[str, str]) -> None:
        leg = Leg(self.plan, "MZ" + "f" * 32)
        await asyncio.sleep(0.1)
        socket, _ = await connect(self._address(), path, headers, leg.receive)
        if socket is not None:
            try:
                leg.socket = socket
                leg.start(parameters)
                await socket.closed
            finally:
                socket.transport.abort()


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
