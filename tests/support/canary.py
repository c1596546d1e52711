"""Plant secrets through every entry of a running bridge, then look for them in everything it keeps or shows.

`python -m tests.support.canary [--secrets N] [--seed N] [--log json|console]`: a process of its own, because the log
belongs to the process. Prints one JSON object: the sinks with their sizes, and every find.
"""

import argparse
import asyncio
import io
import json
import re
import sys
import tempfile
from collections.abc import Sequence
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

import httpx
from typer.testing import CliRunner
from websockets.asyncio.client import ClientConnection

from archer_bridge import log
from archer_bridge.app import create_admin
from archer_bridge.cli.main import app as command_line
from archer_bridge.devkit.cartesia import AgentLink, SimulatorOptions
from archer_bridge.devkit.serving import serving
from archer_bridge.devkit.virtual_time import run
from tests.support.planted import Planted, planted
from tests.support.streams import FRAME, message, open_stream, start_message, stream_token
from tests.support.twilio import CALL_SID, post, voice_form
from tests.support.world import World, settings_for, world

FIELDS = ("CallerName", "FromCity", "StirVerstat", "SpeechResult", "Direction", "ForwardedFrom")
TOOLS = {"arguments": "return", "result": "return", "refusal": "refuse", "crash": "crash", "log": "log"}
ENTRIES = (*TOOLS, "form", "parameters", "caller", "agent", "fault", "status", "keys")


class Agent:
    """An agent that says and asks what it was given, and waits for the caller to be gone."""

    def __init__(self, by_entry: dict[str, list[Planted]]) -> None:
        self._entries = by_entry
        self._turn = 0
        self.done = asyncio.Event()

    async def __call__(self, link: AgentLink) -> None:
        """Plant through everything the engine's end can say."""
        await link.start()
        for role, name in (("user", "caller"), ("assistant", "agent")):
            for secret in self._entries[name]:
                await self._say(link, role, secret.text)
        for name, how in TOOLS.items():
            for secret in self._entries[name]:
                await self._ask(link, secret.text, how, odd=name == "arguments")
        for secret in self._entries["fault"]:
            await link.send({"type": "error", "code": "trouble", "message": secret.text, "fatal": False})
        await asyncio.sleep(1)
        self.done.set()
        await link.close(4000, self._entries["fault"][0].text[:100])

    async def _say(self, link: AgentLink, role: str, text: str) -> None:
        self._turn += 1
        await link.send({"type": "turn_started", "turn": self._turn, "role": role, "start_time": 0.0})
        if role == "assistant":
            await link.send({"type": "turn_output_text_delta", "turn": self._turn, "role": role, "text": text})
            await link.send_audio(b"\xff" * 800)
        ended = {"type": "turn_ended", "turn": self._turn, "role": role, "text": text, "interrupted": False}
        await link.send(ended)

    async def _ask(self, link: AgentLink, note: str, how: str, *, odd: bool) -> None:
        self._turn += 1
        parameters: dict[str, object] = {"note": note, "how": how}
        if odd:  # names that the tool does not have
            parameters |= {"nothing_of_yours": note, note: 1}
        ask = {
            "type": "client_tool_call",
            "tool_call_id": f"t{self._turn}",
            "tool_name": "leak",
            "parameters": parameters,
        }
        await link.send({**ask, "expects_response": True})
        await asyncio.sleep(0.05)


async def _webhooks(here: World, entries: dict[str, list[Planted]]) -> None:
    for secret in entries["form"]:
        fields = dict.fromkeys(FIELDS, secret.text)
        await stream_token(here, **fields)
    for secret in entries["status"]:
        extra = {
            "StreamEvent": secret.text,
            "StreamError": secret.text,
            "CallStatus": secret.text,
            "DialCallStatus": "",
        }
        for route in ("status", "stream-status", "stream-ended"):
            await post(here, f"/webhooks/twilio/{route}", voice_form(**extra))
        await post(
            here,
            "/webhooks/twilio/incoming",
            voice_form(From=secret.text),
            {"X-Twilio-Signature": secret.text.encode("ascii", "ignore").decode()},
        )


