"""Session after session: when another one follows, how soon, and when none does."""

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import pytest

from archer_bridge.engines.resuming import ResumeLimits, ResumingEngine
from archer_bridge.errors import EngineError
from archer_bridge.models import ToolFinished
from archer_bridge.ports import Closed, EngineEvent, EngineLost, EngineReady, Recall
from tests.support.virtual import virtual

AWAY = EngineError("no answer", retryable=True)
DENIED = EngineError("refused", status=401)


@dataclass
class FakeSession:
    """Does what it is told: is refused, or talks for a while and ends."""

    plan: EngineError | tuple[float, Closed]
    began_at: float = -1.0
    is_ready: bool = False
    heard: list[bytes] = field(default_factory=list)
    closed: bool = False
    told: Recall | None = None
    ready_by: float | None = None
    format_name: str = "mulaw/8000/1"
    gave_up: str = ""
    asked: Callable[[], Recall | None] = lambda: None
    over: asyncio.Event = field(default_factory=asyncio.Event)

    async def run(self, on_event: Callable[[EngineEvent], None]) -> Closed:
        self.began_at, self.told = asyncio.get_running_loop().time(), self.asked()
        if isinstance(self.plan, EngineError):
            raise self.plan
        self.is_ready = True
        on_event(EngineReady("s"))
        try:
            async with asyncio.timeout(self.plan[0]):
                await self.over.wait()
        except TimeoutError:
            return self.plan[1]
        return Closed(1002, self.gave_up) if self.gave_up else Closed(1000)

    def give_up(self, reason: str) -> None:
        self.gave_up = reason
        self.over.set()

    def send_audio(self, data: bytes, text: bytes | None) -> None:
        self.heard.append(data)

    def send_digit(self, digit: str) -> None:
        self.heard.append(digit.encode())

    def send_tool_result(self, finished: ToolFinished) -> None:
        self.heard.append(finished.result.encode())

    async def close(self) -> None:
        self.closed = True
        self.over.set()


@dataclass
class Call:
    """A call's memory, its sessions, and what was reported."""

    sessions: list[FakeSession]
    wanted: bool = True
    events: list[EngineEvent] = field(default_factory=list)
    made: int = 0

    def wants_more(self) -> bool:
        return self.wanted

    def recall(self) -> Recall:
        return Recall(last_turn=7)

    def make(self, asked: Callable[[], Recall | None], ready_by: float | None) -> FakeSession:
        session = self.sessions[self.made]
        self.made += 1
        session.asked, session.ready_by = asked, ready_by
        return session

    async def run(self, **limits: float) -> Closed | EngineError:
        engine = ResumingEngine(self.make, ResumeLimits(**limits))  # type: ignore[arg-type]  # by name
        try:
            return await engine.run(self.events.append, self)
        except EngineError as error:
            return error
        finally:
            await engine.close()


def call(*plans: EngineError | tuple[float, Closed]) -> Call:
    return Call([FakeSession(plan) for plan in plans])


LOST, DONE = Closed(1011, "broke"), Closed(1000)


@pytest.mark.parametrize(
    ("plans", "made", "end"),
    [
        pytest.param([AWAY], 1, AWAY, id="never-there"),
        pytest.param([(5, DONE)], 1, DONE, id="hung-up"),
        pytest.param([(5, Closed(1008))], 1, Closed(1008), id="we-did-wrong"),
        pytest.param([(5, LOST), (5, DONE)], 2, DONE, id="lost-once"),
        pytest.param([(5, LOST), AWAY, (5, DONE)], 3, DONE, id="there-at-the-second-try"),
        pytest.param([(5, LOST), AWAY, AWAY, (5, DONE)], 4, DONE, id="there-at-the-third"),
        pytest.param([(5, LOST), AWAY, AWAY, AWAY], 4, AWAY, id="gone"),
        pytest.param([(5, LOST), DENIED], 2, DENIED, id="refused"),
        pytest.param([(5, LOST)] * 4, 4, LOST, id="too-often"),
        pytest.param([(5, LOST), (61, LOST), (61, LOST), (61, LOST), (5, DONE)], 5, DONE, id="seldom"),
    ],
)
@virtual
async def test_when_another_session_follows(
    plans: Iterable[EngineError | tuple[float, Closed]], made: int, end: Closed | EngineError
) -> None:
    one = call(*plans)

    assert await one.run() == end
    assert one.made == made
    assert all(session.closed for session in one.sessions[:made])


@virtual
async def test_each_try_is_a_little_later_and_all_are_soon() -> None:
    one = call((5, LOST), AWAY, AWAY, AWAY)
    await one.run()
    lost_at = one.sessions[0].began_at + 5
    tries = [session.began_at - lost_at for session in one.sessions[1:]]

    assert tries == [
        pytest.approx(0.2, abs=0.05),
        pytest.approx(0.7, abs=0.15),
        pytest.approx(1.7, abs=0.35),
    ]
    assert [session.ready_by for session in one.sessions[1:]] == [pytest.approx(lost_at + 2.2)] * 3
    assert [type(event) for event in one.events] == [EngineReady, EngineLost]


@virtual
async def test_no_try_is_begun_that_could_not_be_in_time() -> None:
    one = call((5, LOST), AWAY, AWAY, AWAY)
    await one.run(within_s=1.0)

    assert one.made == 3


@virtual
async def test_a_call_that_says_goodbye_wants_no_other() -> None:
    one = call((5, LOST), (5, DONE))
    one.wanted = False

    assert await one.run() == LOST
    assert one.made == 1


@virtual
async def test_a_new_session_is_told_what_is_known_when_it_begins_and_hears_from_the_loss_on() -> None:
    one = call((5, LOST), (5, DONE))
    engine = ResumingEngine(one.make, ResumeLimits())
    running = asyncio.create_task(engine.run(one.events.append, one))
    await asyncio.sleep(1)
    engine.send_audio(b"before", None)
    await asyncio.sleep(4.05)
    engine.send_audio(b"meanwhile", None)
    engine.send_digit("5")
    await running
    await engine.close()

    assert one.sessions[0].told is None
    assert one.sessions[1].told == Recall(last_turn=7)
    assert [session.heard for session in one.sessions] == [[b"before"], [b"meanwhile", b"5"]]


@virtual
async def test_a_session_that_falls_silent_is_replaced_but_not_twice_in_a_row() -> None:
    one = call((100, LOST), (100, LOST), (100, LOST))
    engine = ResumingEngine(one.make, ResumeLimits())
    running = asyncio.create_task(engine.run(one.events.append, one))
    answers = [engine.restart("too early")]
    await asyncio.sleep(1)
    answers.append(engine.restart("silent"))
    await asyncio.sleep(10)
    answers.append(engine.restart("silent again"))
    await asyncio.sleep(30)
    answers.append(engine.restart("silent much later"))
    await asyncio.sleep(1)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    await engine.close()

    assert answers == [False, True, False, True]
    assert one.made == 3
    assert [event.reason for event in one.events if isinstance(event, EngineLost)] == [
        "1002 silent",
        "1002 silent much later",
    ]
