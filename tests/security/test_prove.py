"""The short form of `make prove-security`, in three processes of about ten seconds."""

import subprocess
import sys

import pytest

IN_ONE_PROCESS = ("forged_webhooks", "tokens", "races", "strangers", "documents")


@pytest.mark.slow  # processes are started
@pytest.mark.parametrize("proofs", [IN_ONE_PROCESS, ("memory",), ("process_races",)], ids=["one", "memory", "races"])
def test_the_short_proof_holds(proofs: tuple[str, ...]) -> None:
    only = [argument for proof in proofs for argument in ("--only", proof)]
    command = [sys.executable, "-m", "tests.prove.security", "--quick", *only]
    done = subprocess.run(command, capture_output=True, text=True, timeout=55, check=False)
    wrong = [line for line in done.stdout.splitlines() if line.startswith("FAIL") and "median time" not in line]

    assert wrong == [], done.stdout + done.stderr
    assert " passed, " in done.stdout, done.stdout + done.stderr
    assert all(f"{proof}: " in done.stdout for proof in proofs)
