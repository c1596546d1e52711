import asyncio
import base64
import json
from typing import Any

import pytest
from websockets.exceptions import InvalidStatus

from archer_bridge.devkit.cartesia.faults import FAULTS, CloseAfter, FaultError, Faults, Refusal
from archer_bridge.devkit.dialogue import CallTool, Say
from tests.devkit.cartesia.agent_client import CREATE, agent_client, simulator
from tests.devkit.cartesia.brains import Scripted, maker
from tests.support.virtual import virtual

LONG = "one two " + "and so it goes on and on " * 20 + "to the end."


@pytest.mark.parametrize(
    ("texts", "faults"),
    [
        pytest.param([], Faults(), id="none"),
        pytest.param(["refuse=429"], Faults(refuse=Refusal(429)), id="refuse"),
        pytest.param(["refuse=500:2"], Faults(refuse=Refusal(500, 2)), id="refuse-twice"),
        pytest.param(["never-ready"], Faults(never_ready=True), id="switch"),
        pytest.param(["close-after=3"], Faults(close_after=CloseAfter(3.0)), id="close-default"),
        pytest.param(["close-after=0.5:1008"], Faults(close_after=CloseAfter(0.5, 1008, "")), id="close-code"),
        pytest.param(["close-after=1:1000:idle: x"], Faults(close_after=CloseAfter(1.0, 1000, "idle: x")), id="reason"),
        pytest.param(["late-chunks"], Faults(late_chunks=5), id="default-value"),
        pytest.param(["late-chunks=2", "no-clear"], Faults(late_chunks=2, no_clear=True), id="two"),
    ],
)
def test_faults_are_read(texts: list[str], faults: Faults) -> None:
    assert Faults.parse(texts) == faults


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        pytest.param("explode", f"fault 'explode': no such fault; known are {', '.join(FAULTS)}", id="unknown"),
        pytest.param("no-clear=1", "fault 'no-clear=1': takes no value", id="value-for-switch"),
        pytest.param(
            "close-after", "fault 'close-after': needs a value: close-after=SECONDS[:CODE[:REASON]]", id="no-value"
        ),
        pytest.param(
            "refuse=200",
            "fault 'refuse=200': 200 is not an HTTP error status; write refuse=STATUS[:TIMES]",
            id="status",
        ),
        pytest.param(
            "stall-after=-1",
            "fault 'stall-after=-1': -1 is not a time in seconds; write stall-after=SECONDS",
            id="time",
        ),
        pytest.param(
            "close-after=1:1006",
            "fault 'close-after=1:1006': 1006 is not a close code that may be sent; "
            "write close-after=SECONDS[:CODE[:REASON]]",
            id="code",
        ),
        pytest.param(
            "late-chunks=0",
            "fault 'late-chunks=0': 0 is not a count of at least 1; write late-chunks[=COUNT]",
            id="count",
        ),
    ],
)
def test_unusable_faults_say_why(text: str, problem: str) -> None:
    with pytest.raises(FaultError) as error:
        Faults.parse([text])

    assert str(error.value) == problem


def test_every_fault_is_one_row_with_a_field_and_a_meaning() -> None:
    fields = set(Faults.__dataclass_fields__)

    assert {spec.field for spec in FAULTS.values()} == fields
    assert all(spec.doc for spec in FAULTS.values())


# -- on the wire ---------------------------------------------------------------------------------------------


def options(*faults: str, say: str = LONG) -> dict[str, Any]:
    return {"faults": Faults.parse(faults), "agent": maker(Scripted([Say(say)]))}


@pytest.mark.parametrize("status", [401, 402, 404, 429, 500])
@virtual
async def test_refusals(status: int) -> None:
    async with simulator(**options(f"refuse={status}")) as (served, _):
        with pytest.raises(InvalidStatus) as refused:
            async with agent_client(served):
                pass

    assert refused.value.response.status_code == status


@virtual
async def test_a_counted_refusal_ends() -> None:
    statuses = []
    async with simulator(**options("refuse=503:2")) as (served, _):
        for _ in range(3):
            try:
                async with agent_client(served) as client:
                    await client.start()
                    statuses.append(101)
            except InvalidStatus as refused:
                statuses.append(refused.response.status_code)

    assert statuses == [503, 503, 101]


@virtual
async def test_never_ready() -> None:
    async with simulator(**options("never-ready")) as (served, sim), agent_client(served) as client:
        await client.send(CREATE)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(30):
                await client.next()

    assert sim.counters.sessions == 0


@virtual
async def test_slow_ready() -> None:
    async with simulator(**options("slow-ready=7")) as (served, sim), agent_client(served) as client:
        await client.start()
        ready = sim.feed.named("session_started")[0]["t"] - sim.feed.named("connected")[0]["t"]

    assert ready == pytest.approx(7, abs=0.5)


@pytest.mark.parametrize(
    ("fault", "close", "last"),
    [
        pytest.param("close-after=2", (1011, "agent failed"), None, id="1011"),
        pytest.param("close-after=2:1000:connection idle timeout", (1000, "connection idle timeout"), None, id="1000"),
        pytest.param("fatal-error=2", (1011, "simulated: the agent failed"), "error", id="fatal"),
    ],
)
@virtual
async def test_mid_call_ends(fault: str, close: tuple[int, str], last: str | None) -> None:
    async with simulator(**options(fault)) as (served, sim), agent_client(served) as client:
        await client.start()
        closed = await client.closed()
        record = next(iter(sim.calls.values()))

    assert closed == close
    assert last is None or (client.events[-1]["type"], client.events[-1]["fatal"]) == (last, True)
    assert client.named("turn_ended") == []
    assert record.status == ("completed" if close[0] == 1000 else "failed")


