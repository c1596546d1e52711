"""Twilio's HTTP client: every request signed, retried and traced; redirects and cookies as Twilio handles them."""

import asyncio
from collections.abc import Mapping
from http.cookies import CookieError, SimpleCookie
from urllib.parse import urldefrag, urlencode, urljoin, urlsplit

from archer_bridge.devkit.phone.account import new_sid
from archer_bridge.devkit.phone.errors import RequestFailed
from archer_bridge.devkit.phone.http import Response, Route, request
from archer_bridge.devkit.phone.options import HttpPolicy
from archer_bridge.devkit.phone.record import Record, loop_ms
from archer_bridge.devkit.phone.report import RequestTrace
from archer_bridge.devkit.phone.signing import request_signature

USER_AGENT = "TwilioProxy/1.1"
MAX_REDIRECTS = 10
_FORM = "application/x-www-form-urlencoded; charset=UTF-8"


class Requester:
    """Makes the requests of one call; cookies live as long as the call."""

    def __init__(self, auth_token: str, route: Route, record: Record) -> None:
        self._auth_token = auth_token
        self._route = route
        self._record = record
        self._cookies: SimpleCookie = SimpleCookie()

    async def send(
        self, purpose: str, url: str, form: Mapping[str, str], *, method: str = "POST", token: str = ""
    ) -> Response:
        """Send `form` and return the first 2xx answer; `token` is the idempotency token (a new one if empty).

        Raises:
            RequestFailed: after the retries the URL's policy allows.
        """
        token = token or new_sid("")
        policy = HttpPolicy.from_url(url)
        url = urldefrag(url).url
        try:
            async with asyncio.timeout(policy.total_s):
                for attempt in range(1, policy.retries + 2):
                    try:
                        return await self._follow((purpose, attempt), url, form, (method, token, policy))
                    except RequestFailed as failure:
                        again = failure.stage in policy.retry_on or (failure.stage and "all" in policy.retry_on)
                        if attempt > policy.retries or not again:
                            raise
        except TimeoutError as error:
            raise RequestFailed(11200, url, f"no answer within {policy.total_s:g} s in all") from error
        raise AssertionError("the last attempt either answered or raised")

    async def _follow(
        self, trace: tuple[str, int], url: str, form: Mapping[str, str], how: tuple[str, str, HttpPolicy]
    ) -> Response:
        """Follow redirects; 301, 302 and 303 turn a POST into a GET and lose the parameters."""
        method, token, policy = how
        for _ in range(MAX_REDIRECTS + 1):
            response = await self._once(trace, url, form, (method, token, policy))
            if response.status not in {301, 302, 303, 307, 308}:
                break
            url = urljoin(url, response.header("location"))
            if response.status in {301, 302, 303}:
                method, form = "GET", {}
        else:
            raise RequestFailed(11215, url, f"more than {MAX_REDIRECTS} redirects")
        if not 200 <= response.status < 300:
            stage = f"{response.status // 100}xx"
            raise RequestFailed(11200, url, f"answered {response.status}: expected 2xx", stage=stage)
        return response

    async def _once(
        self, trace: tuple[str, int], url: str, form: Mapping[str, str], how: tuple[str, str, HttpPolicy]
    ) -> Response:
        method, token, policy = how
        body = b""
        if method == "GET" and form:
            url += ("&" if urlsplit(url).query else "?") + urlencode(form)
        elif method == "POST":
            body = urlencode(form).encode("ascii")
        signature = request_signature(self._auth_token, url, form if body else {})
        headers = [
            ("User-Agent", USER_AGENT),
            ("Accept", "*/*"),
            ("X-Twilio-Signature", signature),
            ("I-Twilio-Idempotency-Token", token),
            *([("Content-Type", _FORM)] if body else []),
            *([("Cookie", "; ".join(f"{k}={m.value}" for k, m in self._cookies.items()))] if self._cookies else []),
        ]
        started = loop_ms()
        status, error = None, "abandoned"
        try:
            response = await request(method, url, headers=headers, body=body, route=self._route, policy=policy)
            status, error = response.status, ""
        except RequestFailed as failure:
            error = str(failure)
            raise
        finally:
            purpose, attempt = trace
            took = loop_ms() - started
            self._record.requests.append(
                RequestTrace(started, purpose, method, url, dict(form), attempt, status, error, took)
            )
        self._keep_cookies(response)
        return response

    def _keep_cookies(self, response: Response) -> None:
        for name, value in response.headers:
            if name == "set-cookie":
                try:
                    self._cookies.load(value)
                except CookieError as error:
                    self._record.violation(11206, f"unreadable Set-Cookie header: {error}")
