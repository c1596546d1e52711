"""One HTTP request, bounded in time and size, whose failure says at which step it failed.

aiohttp, because it is installed already (the official twilio package depends on it) and keeps the event loop free.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import aiohttp

from archer_bridge.errors import ArcherError

MAX_BODY = 1024 * 1024


class Step(StrEnum):
    """Where a request failed."""

    ADDRESS = "address"
    """It is no web address."""
    NAME = "name"
    """The host name does not resolve."""
    CONNECT = "connect"
    """Nobody answers there."""
    TLS = "tls"
    """The certificate is not good, or there is no TLS."""
    TIME = "time"
    """No answer in time."""
    ANSWER = "answer"
    """The connection broke, or what came was not HTTP."""


class RequestFailed(ArcherError):
    """A request got no answer; `step` says why."""

    code = "request_failed"

    def __init__(self, url: str, step: Step, detail: str) -> None:
        super().__init__(url, step, detail)
        self.url = url
        self.step = step
        self.detail = detail

    def __str__(self) -> str:
        return f"{self.url}: {self.detail}"


@dataclass(frozen=True, slots=True)
class Answer:
    """A status and at most `MAX_BODY` bytes."""

    status: int
    body: bytes

    def json(self) -> Any:
        """Return the body read as JSON; None when it is not JSON."""
        try:
            return json.loads(self.body)
        except ValueError:
            return None


async def fetch(
    url: str,
    *,
    method: str = "GET",
    form: Mapping[str, str] | None = None,
    headers: Mapping[str, str] | None = None,
    timeout_s: float = 5.0,
) -> Answer:
    """Make one request; redirects are not followed.

    Raises:
        RequestFailed: there was no answer.
    """
    try:
        async with (
            aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=timeout_s)) as session,
            session.request(method, url, data=form, headers=headers, allow_redirects=False) as response,
        ):
            return Answer(response.status, await _bounded(response))
    except aiohttp.InvalidURL as error:
        raise RequestFailed(url, Step.ADDRESS, "is not a web address") from error
    except aiohttp.ClientConnectorDNSError as error:
        raise RequestFailed(url, Step.NAME, f"the name {error.host} does not resolve") from error
    except (aiohttp.ClientSSLError, aiohttp.ServerFingerprintMismatch) as error:
        raise RequestFailed(url, Step.TLS, f"no good TLS: {error}") from error
    except aiohttp.ClientConnectorError as error:
        raise RequestFailed(url, Step.CONNECT, f"nobody answers there: {error.strerror or error}") from error
    except TimeoutError as error:
        raise RequestFailed(url, Step.TIME, f"no answer in {timeout_s:g} s") from error
    except (aiohttp.ClientError, OSError, ValueError) as error:
        raise RequestFailed(url, Step.ANSWER, f"no usable answer: {error or type(error).__name__}") from error


async def _bounded(response: aiohttp.ClientResponse) -> bytes:
    data = bytearray()
    async for chunk in response.content.iter_chunked(65536):
        data += chunk
        if len(data) > MAX_BODY:
            break
    return bytes(data[:MAX_BODY])
