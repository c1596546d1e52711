"""Archer, the payment-arrangement agent: who speaks, what is allowed, and one call handled from start to end."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypedDict

from archer_bridge.calls.filler import FillerAudio
from archer_bridge.calls.limits import CallLimits
from archer_bridge.calls.registry import LiveCalls
from archer_bridge.calls.session import CallSession, RecorderMaker
from archer_bridge.calls.ticker import Heartbeats
from archer_bridge.calls.tool_runner import ToolRunner
from archer_bridge.models import CallEnd, CallRow, Customer, Turn
from archer_bridge.ports import Engine, Store, TextSocket
from archer_bridge.protocols.twilio_media import MediaStream

PERSONA = """\
You are {name}, a payment-arrangement agent calling on behalf of {company}. You are on the telephone: short sentences, \
one question at a time, numbers spoken naturally.
Verify first: before any account detail is said, get the last four digits of the account number and the postal code, \
and call verify_account. Say nothing about the account, not even that it exists, until it answers verified.
Then call get_customer_options and offer exactly what it returns. Never invent or change an amount.
When the caller has chosen, repeat option, amount and dates, ask for a yes, and only then call process_payment.
Afterwards confirm the arrangement and say that a written confirmation will follow. Never ask for, repeat or accept a \
card number; if the caller starts to say one, stop them kindly.
Be respectful and patient, never threaten. If the caller asks for a person, call transfer_to_human. When the \
conversation is over, say goodbye and call end_call."""


class CallContext(TypedDict):
    """What `handle_call` works on; `tool_calls` fills while the call runs."""

    call: CallRow
    customer: Customer | None
    stream: MediaStream
    caller: TextSocket
    tool_calls: list[dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Persona:
    """Who the agent is; see [agent] in config.toml."""

    name: str
    company: str
    greeting: str

    def instructions(self) -> str:
        """Return the agent's standing instructions."""
        return PERSONA.format(name=self.name, company=self.company)


EngineMaker = Callable[[Mapping[str, str | int | float | bool]], Engine]
"""Makes one call's engine from its variables."""


@dataclass(frozen=True, slots=True)
class ArcherCallAgent:
    """Handles calls as Archer; one instance serves every call of the process."""

    persona: Persona
    allowed_tools: Sequence[str]
    make_engine: EngineMaker
    store: Store
    tools: ToolRunner
    live: LiveCalls
    limits: CallLimits
    beats: Heartbeats
    filler: Callable[[], FillerAudio]
    """What fills silence in a call that begins now."""
    make_recorder: RecorderMaker | None = None
    on_turn: Callable[[str, Turn], None] | None = None

    def variables(self, call: CallRow, customer: Customer | None) -> Mapping[str, str | int | float | bool]:
        """Return what the engine's agent knows of this caller from the start: no account detail is in it."""
        return {
            "call_sid": call.call_sid,
            "caller_number": call.from_number,
            "customer_first_name": customer.first_name if customer else "",
            "agent_name": self.persona.name,
            "company": self.persona.company,
            "greeting": self.persona.greeting,
            "persona": self.persona.instructions(),
        }

    async def handle_call(self, context: CallContext) -> CallEnd:
        """Carry one call, whose stream has proved itself, to its end; `context["tool_calls"]` lists what ran."""
        call = context["call"]
        on_turn = self.on_turn
        session = CallSession(
            row=call,
            stream=context["stream"],
            caller=context["caller"],
            engine=self.make_engine(self.variables(call, context["customer"])),
            store=self.store,
            tools=self.tools,
            limits=self.limits,
            beats=self.beats,
            filler=self.filler(),
            make_recorder=self.make_recorder,
            on_turn=(lambda turn: on_turn(call.call_sid, turn)) if on_turn else None,
        )
        context["tool_calls"] = session.tools.records
        self.live.add(session)
        try:
            return await session.run()
        finally:
            self.live.note_end(session.ending.verdict)
