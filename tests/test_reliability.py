"""The short forms of `make prove-reliability`, each against a real process."""

import subprocess
import sys

import pytest

PROOFS = (
    "chaos --calls 60 --at-once 30 --seed 11",
    "chaos --calls 120 --at-once 30 --seed 11 --processes 2 --db postgres",
    "drain --calls 8",
    "overload --capacity 5",
    "powerloss --cuts 30 --writes 200",
    "clock --calls 3",
    "takeover --calls 10",
)
TIMED = ("seconds ", "slowest ", "99 % of gaps", "memory ", "calls that lasted", "wrong outcomes")
"""What a machine that runs other tests beside this may miss; the long form judges it."""


@pytest.mark.slow  # processes are started, and faults are waited for
@pytest.mark.timeout(180)
@pytest.mark.parametrize("proof", PROOFS)
def test_the_short_proof_holds(proof: str) -> None:
    name, *arguments = proof.split()
    command = [sys.executable, "-m", f"tests.prove.{name}", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=170, check=False)
    skipped = [line for line in done.stdout.splitlines() if line.startswith("SKIPPED, NOT PROVED")]
    if skipped and "\n0 passed, 0 failed" in done.stdout:
        pytest.skip(skipped[0])
    wrong = [line for line in done.stdout.splitlines() if line.startswith("FAIL") and not line[5:].startswith(TIMED)]

    assert wrong == [], done.stdout + done.stderr
    assert " passed, " in done.stdout, done.stdout + done.stderr
