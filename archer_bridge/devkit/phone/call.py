"""Placing a call: the phone."""

from collections.abc import Mapping
from urllib.parse import urlsplit

from archer_bridge.devkit.phone.account import Account, new_sid
from archer_bridge.devkit.phone.caller import CallerScript
from archer_bridge.devkit.phone.events import EventSink
from archer_bridge.devkit.phone.http import Route
from archer_bridge.devkit.phone.interrupt import Goto
from archer_bridge.devkit.phone.leg import Leg
from archer_bridge.devkit.phone.options import Address, PhoneOptions, StatusCallback
from archer_bridge.devkit.phone.report import CallReport
from archer_bridge.devkit.phone.run import Switchboard, run_call


class Phone:
    """A caller's phone and the Twilio between it and a bridge; places any number of calls, one after another or at
    the same time.

    `webhook_url` is the public URL that signatures are made over. `connect_to` sends every request and socket for
    that URL's host to a local address in plain HTTP, as `curl --connect-to`; a mapping does it for several hosts.
    """

    def __init__(
        self,
        account: Account,
        from_number: str,
        to_number: str,
        webhook_url: str,
        *,
        connect_to: Address | Mapping[str, Address] | None = None,
        fallback_url: str | None = None,
        status_callback: StatusCallback | str | None = None,
        options: PhoneOptions | None = None,
        exchange: Switchboard | None = None,
    ) -> None:
        self.account = account
        self.from_number = from_number
        self.to_number = to_number
        self.webhook_url = webhook_url
        self.route = make_route(webhook_url, connect_to)
        self.fallback_url = fallback_url or ""
        self.status_callback = StatusCallback(status_callback) if isinstance(status_callback, str) else status_callback
        self.options = options or PhoneOptions()
        self.exchange = exchange

    async def call(self, caller: CallerScript, *, on_event: EventSink | None = None) -> CallReport:
        """Place one call and return the truth about it.

        Raises:
            Exception: whatever `caller` raised, after hanging up; a `CallerError` is only noted in the report.
        """
        leg = Leg(
            account=self.account,
            call_sid=new_sid("CA"),
            from_number=self.from_number,
            to_number=self.to_number,
            direction="inbound",
            first=Goto(self.webhook_url, purpose="webhook"),
            fallback_url=self.fallback_url,
            status_callback=self.status_callback,
            route=self.route,
            options=self.options,
        )
        return await run_call(leg, caller, on_event=on_event, exchange=self.exchange)


def make_route(url: str, connect_to: Address | Mapping[str, Address] | None) -> Route:
    """Make the route for a bridge at `url`; see `Phone`."""
    if connect_to is None:
        return Route({})
    if isinstance(connect_to, Mapping):
        return Route(dict(connect_to))
    return Route({urlsplit(url).hostname or "": connect_to})
