"""Recordings that survive: processes killed at random instants, and one very long call.

    python -m tests.prove.recordings --kills 50 --seconds 7200

Kills: a child process runs the whole product in real time, with several recorded calls at once, until it gets SIGKILL
at an instant nobody chose; every recording it leaves must be readable and within one second of what the phone had by
then. The long call: two hours through the whole product on virtual time; the recording must equal the phone's truth
in every byte, and what the call's parts hold must not grow.
"""

import argparse
import asyncio
import json
import logging
import random
import signal
import subprocess
import sys
import tempfile
import time
import wave
from collections import deque
from collections.abc import Iterator
from pathlib import Path

import structlog

from archer_bridge.adapters.wav_file import WavFile
from archer_bridge.devkit.cartesia import SimulatorOptions
from archer_bridge.devkit.dialogue import Say
from archer_bridge.devkit.phone import Caller, PhoneEvent
from archer_bridge.devkit.virtual_time import run
from tests.support.brains import Mind, minds
from tests.support.wav import read_wav
from tests.support.world import World, world

CALLS = 5
"""Recorded calls at once in a child."""
LONGEST_LOSS_S = 1.0
LONG_CALL_SPEED = 100.0
"""Virtual seconds a real one: what the database takes is real, and must not look like seconds."""
MOST_GROWTH = 1.5
"""Of what a call's parts hold, from its tenth to its end; what is held varies with what is said just then."""
OWN = (dict, list, tuple, set, frozenset, deque, bytes, bytearray, str)
TALK = Mind(
    greeting=(Say("Hello, this is a recorded call."),),
    answer=(Say("I see, please tell me a little more about that."),),
)


# ---- the child ----------------------------------------------------------------------------------------------------


async def record_calls(folder: Path, encoding: str) -> None:
    """Run the product with recorded calls that never end; print which call has reached what, line by line."""
    settings = {
        "ARCHER_RECORDING__ENABLED": "true",
        "ARCHER_RECORDING__FOLDER": str(folder),
        "ARCHER_RECORDING__ENCODING": encoding,
    }
    options = SimulatorOptions(voice="tones", agent=minds(TALK))
    with tempfile.TemporaryDirectory() as database:
        async with world(Path(database), simulator=options, **settings) as here, asyncio.TaskGroup() as group:
            for number in range(CALLS):
                group.create_task(_endless(here, number * 0.3), name=f"call {number}")


async def _endless(here: World, after_s: float) -> None:
    await asyncio.sleep(after_s)
    sid = ""

    def note(event: PhoneEvent) -> None:
        nonlocal sid
        if event.kind == "ringing":
            sid = event.text

    async def script(caller: Caller) -> None:
        talking = asyncio.ensure_future(_talk(caller))
        while not talking.done():
            print(json.dumps([sid, caller.now_ms / 1000]), flush=True)
            await caller.wait(0.1)

    await here.phone().call(script, on_event=note)


async def _talk(caller: Caller) -> None:
    while True:
        await caller.agent_finished()
        await caller.say("There is something more to say.")


# ---- kills -------------------------------------------------------------------------------------------------------


def kill_rounds(kills: int, seed: int) -> Iterator[tuple[str, float, float]]:
    """Kill children until so many recordings were cut short; yield name, recorded and true seconds of each."""
    chance = random.Random(seed)
    done = 0
    while done < kills:
        with tempfile.TemporaryDirectory() as folder:
            encoding = chance.choice(["mulaw", "pcm16"])
            reached = _killed_child(Path(folder), encoding, chance.uniform(1.0, 8.0))
            for path in sorted(Path(folder).glob("*.wav"))[: kills - done]:
                recorded = read_wav(path)
                if encoding == "pcm16":
                    with wave.open(str(path)) as read:
                        assert read.getnframes() == recorded.pairs, path
                done += 1
                yield path.stem, recorded.pairs / 8000, reached.get(path.stem, 0.0)


def _killed_child(folder: Path, encoding: str, after_s: float) -> dict[str, float]:
    """Run a child until all its calls talk, and a random while longer; return what each call had reached."""
    command = [sys.executable, "-m", "tests.prove.recordings", "--calls", str(folder), encoding]
    child = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    reached: dict[str, float] = {}
    kill_at = float("inf")
    for line in child.stdout:
        if not line.endswith("\n"):
            break  # cut in the middle by the kill
        sid, seconds = json.loads(line)
        reached[sid] = seconds
        if len(reached) == CALLS and kill_at == float("inf"):
            kill_at = time.monotonic() + after_s
        if time.monotonic() >= kill_at:
            child.send_signal(signal.SIGKILL)
            kill_at = float("inf")
    child.wait()
    child.stdout.close()
    return reached


