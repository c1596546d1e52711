"""The public address of a bridge on a laptop: from ngrok if it can be had, else as configured, else what to do."""

import shutil
from dataclasses import dataclass

from archer_bridge.adapters.ngrok import NgrokError, Tunnel, is_ngrok_address, public_url, read_tunnels
from archer_bridge.adapters.twilio_rest import STATUS_PATH, VOICE_PATH
from archer_bridge.config import Settings

ADDRESS_SETTING = "WEBHOOK_BASE_URL"


@dataclass(frozen=True, slots=True)
class Reachable:
    """The address is there; `source` says who gives it."""

    url: str
    source: str


@dataclass(frozen=True, slots=True)
class Startable:
    """There is no address yet, and the ngrok `binary` can make one for `host` and `port`."""

    binary: str
    host: str
    port: int


@dataclass(frozen=True, slots=True)
class Missing:
    """There is no address; `advice` says what to do, over several lines."""

    advice: str


async def find_address(settings: Settings, ngrok_api: str, path: str | None) -> Reachable | Startable | Missing:
    """Find out where Twilio can reach this bridge.

    A tunnel that runs goes before the configured address, since a free tunnel's address is a new one each time and
    what is in .env may be yesterday's.

    Args:
        settings: for the port, and the configured address.
        ngrok_api: the base of ngrok's local API.
        path: where to look for the ngrok binary, as in $PATH.
    """
    configured = settings.server.public_url
    try:
        tunnels, trouble = await read_tunnels(ngrok_api), ""
    except NgrokError as error:
        tunnels, trouble = None, str(error)
    running = public_url(tunnels or [], settings.server.host, settings.server.port)
    if running is not None:
        return Reachable(running, f"ngrok, {_compared(configured, running)}")
    if configured and not is_ngrok_address(configured):
        return Reachable(configured, f"{ADDRESS_SETTING}, as configured")
    if trouble:
        return Missing(f"{trouble}\n{advice(settings.server.port)}")
    if tunnels is not None:
        return Missing(f"{_elsewhere(tunnels, settings.server.port)}\n{advice(settings.server.port)}")
    binary = shutil.which("ngrok", path=path)
    if binary is None:
        return Missing(
            f"There is no public address: ngrok does not run (nothing at {ngrok_api}) and is not installed.\n"
            f"{advice(settings.server.port)}"
        )
    return Startable(binary, settings.server.host, settings.server.port)


def advice(port: int) -> str:
    """Return exactly what to set to do without ngrok."""
    return (
        "Either install ngrok (https://ngrok.com/download), give it your authtoken, and run this again;\n"
        f"or let any HTTPS tunnel or proxy lead to port {port} of this machine, and set, in .env or the environment:\n"
        f"    {ADDRESS_SETTING}=https://YOUR-HOST\n"
        f"{console_advice('https://YOUR-HOST')}"
    )


def console_advice(url: str) -> str:
    """Return what to enter in Twilio's console for the bridge at this address."""
    return (
        "In the Twilio console, under Phone Numbers > Active numbers > your number > Voice, set:\n"
        f"    A call comes in:      Webhook, {url}{VOICE_PATH}, HTTP POST\n"
        f"    Call status changes:  {url}{STATUS_PATH}, HTTP POST"
    )


def _compared(configured: str, running: str) -> str:
    if configured and configured != running:
        return f"which runs; {ADDRESS_SETTING} is {configured} and not used"
    return "which runs"


def _elsewhere(tunnels: list[Tunnel], port: int) -> str:
    if not tunnels:
        return f"ngrok runs, but has no tunnel: stop it and let this start it, or run: ngrok http {port}"
    listed = ", ".join(f"{tunnel.public_url} to {tunnel.target}" for tunnel in tunnels)
    return (
        f"ngrok runs, but none of its https tunnels leads to port {port} ({listed}): "
        f"stop it and run: ngrok http {port}; or use its port: archer dev --port PORT"
    )
