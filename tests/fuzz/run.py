"""Fuzz with atheris: `python -m tests.fuzz.run [TARGET …] [--executions N] [--seed N] [--jobs N]`.

The executions are shared out among the targets, each in a process of its own; what a run learns is kept in
var/fuzz/TARGET and is where the next one begins. Prints executions a second and what was found, target by target. An
input that breaks one is kept as var/fuzz/TARGET/crash-…; mended, it belongs into the committed corpus. Exit code 1 for
a find. Without atheris nothing is fuzzed, which is said loudly (exit code 0: the suite runs mutations of the corpus).
"""

import argparse
import os
import re
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

ROOT = Path(__file__).parents[2]
CORPUS = Path(__file__).parent / "corpus"
FOUND = ROOT / "var" / "fuzz"
TARGETS = {"twilio_frame": 86, "cartesia_frame": 86, "webhook_form": 26, "tool_arguments": 1, "redaction": 1}
"""Each one's part of the executions, so that all take about as long: a frame is read in microseconds."""
OURS = (
    "archer_bridge.protocols",
    "archer_bridge.calls",
    "archer_bridge.redaction",
    "archer_bridge.tool_api",
    "archer_bridge.tool_values",
)
"""Where new paths are looked for: what libraries do with the same bytes is their fuzzers' work."""
LONGEST_INPUT = 4096
SLOWEST_S = 10
"""An input that takes longer is a find, too."""
ONE_TARGET = "--one-target"
SKIPPED = "FUZZING SKIPPED: atheris is not installed (pip install 'archer-bridge[fuzz]')"


@dataclass(frozen=True, slots=True)
class Ran:
    """What came of one target."""

    target: str
    executions: int
    seconds: float
    crashes: tuple[str, ...]
    exit_code: int
    said: str
    """The end of what it said, when something is wrong."""

    @property
    def is_clean(self) -> bool:
        """Whether it ran to its end and found nothing."""
        return self.exit_code == 0 and not self.crashes

    def __str__(self) -> str:
        rate = self.executions / self.seconds if self.seconds else 0.0  # imports and instrumenting included
        found = f"{len(self.crashes)} found" if self.crashes else "nothing found"
        wrong = "" if self.is_clean else f" (exit code {self.exit_code}) {' '.join(self.crashes)}\n{self.said}"
        return f"{self.target:15} {self.executions:>11,} executions  {rate:>9,.0f}/s  {found}{wrong}"


def fuzz(target: str, executions: int, *, seed: int) -> Ran:
    """Run one target in a process of its own."""
    folder = FOUND / target
    folder.mkdir(parents=True, exist_ok=True)
    before = set(folder.iterdir())
    options = [f"-runs={executions}", f"-seed={seed}", f"-max_len={LONGEST_INPUT}", f"-timeout={SLOWEST_S}"]
    command = [sys.executable, "-m", "tests.fuzz.run", ONE_TARGET, target, *options, "-print_final_stats=1"]
    began = time.perf_counter()
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, errors="replace", check=False)
    seconds = time.perf_counter() - began
    said = done.stdout + done.stderr
    crashes = {
        path.name for path in set(folder.iterdir()) - before if re.match("crash-|timeout-|oom-|leak-", path.name)
    }
    return Ran(target, _executions(said), seconds, tuple(sorted(crashes)), done.returncode, said[-3000:])


def _executions(said: str) -> int:
    """Return what libFuzzer counted: its final statistics, or the last line of progress when it ended early."""
    counted = re.findall(r"stat::number_of_executed_units:\s*(\d+)", said) or re.findall(r"^#(\d+)", said, re.M)
    return int(counted[-1]) if counted else 0


def _one_target(name: str, options: list[str]) -> None:
    """Hand over to libFuzzer, which never returns."""
    import atheris

    with atheris.instrument_imports(include=[*OURS, "archer_tools"]):
        from tests.fuzz.targets import TARGETS as functions
    target = functions[name]
    folder = FOUND / name
    arguments = [sys.argv[0], *options, f"-artifact_prefix={folder}/", str(folder), str(CORPUS / name)]
    atheris.Setup(arguments, lambda data: target(bytes(data)))
    atheris.Fuzz()


def main() -> int:
    """Fuzz the targets asked for and print a table."""
    if sys.argv[1:2] == [ONE_TARGET]:
        _one_target(sys.argv[2], sys.argv[3:])
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("targets", nargs="*", metavar="TARGET", help=f"of {', '.join(TARGETS)}; all without")
    parser.add_argument("--executions", type=int, default=1_000_000, help="of all targets together")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--jobs", type=int, default=min(2, os.cpu_count() or 1), help="targets at once")
    options = parser.parse_args()
    if unknown := set(options.targets) - set(TARGETS):
        parser.error(f"no such target: {', '.join(sorted(unknown))}")
    if find_spec("atheris") is None:
        print(SKIPPED, file=sys.stderr)
        return 0
    targets = options.targets or list(TARGETS)
    parts = sum(TARGETS[target] for target in targets)
    shares = {target: -(-options.executions * TARGETS[target] // parts) for target in targets}
    with ThreadPoolExecutor(options.jobs) as pool:
        ran = []
        for one in pool.map(lambda target: fuzz(target, shares[target], seed=options.seed), targets):
            print(one, flush=True)
            ran.append(one)
    total, bad = sum(one.executions for one in ran), [one.target for one in ran if not one.is_clean]
    print(f"seed {options.seed}: {total:,} executions of {len(ran)} targets, {len(bad)} with a find: {bad or 'none'}")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
