"""Random histories of the store against a model: the record's invariants hold after every one.

Restarts are part of a history: the store is closed, opened again under the same name and recovered, as a
process is that was killed between two acknowledged writes.
"""

import asyncio
import atexit
import shutil
import sqlite3
import tempfile
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, invariant, rule

from archer_bridge.adapters.sql import SqlStore, open_store, upgrade
from archer_bridge.calls.state import allowed
from archer_bridge.models import Began, CallEnd, CallState, Outcome, ToolStatus
from tests.adapters.sql.samples import SetClock, new_call, new_sid, tool, turn

LIVE = {ToolStatus.STARTED, ToolStatus.OK, ToolStatus.UNKNOWN}


@dataclass
class Told:
    """What the store acknowledged about one call."""

    state: CallState = CallState.CREATED
    outcome: Outcome | None = None
    stream: str | None = None
    reopened: int = 0
    turns: set[int] = field(default_factory=set)


class RecordMachine(RuleBasedStateMachine):
    """Calls, tokens, tools and restarts in any order."""

    calls = Bundle("calls")

    @initialize()
    def open(self) -> None:
        self.loop = asyncio.new_event_loop()
        self.folder = Path(tempfile.mkdtemp(prefix="archer-machine-"))
        self.url, self.clock = f"sqlite:///{self.folder}/record.db", SetClock()
        shutil.copyfile(_template(), self.folder / "record.db")
        self.model: dict[str, Told] = {}
        self.spent: set[str] = set()
        self.tools: dict[str, tuple[str | None, ToolStatus]] = {}
        self.store: SqlStore = self._run(open_store(self.url, owner_id="me", clock=self.clock))

    def teardown(self) -> None:
        if hasattr(self, "store"):
            self._check_everything()
            self._run(self.store.close())
            self.loop.run_until_complete(self.loop.shutdown_default_executor())
            self.loop.close()
            shutil.rmtree(self.folder)

    def _run(self, work: Any) -> Any:
        return self.loop.run_until_complete(work)

    @rule(target=calls)
    def webhook(self) -> str:
        sid = new_sid()
        self._run(self.store.open_call(new_call(sid)))
        self.model[sid] = Told()
        return sid

    @rule(sid=calls, copies=st.integers(1, 3))
    def repeat_webhook(self, sid: str, copies: int) -> None:
        for _ in range(copies):
            assert self._run(self.store.open_call(new_call(sid))).state is self.model[sid].state

    @rule(sid=calls, jti=st.sampled_from("abcdefgh"))
    def claim(self, sid: str, jti: str) -> None:
        told = self.model[sid]
        should = told.state is CallState.CREATED and jti not in self.spent
        row = self._run(self.store.claim_stream(sid, f"MZ{jti}", jti, "me"))
        assert should == (row is not None)
        if should:
            told.state, told.stream = CallState.CONNECTING, f"MZ{jti}"
            self.spent.add(jti)

    @rule(sid=calls, state=st.sampled_from([CallState.ACTIVE, CallState.ENDING]))
    def move(self, sid: str, state: CallState) -> None:
        should = allowed(self.model[sid].state, state)
        assert should == self._run(self.store.move_call(sid, state))
        if should:
            self.model[sid].state = state

    @rule(sid=calls)
    def reopen(self, sid: str) -> None:
        told = self.model[sid]
        waits = told.state is CallState.CREATED and told.reopened > 0  # asked once more, the answer is the same
        should = allowed(told.state, CallState.CREATED) and told.reopened < 2
        assert (should or waits) == (self._run(self.store.reopen_call(sid, at_most=2)) is not None)
        if should:
            told.state, told.stream, told.reopened = CallState.CREATED, None, told.reopened + 1

    @rule(sid=calls, outcomes=st.lists(st.sampled_from(Outcome), min_size=1, max_size=3))
    def end(self, sid: str, outcomes: list[Outcome]) -> None:
        async def race() -> list[bool]:
            ends = (self.store.end_call(sid, CallEnd(outcome, "over", 1)) for outcome in outcomes)
            return list(await asyncio.gather(*ends))

        told = self.model[sid]
        was_open = told.state is not CallState.ENDED
        ended = self._run(race())
        assert int(was_open) == sum(ended)
        if was_open:
            told.state, told.outcome = CallState.ENDED, outcomes[ended.index(True)]

    @rule(sid=calls, number=st.integers(1, 9))
    def talk(self, sid: str, number: int) -> None:
        self.store.add_turn(sid, turn(number))
        self.store.note(sid, "heard", {"turn": number})
        self.model[sid].turns.add(number)

    @rule(sid=calls, key=st.sampled_from("pqrstu"), pay=st.sampled_from([None, "x", "y"]))
    def begin(self, sid: str, key: str, pay: str | None) -> None:
        found = self._run(self.store.begin_tool(tool(key, sid, business_key=pay))).found
        in_the_way = self.tools.get(key) or next(
            (row for row in self.tools.values() if pay is not None and row[0] == pay and row[1] in LIVE), None
        )
        if in_the_way is None:
            assert found is Began.NEW
            self.tools[key] = (pay, ToolStatus.STARTED)
        else:
            expected = {ToolStatus.STARTED: Began.RUNNING, ToolStatus.UNKNOWN: Began.BLOCKED}
            assert found is expected.get(in_the_way[1], Began.REPLAY)

    @rule(key=st.sampled_from("pqrstu"), status=st.sampled_from([ToolStatus.OK, ToolStatus.ERROR, ToolStatus.UNKNOWN]))
    def finish(self, key: str, status: ToolStatus) -> None:
        self._run(self.store.finish_tool(key, status, "{}", 1.0))
        if key in self.tools and self.tools[key][1] in {ToolStatus.STARTED, ToolStatus.UNKNOWN}:
            self.tools[key] = (self.tools[key][0], status)

    @rule(seconds=st.integers(-7200, 7200))
    def clock_jumps(self, seconds: int) -> None:
        self.clock.advance(seconds=seconds)

    @rule()
    def restart(self) -> None:
        self._run(self.store.close())
        self.store = self._run(open_store(self.url, owner_id="me", clock=self.clock))
        recovered = self._run(self.store.recover())
        expected = {sid for sid, told in self.model.items() if told.state not in {CallState.CREATED, CallState.ENDED}}
        assert expected <= set(recovered.calls)
        for sid in recovered.calls:
            told = self.model[sid]
            never = Outcome.CALLER_HANGUP if told.reopened else Outcome.NO_STREAM
            told.outcome = never if told.state is CallState.CREATED else Outcome.ORPHANED
            told.state = CallState.ENDED
        for key, (pay, status) in self.tools.items():
            if status is ToolStatus.STARTED:
                self.tools[key] = (pay, ToolStatus.UNKNOWN)

    @invariant()
    def the_rows_are_what_was_acknowledged(self) -> None:
        """Look with a plain connection of its own: an acknowledged row is there for everybody."""
        if not hasattr(self, "store"):
            return
        with closing(sqlite3.connect(self.folder / "record.db")) as connection:
            calls = connection.execute("SELECT call_sid, state, outcome, stream_sid FROM calls").fetchall()
            tools = connection.execute("SELECT key, status, business_key FROM tool_calls").fetchall()
        told = {sid: (call.state, call.outcome, call.stream) for sid, call in self.model.items()}
        assert told == {row[0]: row[1:] for row in calls}
        assert {key: status for key, (_, status) in self.tools.items()} == {row[0]: row[1] for row in tools}
        alive = [pay for _, status, pay in tools if pay is not None and status in LIVE]
        assert len(alive) == len(set(alive))

    def _check_everything(self) -> None:
        """Every timeline is whole and replays to its row, and what was handed over is there."""
        self._run(self.store.flush())
        assert self._run(self.store.check()).problems == ()
        for sid, told in self.model.items():
            assert told.turns == {each.number for each in self._run(self.store.turns(sid))}


_templates: list[Path] = []


def _template() -> Path:
    """Return a record with a schema and no rows; making one takes longer than a whole history."""
    if not _templates:
        folder = tempfile.mkdtemp(prefix="archer-machine-")
        atexit.register(shutil.rmtree, folder)
        file = Path(folder) / "template.db"
        asyncio.run(upgrade(f"sqlite:///{file}"))
        _templates.append(file)
    return _templates[0]


TestRecordMachine = RecordMachine.TestCase
TestRecordMachine.settings = settings(
    max_examples=8, stateful_step_count=25, deadline=None, suppress_health_check=list(HealthCheck), database=None
)
