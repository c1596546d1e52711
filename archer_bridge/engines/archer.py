"""Archer, the payment-arrangement agent: who speaks, what is allowed, and one call handled from start to end."""

import secrets
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any, NotRequired, TypedDict

from archer_bridge.calls.before import Before
from archer_bridge.calls.breaker import Breaker
from archer_bridge.calls.filler import FillerAudio
from archer_bridge.calls.limits import CallLimits
from archer_bridge.calls.record_keeper import RecordKeeper
from archer_bridge.calls.registry import LiveCalls
from archer_bridge.calls.session import CallSession, RecorderMaker
from archer_bridge.calls.ticker import Heartbeats
from archer_bridge.calls.tool_runner import ToolRunner
from archer_bridge.engines.agent import AgentEngine, AgentOptions, Briefing, Variables
from archer_bridge.engines.briefing import briefing
from archer_bridge.engines.resuming import ResumeLimits, ResumingEngine
from archer_bridge.models import CallEnd, CallRow, Customer, Turn
from archer_bridge.ports import Dialer, Engine, Recall, Store, TextSocket
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
    before: NotRequired[Before | None]
    """What happened on the call's earlier streams."""


@dataclass(frozen=True)
class Persona:
    """Who the agent is; see [agent] in config.toml."""

    name: str
    company: str
    greeting: str
    resuming: str = "I am sorry, the line was interrupted for a moment."
    """The first words after an interruption."""

    @cached_property
    def instructions(self) -> str:
        """The agent's standing instructions: one text for all calls, which hold it as long as they last."""
        return PERSONA.format(name=self.name, company=self.company)


VariablesOf = Callable[[Recall | None], Variables]
"""Says what a session of a call is told: at the call's beginning, or after an interruption."""
EngineMaker = Callable[[VariablesOf, Recall | None], Engine]
"""Makes one call's engine; the recall is of the call's earlier streams."""


def resuming_agents(
    options: AgentOptions, dial: Dialer, limits: ResumeLimits, breaker: Breaker | None = None
) -> EngineMaker:
    """Return the maker of engines that follow a lost session with another one of the same Cartesia agent."""

    def make_session(told: VariablesOf, asked: Callable[[], Recall | None], ready_by: float | None) -> AgentEngine:
        return AgentEngine(options, dial, partial(_brief, told, asked), breaker=breaker, ready_by=ready_by)

    def make_engine(told: VariablesOf, before: Recall | None) -> Engine:
        return ResumingEngine(partial(make_session, told), limits, recall=before)

    return make_engine


def _brief(told: VariablesOf, asked: Callable[[], Recall | None]) -> Briefing:
    recall = asked()
    if recall is None:
        return Briefing(told(None))
    return Briefing(told(recall), recall.last_turn, scope=f"{secrets.token_hex(3)}:")


@dataclass(frozen=True, slots=True)
class ArcherCallAgent:
    """Handles calls as Archer; one instance serves every call of the process."""

    persona: Persona
    make_engine: EngineMaker
    store: Store
    tools: ToolRunner
    live: LiveCalls
    keeper: RecordKeeper
    limits: CallLimits
    beats: Heartbeats
    filler: Callable[[], FillerAudio]
    """What fills silence in a call that begins now."""
    make_recorder: RecorderMaker | None = None
    on_turn: Callable[[str, Turn], None] | None = None

    def variables(self, call: CallRow, customer: Customer | None, recall: Recall | None = None) -> Variables:
        """Return what the engine's agent knows of this caller from the start: no account detail is in it.

        After an interruption it is told what was said and what the tools answered; nothing else.
        """
        persona = self.persona
        instructions = persona.instructions
        return {
            "call_sid": call.call_sid,
            "caller_number": call.from_number,
            "customer_first_name": customer.first_name if customer else "",
            "agent_name": persona.name,
            "company": persona.company,
            "greeting": persona.resuming if recall is not None else persona.greeting,
            "persona": f"{instructions}\n\n{briefing(recall)}" if recall is not None else instructions,
        }

    async def handle_call(self, context: CallContext) -> CallEnd:
        """Carry one call, whose stream has proved itself, to its end; `context["tool_calls"]` lists what ran."""
        call, before, on_turn = context["call"], context.get("before"), self.on_turn

        session = CallSession(
            row=call,
            stream=context["stream"],
            caller=context["caller"],
            engine=self.make_engine(
                partial(self.variables, call, context["customer"]), before.recall if before else None
            ),
            store=self.store,
            keeper=self.keeper,
            tools=self.tools,
            limits=self.limits,
            beats=self.beats,
            filler=self.filler(),
            before=before,
            make_recorder=self.make_recorder,
            on_turn=partial(on_turn, call.call_sid) if on_turn else None,
        )
        context["tool_calls"] = session.tools.records
        self.live.add(session)
        return await session.run()
