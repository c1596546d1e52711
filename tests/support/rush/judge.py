"""What must hold of the record after a rush, asked in SQL, and of what both far ends saw."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import create_engine, text
from sqlalchemy.engine import Connection

from archer_bridge.adapters.sql import open_store
from archer_bridge.adapters.sql.address import parse_address
from archer_bridge.models import Outcome
from tests.support.rush.faults import DONE, GONE, NO_STREAM
from tests.support.rush.plan import Plan

STRUCK = frozenset({Outcome.VENDOR_UNAVAILABLE, Outcome.BUSY})
"""Right for every call while connections to the vendor fail at random, and the breaker opens."""
RECORD_AWAY = NO_STREAM | frozenset({Outcome.ORPHANED})
"""Right for a call that the record was away from: its stream could not be claimed, or its end not be written."""
AT_ONCE_S = 0.05
"""The agent's goodbye and the caller's leaving within so much time: either may come to the bridge first."""
Span = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of a proof's table."""

    what: str
    goal: str
    result: str
    holds: bool

    def __str__(self) -> str:
        return f"{'ok  ' if self.holds else 'FAIL'} {self.what:<58} {self.goal:>12} {self.result:>24}"


def none_of(what: str, found: Sequence[object]) -> Finding:
    """Return a finding whose goal is zero; the first three are shown when there are some."""
    shown = str(len(found)) + (f": {', '.join(map(str, found[:3]))}" if found else "")
    return Finding(what, "0", shown, not found)


def conclude(findings: Sequence[Finding]) -> int:
    """Print the table and its last line; return the exit code."""
    for finding in findings:
        print(finding)
    failed = sum(not finding.holds for finding in findings)
    print(f"{len(findings) - failed} passed, {failed} failed", flush=True)
    return 1 if failed else 0


class Record:
    """The database, read by SQL of its own: not by the code that wrote it."""

    def __init__(self, url: str) -> None:
        self.url = url
        address = parse_address(url)
        self._url = f"sqlite:///file:{address.file}?mode=ro&uri=true" if address.file is not None else address.url
        self._is_sqlite = address.file is not None

    async def ask(self, query: str) -> list[tuple[object, ...]]:
        """Return the rows of one query."""
        if self._is_sqlite:
            engine = create_engine(str(self._url))
            try:
                with engine.connect() as connection:
                    return _rows(connection, query)
            finally:
                engine.dispose()
        from sqlalchemy.ext.asyncio import create_async_engine

        remote = create_async_engine(self._url)
        try:
            async with remote.connect() as opened:
                return await opened.run_sync(_rows, query)
        finally:
            await remote.dispose()


def _rows(connection: Connection, query: str) -> list[tuple[object, ...]]:
    return [tuple(row) for row in connection.execute(text(query))]


async def judge(record: Record, plans: Mapping[str, Plan], *, away: Sequence[Span] | None = ()) -> list[Finding]:
    """Return the findings: nothing lost, nothing open, nothing twice, and every outcome right.

    `away`: when the record was out of reach, loop times; None: outcomes are not judged.
    """
    rows = {str(sid): (state, outcome, ended) for sid, state, outcome, ended in await record.ask(
        "SELECT call_sid, state, outcome, ended_at FROM calls")}  # fmt: skip
    arranged = await record.ask("SELECT call_sid, confirmation FROM arrangements")
    confirmed = {(str(sid), str(code)) for sid, code in arranged}
    twice = await record.ask(
        "SELECT call_sid, customer_id, total_cents, count(*) FROM arrangements GROUP BY 1, 2, 3 HAVING count(*) > 1"
    )
    endings = await record.ask(
        "SELECT call_sid, count(*) FROM call_events WHERE kind = 'call_ended' GROUP BY call_sid HAVING count(*) <> 1"
    )
    started = await record.ask("SELECT key FROM tool_calls WHERE status = 'started'")
    payments = await record.ask("SELECT call_sid FROM tool_calls WHERE tool = 'process_payment' AND status = 'ok'")
    paid = Counter(str(sid) for sid, _ in arranged)
    told = [(plan.call_sid, code) for plan in plans.values() for code in plan.said_done]
    async with await open_store(record.url, read_only=True) as store:
        checked = await store.check()
    return [
        none_of(
            "calls answered with a stream that have no row",
            [plan.call_sid for plan in plans.values() if plan.answered_connect and plan.call_sid not in rows],
        ),
        none_of("rows of calls that nobody placed", [sid for sid in rows if sid not in plans]),
        none_of("calls not ended", [f"{sid} {state}" for sid, (state, _, _) in rows.items() if state != "ended"]),
        none_of("rows that do not fit their timeline, broken timelines", checked.problems),
        none_of("calls whose timeline has not exactly one end", endings),
        none_of("arrangements made twice in one call", twice),
        none_of("arrangements that the agent was told of and are not there", sorted(set(told) - confirmed)),
        none_of("payments recorded as done without their arrangement", [s for (s,) in payments if not paid[str(s)]]),
        none_of("tool rows still `started`", started),
        none_of("answers to Twilio of 500 and above", _answers(plans, lambda status: status >= 500)),
        none_of("wrong outcomes", [] if away is None else _wrong(plans, rows, away)),
    ]


def _answers(plans: Mapping[str, Plan], wrong: object) -> list[str]:
    assert callable(wrong)
    return [f"{plan.call_sid} {status}" for plan in plans.values() for status in plan.statuses if wrong(status)]


def _wrong(
    plans: Mapping[str, Plan], rows: Mapping[str, tuple[object, object, object]], away: Sequence[Span]
) -> list[str]:
    found = []
    for sid, (_, outcome, _) in rows.items():
        plan = plans.get(sid)
        if plan is None or outcome is None:
            continue
        was_away = any(plan.began_at <= until and since <= plan.ended_at for since, until in away)
        if Outcome(str(outcome)) not in right_outcomes(plan) | (RECORD_AWAY if was_away else frozenset()):
            found.append(f"{sid} {outcome} with {'+'.join(plan.faults) or 'no fault'}{_who_went_first(plan)}")
    return found


def _who_went_first(plan: Plan) -> str:
    if plan.goodbye_at is None or plan.left_at is None:
        return ""
    return f", goodbye {(plan.goodbye_at - plan.left_at) * 1000:+.0f} ms after the caller left"


def right_outcomes(plan: Plan) -> frozenset[Outcome]:
    """Return every outcome that may be right for a call with these faults."""
    allowed = frozenset[Outcome]().union(*(fault.outcomes for fault in plan.faults.values())) or DONE
    if len(plan.faults) > 1:  # which strikes first is chance, and a fault may be survived
        allowed |= DONE
    if plan.goodbye_at is not None and plan.left_at is not None and plan.goodbye_at <= plan.left_at + AT_ONCE_S:
        allowed |= DONE  # the conversation was over when the caller went
    if plan.wants_human and "gone-at-payment" in plan:
        allowed |= DONE
    if "wrong-details" in plan and plan.refused:  # an attempt that was refused is none
        allowed |= DONE
    if allowed >= GONE and not plan.sessions:  # gone before the stream was in the record, so Twilio's news comes first
        allowed |= NO_STREAM
    if "second-socket" in plan and plan.stream_lost:  # of two processes the other one took it, and this one was refused
        allowed |= GONE
    return allowed | STRUCK | (GONE if "no-stop" in plan else frozenset())
