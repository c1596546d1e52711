"""The account's side of REST: its numbers, its calls, and calls placed from it."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from types import TracebackType

from archer_bridge.devkit.phone.account import Account, new_sid
from archer_bridge.devkit.phone.caller import Caller, CallerScript
from archer_bridge.devkit.phone.http import Route
from archer_bridge.devkit.phone.interrupt import Goto
from archer_bridge.devkit.phone.leg import Leg
from archer_bridge.devkit.phone.options import PhoneOptions, StatusCallback
from archer_bridge.devkit.phone.report import CallReport
from archer_bridge.devkit.phone.run import LiveCall, run_call


@dataclass(frozen=True, slots=True)
class Number:
    """A phone number of the account and where its calls go."""

    phone_number: str
    sid: str = field(default_factory=lambda: new_sid("PN"))
    voice_url: str = ""
    voice_method: str = "POST"
    voice_fallback_url: str = ""
    status_callback: str = ""


async def listen(caller: Caller) -> None:
    """Pick up and say nothing until the call is over."""
    await caller.ended.wait()


class Exchange:
    """Every call of one account, and the numbers it owns.

    Pass it to `Phone(exchange=...)` so that REST can change those calls. Calls created over REST ring the person
    `answer` names for the number dialled; they run while the exchange is open (`async with`), and its end waits
    for theirs. Their reports are in `reports` by CallSid.
    """

    def __init__(
        self,
        account: Account,
        *,
        numbers: tuple[Number, ...] = (),
        route: Route | None = None,
        answer: Callable[[str], CallerScript] = lambda _number: listen,
        options: PhoneOptions | None = None,
    ) -> None:
        self.account = account
        self.calls: dict[str, LiveCall] = {}
        self.numbers = {number.sid: number for number in numbers}
        self.reports: dict[str, CallReport] = {}
        self._route = route or Route({})
        self._answer = answer
        self._options = options or PhoneOptions()
        self._group: asyncio.TaskGroup | None = None

    async def __aenter__(self) -> "Exchange":
        self._group = asyncio.TaskGroup()
        await self._group.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._group is not None
        group, self._group = self._group, None
        await group.__aexit__(kind, error, trace)

    def add(self, call: LiveCall) -> None:
        """Take note of a call that begins (the phone does)."""
        self.calls[call.leg.call_sid] = call

    def update_number(self, sid: str, changes: Mapping[str, str]) -> Number:
        """Change a number's settings, named as the fields of `Number`.

        Raises:
            KeyError: no such number.
        """
        self.numbers[sid] = replace(self.numbers[sid], **dict(changes))
        return self.numbers[sid]

    def place(
        self, from_number: str, to_number: str, first: Goto, *, status_callback: StatusCallback | None = None
    ) -> Leg:
        """Call `to_number`; whoever answers hears `first`.

        Raises:
            RuntimeError: the exchange is not open.
        """
        if self._group is None:
            raise RuntimeError("the exchange is not open: use `async with Exchange(...)` around the REST app")
        leg = Leg(
            account=self.account,
            call_sid=new_sid("CA"),
            from_number=from_number,
            to_number=to_number,
            direction="outbound-api",
            first=first,
            fallback_url="",
            status_callback=status_callback,
            route=self._route,
            options=self._options,
        )
        self._group.create_task(self._run(leg, self._answer(to_number)), name=f"call-{leg.call_sid}")
        return leg

    async def _run(self, leg: Leg, script: CallerScript) -> None:
        self.reports[leg.call_sid] = await run_call(leg, script, exchange=self)
