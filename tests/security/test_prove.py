"""The short form of `make prove`'s security run."""

import subprocess
import sys


def test_the_short_proof_holds() -> None:
    command = [sys.executable, "-m", "tests.prove.security", "--quick"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=55, check=False)
    wrong = [line for line in done.stdout.splitlines() if line.startswith("FAIL") and "median time" not in line]

    assert wrong == [], done.stdout + done.stderr
    assert " passed, " in done.stdout
