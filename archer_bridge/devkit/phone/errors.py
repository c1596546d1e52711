"""The phone's own errors.

PhoneError
├── RequestFailed      an HTTP request to the bridge gave no usable answer; carries Twilio's error code
├── TwimlError         a document Twilio would not execute; carries Twilio's error code
└── CallerError        the caller's script cannot go on
    ├── CallEnded      the call is over
    └── AgentSilent    the agent did not speak (or did not stop) in time
"""


class PhoneError(Exception):
    """Root of the phone's errors."""


class RequestFailed(PhoneError):
    """A request that got no usable answer; `code` is Twilio's error code (twilio.com/docs/api/errors)."""

    def __init__(self, code: int, url: str, detail: str, *, stage: str = "") -> None:
        super().__init__(code, url, detail)
        self.code = code
        self.url = url
        self.detail = detail
        self.stage = stage
        """`ct`, `rt`, `4xx` or `5xx`: the name a retry policy (`rp`) has for it; empty when none has."""

    def __str__(self) -> str:
        return f"{self.code}: {self.url}: {self.detail}"


class TwimlError(PhoneError):
    """A document that cannot be executed; `code` is Twilio's error code."""

    def __init__(self, code: int, detail: str) -> None:
        super().__init__(code, detail)
        self.code = code
        self.detail = detail

    def __str__(self) -> str:
        return f"{self.code}: {self.detail}"


class CallerError(PhoneError):
    """The caller's script cannot go on."""


class CallEnded(CallerError):
    """The call is over, so the caller can do nothing more."""

    def __str__(self) -> str:
        return "the call has ended"


class AgentSilent(CallerError):
    """The caller waited for the agent in vain."""

    def __init__(self, waited_for: str, timeout_s: float, at_ms: float) -> None:
        super().__init__(waited_for, timeout_s, at_ms)
        self.waited_for = waited_for
        self.timeout_s = timeout_s
        self.at_ms = at_ms

    def __str__(self) -> str:
        return f"waited {self.timeout_s:g} s for the agent to {self.waited_for}, in vain, until {self.at_ms:.0f} ms"