async def _stream(here: World, entries: dict[str, list[Planted]], agent: Agent) -> None:
    token = await stream_token(here)
    wrong = await open_stream(here)
    await wrong.send(start_message("v1." + entries["parameters"][0].text))
    await wrong.wait_closed()
    socket = await open_stream(here)
    more = {f"customer_{index}": secret.text for index, secret in enumerate(entries["parameters"])}
    await socket.send(start_message(token, parameters=more))
    drain = asyncio.create_task(_drain(socket))
    number = 2
    for secret in entries["keys"]:
        for digit in re.sub(r"\D", "", secret.text):
            await socket.send(message("dtmf", number, dtmf={"track": "inbound_track", "digit": digit}))
            number += 1
        await socket.send(secret.text)  # no JSON at all
        await socket.send(message("mark", number, mark={"name": secret.text}))
    while not agent.done.is_set() and not drain.done():
        media = {"track": "inbound", "chunk": str(number), "timestamp": str(20 * number), "payload": FRAME}
        await socket.send(message("media", number, media=media))
        number += 1
        await asyncio.sleep(0.1)
    await socket.wait_closed()
    await drain


async def _drain(socket: ClientConnection) -> None:
    async for _ in socket:
        pass


async def _metrics(here: World) -> str:
    settings = settings_for(here.bridge, "sqlite:///x.db")
    async with (
        serving(create_admin(here.app, settings)) as admin,
        httpx.AsyncClient(trust_env=False, timeout=None) as client,  # a virtual clock runs faster than the network
    ):
        pages = [await client.get(f"{admin.http_url}{path}") for path in ("/metrics", "/api/calls")]
    return "\n".join(page.text for page in pages)


async def plant(folder: Path, secrets: Sequence[Planted]) -> str:
    """Run the whole thing; return the metrics pages."""
    entries = {name: list(secrets[at :: len(ENTRIES)]) for at, name in enumerate(ENTRIES)}
    agent = Agent(entries)
    tools = {"ARCHER_TOOLS__ENABLED": '["leak"]', "ARCHER_TOOLS__LOCAL": '{"leak": "tests.support.leaky_tool:leak"}'}
    async with world(folder, simulator=SimulatorOptions(voice="tones", raw_session=agent), **tools) as here:
        await _webhooks(here, entries)
        await _stream(here, entries, agent)
        return await _metrics(here)


def shown(folder: Path) -> str:
    """Return what the command line shows of the record."""
    database = f"sqlite:///{folder / 'archer.db'}"
    commands = [
        ["calls", "show", CALL_SID],
        ["calls", "show", CALL_SID, "--json"],
        ["calls", "export"],
        ["calls", "ls", "--json"],
    ]
    output = []
    for command in commands:
        result = CliRunner().invoke(command_line, [*command, "--database", database])
        if result.exit_code:
            raise RuntimeError(f"{command}: {result.output}")
        output.append(result.output)
    return "\n".join(output)


def main() -> int:
    """Plant, look, report; exit code 1 when anything was found."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--secrets", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--log", choices=("json", "console"), default="json")
    options = parser.parse_args()
    secrets = planted(options.secrets, seed=options.seed)
    lines, stray = io.StringIO(), io.StringIO()
    with tempfile.TemporaryDirectory() as name, redirect_stdout(stray), redirect_stderr(stray):
        folder = Path(name)
        log.configure(level="debug", style=options.log, stream=lines)
        sinks = {"metrics": run(plant(folder, secrets))}
        sinks["command line"] = shown(folder)
        sinks["database"] = "".join(path.read_bytes().decode("latin-1") for path in folder.glob("archer.db*"))
        sinks["log"] = lines.getvalue()
        sinks["terminal"] = stray.getvalue()
    sinks["command line"] = " ".join(sinks["command line"].split())
    finds = sorted(
        {
            (sink, secret.kind, needle)
            for sink, text in sinks.items()
            for secret in secrets
            for needle in secret.needles
            if needle in text
        }
    )
    report = {
        "secrets": len(secrets),
        "seed": options.seed,
        "sinks": {sink: len(text) for sink, text in sinks.items()},
        "masks": {sink: text.count("***") for sink, text in sinks.items()},
        "finds": finds,
    }
    print(json.dumps(report, indent=2))
    return 1 if finds else 0


if __name__ == "__main__":
    sys.exit(main())
