"""Half an hour near the limit: the same calls all the while, and nothing may grow, get lost or come late.

    python -m tests.bench.endurance [--minutes 30] [--load 0.7]

So many calls are placed that the bridge uses `--load` of a core, with recording and in the dearest of the engine's
formats: what places the calls and what answers them shall need the machine less than the bridge does. Each caller
speaks without a pause, and is answered without one; the figures are those of windows of ten seconds. A window in which
the generator itself was late, or the host of a virtual machine gave its cores to others, says nothing of delays; such
windows are counted and said.

The lead is set to two seconds: these agents never pause, so after one stall of the machine audio beyond the usual lead
would wait for the rest of the half hour, which says something of the lead and nothing of the bridge.
"""

import argparse
import asyncio
import os
import statistics
import sys
import tempfile
import time
from array import array
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import uvloop

from tests.bench.far_engine import STREAM
from tests.bench.load import FRAME_S, Leg, Measured, media_frames, noise
from tests.bench.processes import cpu_ns, machine, rss_kib, stolen_s, wait_ns
from tests.bench.segment import LATE_S, drive_segment, open_calls, ready, warm_up
from tests.bench.variants import DEAREST, Variant, start, start_engine
from tests.support.rush.judge import Finding, conclude

WINDOW_S = 10.0
APART = 1
"""Frames from the beginning of one call's speech to the next one's."""
LOOK = 250
"""Frames before measuring begins, in which what the filters hold is found out."""
SETTLED_S = 180.0
"""Memory is measured from here on."""
MOST_GROWTH_MIB = 5.0
LIMIT_MS = 20.0
STOLEN = 0.02
"""Of a core, that the machine's host keeps back: 200 ms of a window, of which a hundredth is 100 ms."""
FEW, NEAR = 60, 0.03
TRIES = 5


@dataclass(frozen=True, slots=True)
class Window:
    """Ten seconds: frames, milliseconds at the 99th percentile, shares of a core, resident MiB."""

    at_s: float
    sent: int
    received: int
    p99: float
    late: float
    load: float
    waited: float
    stolen: float
    rss_mib: float

    @property
    def is_blind(self) -> bool:
        """Whether the generator was late itself, or the machine away, so that delays are partly theirs."""
        return self.late > LATE_S * 1000 or self.stolen > STOLEN


async def fitting(variant: Variant, load: float) -> int:
    """Find the number of calls that uses this share of a core, about; what a frame costs falls with the number."""
    calls = FEW
    for _ in range(TRIES):
        used = (await drive_segment(variant, calls, warm_s=1.5, measure_s=4.0, busy=1.0)).load
        print(f"  {calls} calls use {used:.0%} of a core", file=sys.stderr)
        await asyncio.sleep(1.0)  # they end
        if abs(used - load) <= NEAR:
            break
        calls = round(calls * min(2.0, load / used))
    return calls


@dataclass
class Edge:
    """What was read as a window began; `measured` is what that window gave."""

    at: float
    cpu_ns: int
    wait_ns: int
    stolen_s: float
    rss_kib: float
    measured: Measured


