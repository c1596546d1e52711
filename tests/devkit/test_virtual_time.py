"""The virtual-time loop: exact timers, real sockets, real threads."""

import asyncio
import selectors
import socket
import threading
import time

import aiosqlite
import pytest

from archer_bridge.devkit.virtual_time import VirtualTimeLoop, run
from tests.support.virtual import virtual

FRAME = bytes(range(160))
FRAME_S = 0.02


@virtual
async def test_time_starts_at_zero_and_timers_fire_at_the_very_instant() -> None:
    loop = asyncio.get_running_loop()
    fired: list[float] = []
    for delay in (60.0, 0.02, 0.06, 0.1, 0.7):
        loop.call_later(delay, lambda: fired.append(loop.time()))
    before = loop.time()

    await asyncio.sleep(59.0)
    early = list(fired)

    assert before == 0.0
    assert early == [0.02, 0.06, 0.1, 0.7]


@virtual(max_speed=1e6)
async def test_no_instant_drifts_over_minutes_of_frames() -> None:
    loop = asyncio.get_running_loop()

    late = []
    for k in range(1, 5_001):
        await asyncio.sleep(k * FRAME_S - loop.time())
        late.append(loop.time() - k * FRAME_S)

    assert max(map(abs, late)) <= 1e-9


@virtual
async def test_work_on_the_loop_costs_no_virtual_time() -> None:
    loop = asyncio.get_running_loop()

    until = time.monotonic() + 0.02
    while time.monotonic() < until:
        await asyncio.sleep(0)

    assert loop.time() == 0.0


async def _echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while frame := await reader.read(len(FRAME)):
        writer.write(frame)
        await writer.drain()
    writer.close()
    await writer.wait_closed()


@virtual
async def test_a_minute_of_frames_crosses_real_sockets_at_exact_instants() -> None:
    """Sixty seconds of call: the time limit on every test shows that they pass faster than real time."""
    loop = asyncio.get_running_loop()
    server = await asyncio.start_server(_echo, "127.0.0.1", 0)
    reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
    start = loop.time()

    echoes = []
    for k in range(3000):
        await asyncio.sleep(start + k * FRAME_S - loop.time())
        writer.write(FRAME)
        assert await reader.readexactly(len(FRAME)) == FRAME
        echoes.append(loop.time() - start - k * FRAME_S)
    writer.close()
    await writer.wait_closed()
    server.close()

    assert max(map(abs, echoes)) <= 1e-9
    assert loop.time() - start == pytest.approx(59.98)


@virtual
async def test_two_sockets_stream_at_once_without_being_late() -> None:
    loop = asyncio.get_running_loop()
    ours, theirs = socket.socketpair()
    sides = [await asyncio.open_connection(sock=side) for side in (ours, theirs)]
    arrivals: list[list[float]] = [[], []]

    async def send(writer: asyncio.StreamWriter) -> None:
        for k in range(500):
            await asyncio.sleep(k * FRAME_S - loop.time())
            writer.write(FRAME)

    async def receive(side: int) -> None:
        for k in range(500):
            await sides[side][0].readexactly(len(FRAME))
            arrivals[side].append(round(loop.time() - k * FRAME_S, 9))

    async with asyncio.TaskGroup() as group:
        for side in (0, 1):
            group.create_task(send(sides[side][1]), name=f"send {side}")
            group.create_task(receive(side), name=f"receive {side}")
    for _, writer in sides:
        writer.close()
        await writer.wait_closed()

    assert arrivals == [[0.0] * 500] * 2


@virtual
async def test_a_timeout_ends_a_wait_that_nothing_ends() -> None:
    loop = asyncio.get_running_loop()

    with pytest.raises(TimeoutError):
        async with asyncio.timeout(5):
            await asyncio.Event().wait()

    assert loop.time() == 5.0


@virtual
async def test_thread_results_arrive_before_a_distant_timer() -> None:
    loop = asyncio.get_running_loop()
    release = threading.Event()
    loop.call_later(0.5, release.set)

    async with asyncio.timeout(60):
        assert await loop.run_in_executor(None, release.wait, 5) is True

    assert 0.5 <= loop.time() < 60


@virtual
async def test_a_job_in_a_thread_costs_the_time_it_really_takes() -> None:
    """A database on a loaded machine must not look slower than it is."""
    loop = asyncio.get_running_loop()
    began = time.monotonic()

    async with asyncio.timeout(60):
        await asyncio.gather(*(asyncio.to_thread(threading.Event().wait, 0.05) for _ in range(2)))
    real_s = time.monotonic() - began
    await asyncio.sleep(60)

    assert 60 < loop.time() <= 60 + real_s


@virtual(max_speed=10)
async def test_a_thread_the_loop_does_not_know_costs_virtual_time_at_the_maximum_speed() -> None:
    loop = asyncio.get_running_loop()
    done = asyncio.Event()
    began = time.monotonic()
    timer = threading.Timer(0.05, loop.call_soon_threadsafe, (done.set,))
    timer.start()

    async with asyncio.timeout(60):
        await done.wait()
    real_s = time.monotonic() - began
    timer.join()

    assert 0.0 < loop.time() <= real_s * 10


@virtual
async def test_without_timers_the_loop_waits_for_the_thread() -> None:
    loop = asyncio.get_running_loop()

    result = await asyncio.to_thread(lambda: "done")

    assert result == "done"
    assert loop.time() == 0.0


@virtual
async def test_sqlite_answers_between_frames() -> None:
    async with asyncio.timeout(60), aiosqlite.connect(":memory:") as db:
        await db.execute("create table calls (sid text)")
        for k in range(20):
            await db.execute("insert into calls values (?)", (f"CA{k}",))
            await asyncio.sleep(FRAME_S)
        await db.commit()
        rows = await db.execute_fetchall("select count(*) from calls")

    assert [tuple(row) for row in rows] == [(20,)]


@virtual
async def test_a_descriptor_may_be_watched_both_ways_and_let_go() -> None:
    loop = asyncio.get_running_loop()
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    written, received = asyncio.Event(), asyncio.Event()
    with ours, theirs:
        loop.add_reader(ours, received.set)
        loop.add_writer(ours, written.set)
        await written.wait()
        loop.remove_writer(ours)
        theirs.send(FRAME)
        await received.wait()
        loop.remove_reader(ours)

    assert loop.time() == 0.0


def test_a_selector_without_a_descriptor_serves_as_well(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(selectors, "DefaultSelector", selectors.SelectSelector)

    async def main() -> float:
        await asyncio.sleep(0.5)
        return asyncio.get_running_loop().time()

    assert run(main()) == 0.5


def test_run_returns_the_result_and_closes_the_loop() -> None:
    async def main() -> asyncio.AbstractEventLoop:
        await asyncio.sleep(1)
        return asyncio.get_running_loop()

    loop = run(main())

    assert isinstance(loop, VirtualTimeLoop)
    assert loop.is_closed()
    assert loop.time() == 1.0


def test_run_lets_an_error_out() -> None:
    async def main() -> None:
        raise LookupError("no call")

    with pytest.raises(LookupError, match="no call"):
        run(main())


@pytest.mark.parametrize("speed", [0.0, -1.0, float("nan")])
def test_a_speed_that_goes_nowhere_is_refused(speed: float) -> None:
    with pytest.raises(ValueError, match="max_speed is .*; expected a positive number"):
        VirtualTimeLoop(speed)


def test_loops_of_other_tests_are_untouched() -> None:
    run(asyncio.sleep(0))

    with pytest.raises(RuntimeError, match="no running event loop"):
        asyncio.get_running_loop()
