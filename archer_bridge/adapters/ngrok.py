"""ngrok: find its tunnel through the agent's local API, or start an agent.

https://ngrok.com/docs/agent/api/ (GET /api/tunnels) and https://ngrok.com/docs/agent/cli/ (ngrok http).
"""

import asyncio
import re
import tempfile
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from ipaddress import ip_address
from typing import IO, Any
from urllib.parse import urlsplit

from archer_bridge.adapters.processes import ends_within, stop
from archer_bridge.adapters.web_client import RequestFailed, Step, fetch
from archer_bridge.errors import ArcherError

DEFAULT_API = "http://127.0.0.1:4040"
API_TIMEOUT_S = 3.0
START_WAIT_S = 30.0
POLL_S = 0.2
STOP_WAIT_S = 5.0
TOLD = 400
"""Characters of ngrok's own words in an error."""

DOMAINS = ("ngrok.io", "ngrok.app", "ngrok.dev", "ngrok-free.app", "ngrok-free.dev", "ngrok.pizza")
"""Where ngrok's own public addresses are; those of a free account may change with every start."""

_ERROR_FIELD = re.compile(r'lvl=(?:eror|crit).*?err="((?:[^"\\]|\\.)*)"')
_AUTHTOKEN = re.compile(r"(authtoken:\s*)\S+", re.IGNORECASE)


class NgrokError(ArcherError):
    """ngrok cannot be used; `detail` says why."""

    code = "ngrok_error"

    def __init__(self, detail: str) -> None:
        super().__init__(detail)
        self.detail = detail

    def __str__(self) -> str:
        return self.detail


@dataclass(frozen=True, slots=True)
class Tunnel:
    """A public address and the local one it leads to, both as ngrok writes them."""

    public_url: str
    target: str

    def leads_to(self, host: str, port: int) -> bool:
        """Whether a plain HTTP server that listens on `host` and `port` gets this tunnel's requests."""
        target = self.target if "://" in self.target else f"http://{self.target}"
        if self.target.isdecimal():
            target = f"http://localhost:{self.target}"
        parts = urlsplit(target)
        try:
            target_port = parts.port or 80
        except ValueError:
            return False
        target_host = parts.hostname or ""
        same_host = target_host == host or (_is_this_machine(target_host) and _is_this_machine(host))
        return parts.scheme == "http" and target_port == port and same_host


async def read_tunnels(api_url: str) -> list[Tunnel] | None:
    """Return the tunnels of the running agent; None when none runs.

    Raises:
        NgrokError: something else answers at this address.
    """
    url = f"{api_url.rstrip('/')}/api/tunnels"
    try:
        answer = await fetch(url, timeout_s=API_TIMEOUT_S)
    except RequestFailed as error:
        if error.step is Step.CONNECT:
            return None
        raise NgrokError(f"ngrok's local API cannot be read: {error}") from error
    document = answer.json()
    found = document.get("tunnels") if isinstance(document, dict) else None
    if answer.status != 200 or not isinstance(found, list):
        raise NgrokError(
            f"{url} answered {answer.status}, and not as ngrok's API does: "
            "give its address with --ngrok-api (web_addr in ngrok's configuration)"
        )
    return [tunnel for item in found if (tunnel := _tunnel(item)) is not None]


def public_url(tunnels: Sequence[Tunnel], host: str, port: int) -> str | None:
    """Return the first https address that leads to our server."""
    return next((t.public_url for t in tunnels if t.public_url.startswith("https://") and t.leads_to(host, port)), None)


def is_ngrok_address(url: str) -> bool:
    """Whether ngrok gave out this address, so that it is of no use unless ngrok runs."""
    host = urlsplit(url).hostname or ""
    return any(host.endswith(f".{domain}") for domain in DOMAINS)


@asynccontextmanager
async def started_ngrok(
    binary: str, host: str, port: int, *, api_url: str = DEFAULT_API, wait_s: float = START_WAIT_S
) -> AsyncIterator[str]:
    """Run `ngrok http` for our server until the block is left; gives the public address.

    It runs in a session of its own: Ctrl-C on the terminal must reach the bridge, which lets live calls end, and not
    the tunnel under them.

    Raises:
        NgrokError: it ended, or has no tunnel after `wait_s`; with ngrok's own words.
    """
    target = str(port) if _is_this_machine(host) else f"{host}:{port}"
    with tempfile.TemporaryFile() as output:
        process = await asyncio.create_subprocess_exec(
            *(binary, "http", target, "--log=stdout", "--log-level=warn"),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=output,
            stderr=asyncio.subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            yield await _tunnel_of(process, host, port, api_url=api_url, wait_s=wait_s, output=output)
        finally:
            await stop(process, grace_s=STOP_WAIT_S)


async def _tunnel_of(
    process: asyncio.subprocess.Process, host: str, port: int, *, api_url: str, wait_s: float, output: IO[bytes]
) -> str:
    try:
        async with asyncio.timeout(wait_s):
            while not await ends_within(process, POLL_S):
                if url := public_url(await read_tunnels(api_url) or [], host, port):
                    return url
    except TimeoutError:
        raise NgrokError(
            f"ngrok started, but {api_url} showed no https tunnel to port {port} in {wait_s:g} s; {_words(output)}"
        ) from None
    raise NgrokError(f"ngrok ended at once with code {process.returncode}; {_words(output)}")


def _words(output: IO[bytes]) -> str:
    """Return what ngrok complained of, without the account's token, which some of its errors repeat."""
    output.seek(0)
    text = output.read().decode("utf-8", "replace")
    logged = _ERROR_FIELD.findall(text)
    words = logged[-1].replace(r"\r", " ").replace(r"\n", " ").replace(r"\"", '"') if logged else text
    told = _AUTHTOKEN.sub(r"\1***", " ".join(words.split()))
    return f"it said: {told[:TOLD]}" if told else "it said nothing"


def _is_this_machine(host: str) -> bool:
    """Whether a server that listens on this host is reached over loopback."""
    try:
        address = ip_address(host)
    except ValueError:
        return host in {"localhost", ""}
    return address.is_loopback or address.is_unspecified


def _tunnel(item: Any) -> Tunnel | None:
    if not isinstance(item, dict):
        return None
    config = item.get("config")
    target = config.get("addr") if isinstance(config, dict) else None
    return Tunnel(str(item.get("public_url", "")), str(target or ""))
