"""A voice agent's socket that costs next to nothing, follows one script, and breaks in many ways.

The agent greets, verifies, offers, records a payment plan, says goodbye and closes. Which call a connection is for is
known from its `session_create`, so what goes wrong before that is drawn by connection.
"""

import asyncio
import base64
import hashlib
import json
import random
import re
import socket
import struct
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, cast

from tests.support.rush.faults import AT_CONNECT
from tests.support.rush.plan import Plan
from tests.support.rush.wire import Frames, message, unmasked

GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
BYTES_PER_S = 8000
RESET = struct.pack("ii", 1, 0)
KEY = re.compile(rb"(?i)sec-websocket-key: *(\S+)")
SOUND = random.Random(1).randbytes(BYTES_PER_S)
PIECE = 320
"""Bytes of one `audio_output`: 40 ms."""


class Vendor:
    """Everything the connections share."""

    def __init__(self, plans: Mapping[str, Plan], *, seed: int, connect_faults: float = 0.0) -> None:
        self.plans = plans
        self.choose = random.Random(seed)
        self.connect_faults = connect_faults
        self.silent = False
        """Later connections are accepted and never answered."""
        self.counts = Counter[str]()
        self.open: set[Session] = set()
        self.port = 0

    @asynccontextmanager
    async def listening(self) -> AsyncIterator["Vendor"]:
        """Serve until the block is left."""
        server = await asyncio.get_running_loop().create_server(lambda: Session(self), "127.0.0.1", 0, backlog=1024)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            server.close()
            for session in list(self.open):
                session.transport.abort()


