"""200 secrets through every entry; none in the log, the database, the metrics or on the command line."""

import json
import subprocess
import sys

import pytest


@pytest.mark.slow  # a process full of secrets is started
@pytest.mark.parametrize(("style", "seed", "count"), [("json", 1, 200), ("console", 2, 60)])
def test_no_planted_secret_is_found(style: str, seed: int, count: int) -> None:
    command = [sys.executable, "-m", "tests.support.canary", "--seed", str(seed), "--log", style]
    command += ["--secrets", str(count)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=55, check=False)
    report = json.loads(done.stdout)

    assert report["finds"] == []
    assert done.returncode == 0
    assert report["secrets"] == count
    assert min(report["masks"][sink] for sink in ("log", "database", "command line")) > count // 3
