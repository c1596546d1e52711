"""Stand-ins of ngrok: its local API in this process, and an executable that serves it."""

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

PUBLIC = "https://archer-test.ngrok-free.app"


def tunnel(public_url: str, target: str) -> dict[str, Any]:
    """One item of the API's list, as ngrok 3 writes it."""
    return {
        "name": "command_line",
        "ID": "0123456789abcdef",
        "uri": "/api/tunnels/command_line",
        "public_url": public_url,
        "proto": public_url.partition("://")[0],
        "config": {"addr": target, "inspect": True},
        "metrics": {"conns": {"count": 0, "gauge": 0}, "http": {"count": 0}},
    }


def ngrok_api(tunnels: Sequence[dict[str, Any]]) -> Starlette:
    """The agent's local API."""

    async def listed(request: Request) -> JSONResponse:
        return JSONResponse({"tunnels": list(tunnels), "uri": "/api/tunnels"})

    return Starlette(routes=[Route("/api/tunnels", listed)])


_SERVES = """\
#!{python}
# Says what it was told in {said}, then serves the agent's API on port {api_port}; its first answer has no tunnel yet.
import json, os, sys
from http.server import BaseHTTPRequestHandler, HTTPServer

class Api(BaseHTTPRequestHandler):
    asked = 0
    def do_GET(self):
        Api.asked += 1
        tunnels = [] if Api.asked == 1 else [{tunnel}]
        body = json.dumps({{"tunnels": tunnels}}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *_):
        pass

server = HTTPServer(("127.0.0.1", {api_port}), Api)
with open({said!r}, "w") as out:
    json.dump({{"arguments": sys.argv[1:], "pid": os.getpid()}}, out)
server.serve_forever()
"""

_FAILS = """\
#!{python}
import sys
print({words!r})
sys.exit(1)
"""


def install_ngrok(folder: Path, *, api_port: int, port: int, public_url: str = PUBLIC) -> Path:
    """Put an executable `ngrok` into `folder`; returns the file in which it says how it was called."""
    said = folder / "ngrok-said.json"
    text = _SERVES.format(
        python=sys.executable,
        api_port=api_port,
        said=str(said),
        tunnel=repr(tunnel(public_url, f"http://localhost:{port}")),
    )
    _write(folder, text)
    return said


def install_failing_ngrok(folder: Path, words: str) -> None:
    """Put an executable `ngrok` into `folder` that says `words` and ends with 1."""
    _write(folder, _FAILS.format(python=sys.executable, words=words))


def said_by_ngrok(file: Path) -> dict[str, Any]:
    """Arguments and process id of the executable."""
    return json.loads(file.read_text())  # type: ignore[no-any-return]  # written above


def _write(folder: Path, text: str) -> None:
    file = folder / "ngrok"
    file.write_text(text)
    file.chmod(0o755)
