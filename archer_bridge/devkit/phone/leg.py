"""The facts of one call that never change while it runs, and the form fields every request of it carries."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from archer_bridge.devkit.phone.account import Account
from archer_bridge.devkit.phone.http import Route
from archer_bridge.devkit.phone.interrupt import Goto
from archer_bridge.devkit.phone.options import PhoneOptions, StatusCallback

API_VERSION = "2010-04-01"
Direction = Literal["inbound", "outbound-api"]
CallStatus = Literal["queued", "ringing", "in-progress", "completed", "busy", "failed", "no-answer", "canceled"]


@dataclass(frozen=True, slots=True)
class Leg:
    """Who calls whom, and where the call's first document comes from."""

    account: Account
    call_sid: str
    from_number: str
    to_number: str
    direction: Direction
    first: Goto
    fallback_url: str
    status_callback: StatusCallback | None
    route: Route
    options: PhoneOptions

    def form(self, status: CallStatus, extra: Mapping[str, str] | None = None) -> dict[str, str]:
        """Return the standard fields of a voice request (twilio.com/docs/voice/twiml#request-parameters).

        The place fields may be present but empty; `Caller*` and `Called*` repeat `From*` and `To*`.
        """
        form = {
            "CallSid": self.call_sid,
            "AccountSid": self.account.account_sid,
            "ApiVersion": API_VERSION,
            "CallStatus": status,
            "Direction": self.direction,
        }
        for names, number in ((("From", "Caller"), self.from_number), (("To", "Called"), self.to_number)):
            for name in names:
                form[name] = number
                form |= {f"{name}City": "", f"{name}State": "", f"{name}Zip": "", f"{name}Country": "US"}
        return form | dict(self.options.extra_form) | dict(extra or {})