# ---- the long call -----------------------------------------------------------------------------------------------


async def long_call(seconds: float) -> list[str]:
    """Place one call on virtual time; return what differs from the phone's truth."""
    with tempfile.TemporaryDirectory() as folder:
        settings = {
            "ARCHER_RECORDING__ENABLED": "true",
            "ARCHER_RECORDING__FOLDER": f"{folder}/recordings",
            "ARCHER_CALLS__MAX_DURATION_S": str(seconds + 60),
        }
        options = SimulatorOptions(voice="tones", agent=minds(TALK))
        sizes: list[int] = []

        async def script(caller: Caller) -> None:
            talking = asyncio.ensure_future(_talk(caller))
            for _ in range(10):
                await caller.wait(seconds / 10)
                (session,) = here.service.live
                sizes.append(_size_of_a_call(session.line))
            talking.cancel()
            await caller.hang_up()

        async with world(Path(folder), simulator=options, **settings) as here:
            report = await here.call(script)
            await here.service.live.wait_empty()
            await asyncio.to_thread(WavFile.wait)
        recorded = read_wav(Path(folder) / "recordings" / f"{report.call_sid}.wav")
    stream = report.streams[0]
    said = report.said[round(stream.start_ms * 8) : round(stream.end_ms * 8)]
    heard = report.heard_of(stream)
    print(f"long call: {recorded.pairs / 8000:.1f} s recorded of {len(heard) / 8000:.1f} s; sizes {sizes}")
    sides = {"caller": (recorded.data[0::2], said), "agent": (recorded.data[1::2], heard)}
    problems = [f"the {side}'s side differs" for side, (ours, truth) in sides.items() if ours != truth[: len(ours)]]
    if not 0 <= len(heard) - recorded.pairs <= 8000:
        problems.append(f"{len(heard) - recorded.pairs} samples are missing at the end")
    if max(sizes) > MOST_GROWTH * sizes[0]:
        problems.append(f"the call's parts grew: {sizes}")
    return problems


def _size_of_a_call(root: object) -> int:
    """Return the bytes of everything that a call's own parts hold: containers, audio, values."""
    seen: set[int] = set()
    todo, total = [root], 0
    while todo:
        item = todo.pop()
        ours = type(item).__module__.startswith("archer_bridge.calls")
        if id(item) in seen or not (ours or isinstance(item, OWN)):
            continue
        seen.add(id(item))
        total += sys.getsizeof(item)
        if isinstance(item, dict):
            todo += [*item, *item.values()]
        elif isinstance(item, (list, tuple, set, frozenset, deque)):
            todo += item
        elif ours:
            todo += [getattr(item, name) for name in getattr(item, "__slots__", ())]
            todo += getattr(item, "__dict__", {}).values()
    return total


# ---- command line ------------------------------------------------------------------------------------------------


def prove(kills: int, seconds: float, seed: int) -> int:
    """Run both proofs; return how many things were wrong."""
    worst, count, bad = 0.0, 0, 0
    for name, recorded_s, true_s in kill_rounds(kills, seed):
        count += 1
        worst = max(worst, abs(recorded_s - true_s))
        if abs(recorded_s - true_s) > LONGEST_LOSS_S:
            bad += 1
            print(f"{name}: {recorded_s:.2f} s recorded of {true_s:.2f} s")
    print(f"kills: {count} recordings of killed processes, all readable; {bad} off by more than {LONGEST_LOSS_S:g} s,")
    print(f"       the worst by {worst:.2f} s")
    problems = run(long_call(seconds), max_speed=LONG_CALL_SPEED) if seconds else []
    for problem in problems:
        print(f"long call: {problem}")
    return bad + len(problems)


def main() -> int:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--seconds", type=float, default=7200.0, help="length of the long call")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**6))
    parser.add_argument("--calls", nargs=2, metavar=("FOLDER", "ENCODING"), help="(a child) record calls")
    options = parser.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    if options.calls:
        asyncio.run(record_calls(Path(options.calls[0]), options.calls[1]))
    print(f"seed {options.seed}")
    return 1 if prove(options.kills, options.seconds, options.seed) else 0


if __name__ == "__main__":
    sys.exit(main())