async def drive_on(variant: Variant, legs: list[Leg], windows: int) -> list[Window]:
    """Drive the calls without a pause; figures are made when it is over, for making them would make frames late.

    One call after another begins to speak, as in life; measuring begins ten seconds after the last.
    """
    loop, pid, calls = asyncio.get_running_loop(), variant.process.pid, len(legs)
    a_window, unmeasured = round(WINDOW_S / FRAME_S), APART * calls + round(WINDOW_S / FRAME_S)
    count = unmeasured + windows * a_window
    frames = media_frames(STREAM, count, noise)
    edges: list[Edge] = []
    began, at, end, done = time.perf_counter() + 0.05, 0, count * calls, loop.create_future()

    def edge() -> None:
        measured = Measured(calls=calls, latencies=array("d"), lateness=array("d"))
        edges.append(Edge(time.perf_counter(), cpu_ns(pid), wait_ns(pid), stolen_s(), rss_kib(pid), measured))
        for leg in legs:
            leg.measured = measured

    def tick() -> None:
        nonlocal at
        now = time.perf_counter()
        while at < end and (due := began + (at // calls + at % calls / calls) * FRAME_S) <= now:
            number, which = divmod(at, calls)
            if number == unmeasured - LOOK:
                legs[which].look_again()
            if which == 0 and number >= unmeasured and (number - unmeasured) % a_window == 0:
                edge()
                if number == unmeasured:
                    for leg in legs:
                        leg.begin(due)  # with what filters hold left out, each answer is that of its frame
            if number >= which * APART:
                if legs[which].transport.is_closing():
                    done.set_exception(ConnectionError(f"call {which} of {calls} ended at frame {number} of {count}"))
                    return
                legs[which].send(frames[number - which * APART], due)
            at += 1
        if at == end:
            done.set_result(None)
        else:
            loop.call_later(max(0.0, due - now), tick)

    loop.call_later(0.05, tick)
    await done
    await asyncio.sleep(1.0)  # the last answers
    edge()
    return [window(one, after, edges[0].at) for one, after in pairwise(edges)]


def window(one: Edge, after: Edge, began: float) -> Window:
    """Return the figures between two edges."""
    measured, took = one.measured, after.at - one.at
    return Window(
        one.at - began, measured.sent, measured.received, measured.percentile(measured.latencies, 0.99),
        measured.percentile(measured.lateness, 0.99), (after.cpu_ns - one.cpu_ns) / 1e9 / took,
        (after.wait_ns - one.wait_ns) / 1e9 / took, (after.stolen_s - one.stolen_s) / took, after.rss_kib / 1024,
    )  # fmt: skip


def judge(windows: Sequence[Window]) -> list[Finding]:
    """Return what must hold."""
    sent, received = (sum(counts) for counts in zip(*((each.sent, each.received) for each in windows), strict=True))
    seeing = [window for window in windows if not window.is_blind]
    slow = [f"{window.p99:.0f} ms at {window.at_s:.0f} s" for window in seeing if window.p99 > LIMIT_MS]
    load = statistics.median(window.load for window in windows)
    settled = [window.rss_mib for window in windows if window.at_s >= SETTLED_S] or [windows[0].rss_mib]
    grown = windows[-1].rss_mib - settled[0]
    shown = f"{len(slow)} of {len(seeing)}" + (f": {', '.join(slow[:3])}" if slow else "")
    return [
        Finding("frames lost", "0", f"{sent - received} of {sent}", sent == received),
        Finding(f"windows with a p99 above {LIMIT_MS:g} ms", "0", shown, not slow),
        Finding("share of a core, median", ">= 65 %", f"{load:.0%}", load >= 0.65),
        Finding("memory grown", f"<= {MOST_GROWTH_MIB:g} MiB", f"{grown:.1f} MiB", grown <= MOST_GROWTH_MIB),
    ]


async def endure(arguments: argparse.Namespace, folder: Path) -> int:
    """Run it; return the exit code."""
    os.environ["ARCHER_AUDIO__LEAD_MS"] = "2000"  # the processes started below inherit it
    async with AsyncExitStack() as stack:
        engine = await start_engine(stack, folder)
        (variant,) = await start(stack, [DEAREST], folder, engine, peers=None)
        await warm_up(variant)
        calls = arguments.calls or await fitting(variant, arguments.load)
        print(machine(str(calls)))
        legs = await open_calls(variant, calls, lambda: Leg(Measured()))
        await ready(variant)
        windows = await drive_on(variant, legs, round(arguments.minutes * 60 / WINDOW_S))
    for each in windows:
        print(f"  {each}", file=sys.stderr)
    blind = [window for window in windows if window.is_blind]
    stolen = sum(window.stolen > STOLEN for window in blind)
    p99s = sorted(window.p99 for window in windows if not window.is_blind) or [float("nan")]
    print(
        f"{calls} calls, {len(windows) * WINDOW_S / 60:.1f} min, {len(windows)} windows; in {len(blind)} the generator "
        f"was late (p99 up to {max((window.late for window in blind), default=0.0):.0f} ms) or the machine's host kept "
        f"back more than {STOLEN:.0%} of a core (in {stolen}); in the others p99 "
        f"{p99s[len(p99s) // 2]:.1f} ms in the middle, {p99s[-1]:.1f} ms at most"
    )
    return conclude(judge(windows))


def main() -> int:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--load", type=float, default=0.7, help="share of a core that the bridge is to use")
    parser.add_argument("--calls", type=int, default=0, help="so many, whatever they use")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="archer-endurance-") as folder:
        return uvloop.run(endure(arguments, Path(folder)))


if __name__ == "__main__":
    sys.exit(main())
