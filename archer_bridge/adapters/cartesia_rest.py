"""Cartesia's REST interface, as far as provisioning needs it: agents and their tools.

aiohttp, because it is installed already (the official twilio package depends on it), is typed and keeps the
event loop free; the official cartesia SDK has no call for agents' tools. It is loaded with the first request: most
processes that serve make none, and it takes 8 MiB.
Facts: https://docs.cartesia.ai/api-reference/agents/tools and https://docs.cartesia.ai/use-the-api/api-errors
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import quote, urlsplit

from archer_bridge.errors import ArcherError

if TYPE_CHECKING:
    import aiohttp

PAGE = 100
MAX_PAGES = 100
RETRIES_S = (0.3, 1.0)
"""Pauses before a safe request is made again."""
RETRY_STATUSES = frozenset({408, 429, 500, 502, 503, 504})
MAX_BODY = 4 * 1024 * 1024
_LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})


class CartesiaApiError(ArcherError):
    """Cartesia refused a request or did not answer; `status` is None when there was no answer."""

    code = "cartesia_api_error"

    def __init__(
        self, request: str, detail: str, *, status: int | None = None, api_code: str = "", request_id: str = ""
    ) -> None:
        super().__init__(request, detail)
        self.request = request
        self.detail = detail
        self.status = status
        self.api_code = api_code
        self.request_id = request_id

    def __str__(self) -> str:
        status = f" answered {self.status}" if self.status is not None else " failed"
        hint = {
            401: "; check CARTESIA_API_KEY",
            403: "; the key may not do this",
            404: "; check CARTESIA_AGENT_ID and cartesia.rest_url",
        }.get(self.status or 0, "")
        request_id = f" (request {self.request_id})" if self.request_id else ""
        return f"Cartesia: {self.request}{status}: {self.detail}{hint}{request_id}"


class CartesiaRest:
    """A connection for a few requests; use it as an async context manager."""

    def __init__(self, base_url: str, api_key: str, *, version: str, timeout_s: float = 10.0) -> None:
        """Prepare; nothing is sent yet.

        Raises:
            ValueError: the address is plain http beyond this machine: Cartesia revokes keys sent so.
        """
        parts = urlsplit(base_url)
        if parts.scheme != "https" and not (parts.scheme == "http" and parts.hostname in _LOOPBACK):
            raise ValueError(f"cartesia.rest_url is {base_url!r}: it must be https (http on this machine only)")
        self._base = base_url.rstrip("/")
        self._headers = {"Authorization": f"Bearer {api_key}", "Cartesia-Version": version}
        self._timeout_s = timeout_s
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        import aiohttp

        self._session = aiohttp.ClientSession(
            headers=self._headers, timeout=aiohttp.ClientTimeout(total=self._timeout_s)
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._session is not None:
            await self._session.close()

    async def agent(self, agent_id: str) -> dict[str, Any]:
        """Return an agent with its config."""
        return await self._request("GET", f"/v1/agents/{quote(agent_id, safe='')}")

    async def change_agent(self, agent_id: str, changes: Mapping[str, Any]) -> dict[str, Any]:
        """Change an agent; lists in it, such as config.tools, are replaced as wholes."""
        return await self._request("PATCH", f"/v1/agents/{quote(agent_id, safe='')}", changes)

    async def tools(self) -> list[dict[str, Any]]:
        """Return every shared tool of the account."""
        found: list[dict[str, Any]] = []
        query = f"limit={PAGE}"
        for _ in range(MAX_PAGES):
            page = await self._request("GET", f"/v1/agents/tools?{query}")
            found += page.get("data", [])
            if not page.get("has_more") or not page.get("next_page"):
                return found
            query = f"limit={PAGE}&starting_after={quote(str(page['next_page']), safe='')}"
        raise CartesiaApiError("GET /v1/agents/tools", f"the list did not end after {MAX_PAGES} pages")

    async def create_tool(self, definition: Mapping[str, Any]) -> dict[str, Any]:
        """Add a shared tool; never retried, it might be added twice."""
        return await self._request("POST", "/v1/agents/tools", definition)

    async def change_tool(self, tool_id: str, definition: Mapping[str, Any]) -> dict[str, Any]:
        """Change a shared tool."""
        return await self._request("PATCH", f"/v1/agents/tools/{quote(tool_id, safe='')}", definition)

    async def speak(self, text: str, *, voice_id: str, model_id: str) -> bytes:
        """Return `text` spoken, as raw mu-law at 8000 Hz."""
        import aiohttp

        assert self._session is not None, "CartesiaRest is used inside `async with`"
        body = {
            "model_id": model_id,
            "transcript": text,
            "voice": {"id": voice_id},
            "output_format": {"container": "raw", "encoding": "pcm_mulaw", "sample_rate": 8000},
        }
        try:
            async with self._session.post(f"{self._base}/tts/bytes", json=body, allow_redirects=False) as response:
                audio = await response.content.read(MAX_BODY)
                if response.status != 200:
                    detail = audio[:300].decode("utf-8", "replace")
                    raise CartesiaApiError("POST /tts/bytes", detail, status=response.status)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise CartesiaApiError("POST /tts/bytes", str(error) or type(error).__name__) from error
        return audio

    async def _request(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> dict[str, Any]:
        pauses = list(RETRIES_S) if method != "POST" else []
        while True:
            try:
                return await self._once(method, path, body)
            except CartesiaApiError as error:
                if not pauses or not (error.status is None or error.status in RETRY_STATUSES):
                    raise
            await asyncio.sleep(pauses.pop(0))

    async def _once(self, method: str, path: str, body: Mapping[str, Any] | None) -> dict[str, Any]:
        import aiohttp

        assert self._session is not None, "CartesiaRest is used inside `async with`"
        request = f"{method} {path.partition('?')[0]}"
        try:
            async with self._session.request(
                method, self._base + path, json=None if body is None else dict(body), allow_redirects=False
            ) as response:
                text = await _bounded(response)
                status, request_id = response.status, response.headers.get("X-Request-ID", "")
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise CartesiaApiError(request, str(error) or type(error).__name__) from error
        try:
            answer = json.loads(text)
        except ValueError:
            answer = None
        if 200 <= status < 300 and isinstance(answer, dict):
            return answer
        detail, api_code = text[:300] or "no body", ""
        if isinstance(answer, dict):
            detail = str(answer.get("message") or answer.get("title") or detail)
            api_code, request_id = str(answer.get("error_code") or ""), str(answer.get("request_id") or request_id)
        raise CartesiaApiError(request, detail, status=status, api_code=api_code, request_id=request_id)


async def _bounded(response: aiohttp.ClientResponse) -> str:
    data = bytearray()
    async for chunk in response.content.iter_chunked(65536):
        data += chunk
        if len(data) > MAX_BODY:
            break  # cut, and so not JSON any more, and refused
    return data.decode("utf-8", "replace")