@virtual
async def test_reset_after() -> None:
    async with simulator(**options("reset-after=2")) as (served, sim), agent_client(served) as client:
        await client.start()
        close_code, _ = await client.closed()

    assert close_code == 1006
    assert sim.feed.named("closed")[0]["reason"] == "reset"


@virtual
async def test_stall_after() -> None:
    async with (
        simulator(**options("stall-after=2", say="A short one.")) as (served, sim),
        agent_client(served) as client,
    ):
        await client.start()
        await client.until("turn_ended")
        await asyncio.sleep(2)
        await client.send({"type": "nonsense"})
        await client.send({"type": "dtmf_input", "digit": "1"})
        await sim.feed.expect("dtmf")
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(10):
                await client.next()


@pytest.mark.parametrize(
    ("fault", "is_it"),
    [
        pytest.param("garbage-frame", lambda frame: frame == '{"type": "audio_output", "audio"', id="garbage"),
        pytest.param("binary-frame", lambda frame: frame == b"\x00\xff" * 80, id="binary"),
        pytest.param("big-frame=100000", lambda frame: len(frame) == 100000 and json.loads(frame), id="big"),
        pytest.param("error-event", lambda frame: json.loads(frame)["fatal"] is False, id="error"),
    ],
)
@virtual
async def test_strange_frames_and_the_call_goes_on(fault: str, is_it: Any) -> None:
    async with simulator(**options(fault, say="Still here.")) as (served, _), agent_client(served) as client:
        await client.start()
        frame = await client.socket.recv()
        await client.until("turn_ended", text="Still here.")

    assert is_it(frame)


async def barge_in(*faults: str) -> list[str]:
    """Return the types of all events after the agent's turn was cut, and before the user's."""
    async with simulator(**options(*faults)) as (served, _), agent_client(served) as client:
        await client.start()
        await client.until("turn_output_text_delta", text=" two")
        speaking = asyncio.create_task(client.speak("stop"))
        await client.until("turn_started", role="user")
        await speaking
    kinds = [event["type"] for event in client.events]
    last_delta = len(kinds) - 1 - kinds[::-1].index("turn_output_text_delta")
    return [kind for kind in kinds[last_delta + 1 :] if kind != "turn_started"]


@virtual
async def test_barge_in_faults() -> None:
    assert "audio_output_clear" not in await barge_in("no-clear")
    assert (await barge_in("double-clear")).count("audio_output_clear") == 2
    assert (await barge_in("late-chunks=3"))[-4:] == ["turn_ended"] + ["audio_output"] * 3
    assert (await barge_in("late-chunks=3", "burst"))[-4:] == ["turn_ended"] + ["audio_output"] * 3


@virtual
async def test_tool_call_faults() -> None:
    brain = Scripted([CallTool("get_customer_options", {})])
    faults = Faults.parse(["repeat-tool-call", "unknown-tool"])
    async with simulator(faults=faults, agent=maker(brain)) as (served, sim), agent_client(served) as client:
        await client.start()
        while len(client.named("client_tool_call")) < 4:
            await client.next()
        call = next(e for e in client.events if e.get("tool_name") == "get_customer_options")
        await client.send({"type": "client_tool_result", "tool_call_id": call["tool_call_id"], "result": "1"})
        await sim.feed.expect("tool_result", name="get_customer_options")

    calls = sorted((event["tool_name"], event["tool_call_id"]) for event in client.named("client_tool_call"))
    assert [name for name, _ in calls] == ["get_customer_options"] * 2 + ["no_such_tool"] * 2
    assert len({call_id for _, call_id in calls}) == 2
    assert brain.got == [("tool_result", "get_customer_options", "1", False)]


@virtual
async def test_chunk_faults() -> None:
    sizes = {}
    for fault in ("burst", "oversized-events", "odd-chunks"):
        async with (
            simulator(**options(fault, say="Some words. And more.")) as (served, _),
            agent_client(served) as client,
        ):
            await client.start()
            await client.until("turn_ended")
        sizes[fault] = [len(base64.b64decode(event["audio"])) for event in client.named("audio_output")]
        assert client.heard() == "Some words. And more."

    assert set(sizes["burst"][:3]) == {320}
    assert len(sizes["oversized-events"]) <= 3
    assert len(set(sizes["odd-chunks"])) > 3
    assert all(size % 2 for size in sizes["odd-chunks"][:5])


@virtual
async def test_faults_can_be_changed_between_calls() -> None:
    async with simulator(**options("close-after=1", say="Hi.")) as (served, sim):
        async with agent_client(served) as first:
            await first.start()
            first_close, _ = await first.closed()
        sim.set_faults()
        async with agent_client(served) as second:
            await second.start()
            await asyncio.sleep(5)
            await second.send({"type": "dtmf_input", "digit": "1"})
            await sim.feed.expect("dtmf")

    assert first_close == 1011


@virtual
async def test_a_refused_or_lost_client_is_no_failure_of_the_simulator() -> None:
    async with simulator(**options("reset-after=1")) as (served, sim), agent_client(served) as client:
        await client.start()
        await client.closed()
        await sim.feed.expect("closed")

    assert sim.failures == []