class Session(asyncio.Protocol):
    """One connection."""

    def __init__(self, vendor: Vendor) -> None:
        self._vendor = vendor
        self._head = b""
        self._is_open = False
        self._frames = Frames()
        self._plan: Plan | None = None
        self._task: asyncio.Task[None] | None = None
        self._answers: dict[str, asyncio.Future[Any]] = {}
        self._numbers = 0
        self._deaf = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        self._vendor.counts["connections"] += 1
        self._vendor.open.add(self)

    def connection_lost(self, error: Exception | None) -> None:
        self._vendor.open.discard(self)
        if self._task is not None:
            self._task.cancel()

    def data_received(self, data: bytes) -> None:
        if not self._is_open:
            self._head += data
            if b"\r\n\r\n" not in self._head or self._deaf or not self._shake_hands():
                return
            data = self._head.partition(b"\r\n\r\n")[2]
        for opcode, body in self._frames.feed(data):
            if opcode == 8:
                self._send(body[:2], opcode=8)
                self.transport.close()
            elif opcode == 9 and not self._deaf:
                self._send(body, opcode=10)
            elif opcode == 1 and b'"audio_input"' not in body[:24]:
                self._take(json.loads(body))

    # ---- the beginning ---------------------------------------------------------------------------------------

    def _shake_hands(self) -> bool:
        vendor = self._vendor
        fault = ""
        if vendor.silent:
            fault = "connect-silent"
        elif vendor.choose.random() < vendor.connect_faults:
            fault = vendor.choose.choice(list(AT_CONNECT))
        if fault:
            vendor.counts[fault] += 1
            self._fail_to_connect(fault)
            return False
        key = KEY.search(self._head)
        assert key is not None, self._head
        accept = base64.b64encode(hashlib.sha1(key[1] + GUID).digest())  # RFC 6455, 4.2.2
        self.transport.write(
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Accept: " + accept + b"\r\n\r\n"
        )
        self._is_open = True
        return True

    def _fail_to_connect(self, fault: str) -> None:
        self._deaf = True
        match fault.removeprefix("connect-"):
            case "reset":
                self._reset()
            case "silent":
                return
            case "garbage":
                self.transport.write(b"\x00\xff nothing of the kind\r\n\r\n")
                self.transport.close()
            case status:
                body = b'{"error_code":"concurrency_limited"}'
                self.transport.write(
                    f"HTTP/1.1 {status} No\r\nContent-Type: application/json\r\nConnection: close\r\n"
                    f"Content-Length: {len(body)}\r\n\r\n".encode()
                    + body
                )
                self.transport.close()

    def _take(self, said: dict[str, Any]) -> None:
        match said["type"]:
            case "session_create":
                self._plan = self._vendor.plans.get(said["dynamic_variables"]["call_sid"])
                if self._plan is None:
                    self._vendor.counts["unknown calls"] += 1
                    self.transport.abort()
                    return
                self._plan.sessions += 1
                self._task = asyncio.get_running_loop().create_task(self._talk(self._plan), name="vendor session")
            case "client_tool_result":
                waiting = self._answers.pop(said["tool_call_id"], None)
                if waiting is not None and not waiting.done():
                    waiting.set_result(said)

    # ---- the conversation ------------------------------------------------------------------------------------

    async def _talk(self, plan: Plan) -> None:
        if "never-ready" in plan:
            return
        await asyncio.sleep(0.4 if "slow-ready" in plan else 0.01)
        self._tell(type="session_ready", call_id=f"ac_{plan.number:08x}")
        if "does-not-read" in plan:
            self.transport.pause_reading()
        await self._say(1, plan, "Hello.")
        if "does-not-read" in plan:  # long enough for what is sent to pile up
            await asyncio.sleep(0.5)
            self.transport.resume_reading()
        self._break(plan)
        await self._misuse_tools(plan)
        bridge_ends_it = False
        if "wrong-details" in plan:
            for _ in range(2):
                said = await self._tool("verify_account", account_last_4="0000", postal_code="00000")
                answer = json.loads(said["result"])
                if said["is_error"]:  # the record was away: what cannot be counted is not tried
                    plan.refused.append(answer["error"]["code"])
                bridge_ends_it = answer.get("attempts_left") == 0
        elif plan.wants_human:
            said = await self._tool("transfer_to_human", reason="asked for a person")
            bridge_ends_it = not said["is_error"]
        else:
            await self._pay(plan)
        if bridge_ends_it:
            plan.goodbye_at = asyncio.get_running_loop().time()
        await self._say(2, plan, "Thank you, goodbye.")
        if not bridge_ends_it:
            plan.goodbye_at = asyncio.get_running_loop().time()
            self._close(1000)

    async def _pay(self, plan: Plan) -> None:
        who = plan.customer
        await self._tool("verify_account", account_last_4=who.account_last_4, postal_code=who.postal_code)
        await self._tool("get_customer_options")
        choice = {"option": "payment_plan", "payment_type": "payment_plan"}
        asked = self._tool_later("process_payment", **choice)
        plan.on_payment()
        self._note_payment(plan, await asked)
        if "asks-again" in plan:
            self._note_payment(plan, await self._tool("process_payment", **choice))

    @staticmethod
    def _note_payment(plan: Plan, said: dict[str, Any]) -> None:
        result = json.loads(said["result"])
        if said["is_error"]:
            plan.refused.append(result["error"]["code"])
        else:
            plan.said_done.append(result["confirmation"])

    async def _misuse_tools(self, plan: Plan) -> None:
        if "unknown-tool" in plan:
            await self._tool("no_such_tool")
        if "pays-at-once" in plan:
            await self._tool("process_payment", option="settlement", payment_type="sms_link")
        if "pays-badly" in plan:
            await self._tool("process_payment", option=["*"], payment_type=None, amount=-1)
        for name in ("tool-raises", "tool-exits", "tool-hangs", "tool-blocks", "tool-huge", "tool-odd", "slow-charge"):
            if name in plan:
                await self._tool(name.replace("-", "_"))

    def _tool_later(self, name: str, **arguments: object) -> "asyncio.Future[Any]":
        plan = self._plan
        assert plan is not None
        plan.step = f"{name} asked"
        self._numbers += 1
        call_id = f"call_{plan.number}_{plan.sessions}_{self._numbers}"
        answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._answers[call_id] = answer
        for _ in range(2 if "repeats-call" in plan else 1):
            self._tell(type="client_tool_call", tool_call_id=call_id, tool_name=name, parameters=arguments)
        return answer

    async def _tool(self, name: str, **arguments: object) -> dict[str, Any]:
        said: dict[str, Any] = await self._tool_later(name, **arguments)
        return said

    async def _say(self, turn: int, plan: Plan, text: str) -> None:
        plan.step = f"turn {turn}"
        self._tell(type="turn_started", turn=turn, role="assistant", start_time=0.0)
        self._tell(type="turn_output_text_delta", turn=turn, text=text)
        left, at = int(plan.talk_s * BYTES_PER_S), 0
        while left > 0:
            size = min(left, PIECE if "odd-chunks" not in plan else self._vendor.choose.choice((1, 7, 333, 1001)))
            self._tell(type="audio_output", audio=base64.b64encode(SOUND[at : at + size]).decode())
            left, at = left - size, (at + size) % 4000
            if "burst-audio" not in plan:
                await asyncio.sleep(size / BYTES_PER_S)
            if "double-clear" in plan and turn == 1 and left < 1000:
                self._tell(type="audio_output_clear")
                self._tell(type="audio_output_clear")
                break
        self._tell(type="turn_ended", turn=turn, role="assistant", text=text, interrupted=False)
        plan.step = f"turn {turn} said"

    # ---- what goes wrong -------------------------------------------------------------------------------------

    def _break(self, plan: Plan) -> None:
        for name, code in (("closes-1000", 1000), ("closes-1008", 1008), ("closes-1011", 1011)):
            if name in plan:
                self._close(code)
        if "resets" in plan:
            self._reset()
        if "half-frame" in plan:
            self.transport.write(unmasked(message(type="turn_started", turn=9, role="assistant"))[:20])
            asyncio.get_running_loop().call_later(0.05, self._reset)
        if "bad-opcode" in plan:
            self._send(b"?", opcode=5)
        for text, name in ((b"{not json", "garbage"), (message(type="made_up", new=[1]), "unknown-event")):
            for _ in range(5 if name in plan else 0):
                self._send(text)
        if "binary-vendor" in plan:
            self._send(b"\x00\x01\x02", opcode=2)
        if "huge-frame" in plan:
            self._send(b'{"type":"audio_output","audio":"' + b"A" * 2_000_000 + b'"}')
        if "error-event" in plan:
            self._tell(type="error", code="hiccup", message="nothing to worry about", fatal=False)
        if "fatal-error" in plan:
            self._tell(type="error", code="agent_error", message="the agent failed", fatal=True)
            self._close(1011)
        if "stalls" in plan:
            assert self._task is not None
            self._tell(type="turn_started", turn=2, role="user", start_time=0.0)
            self._tell(type="turn_ended", turn=2, role="user", text="I owe you an answer.", interrupted=False)
            self._task.cancel()

    def _tell(self, **fields: object) -> None:
        self._send(message(**fields))

    def _send(self, payload: bytes, opcode: int = 1) -> None:
        if not self.transport.is_closing():
            self.transport.write(unmasked(payload, opcode))

    def _close(self, code: int) -> None:
        self._send(code.to_bytes(2, "big"), opcode=8)
        assert self._task is not None
        self._task.cancel()

    def _reset(self) -> None:
        if not self.transport.is_closing():
            raw = self.transport.get_extra_info("socket")
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
            self.transport.abort()
