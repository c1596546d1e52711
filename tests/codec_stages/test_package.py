import os
import subprocess
import sys
from pathlib import Path

import pytest

import archer_codecs

SOURCE = Path(archer_codecs.__file__).parent


def run(code: str, **environment: str) -> str:
    """Run code in a fresh interpreter that finds archer_codecs and what is installed, not the rest of the tree."""
    keep = {name: value for name, value in os.environ.items() if not name.endswith("_NUM_THREADS")}
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], env=keep | environment, capture_output=True, text=True, timeout=9
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_exports_are_what_all_says() -> None:
    public = {name for name in vars(archer_codecs) if not name.startswith("_")}
    modules = {each.stem for each in SOURCE.glob("*.py")} | {"bench", "os"}

    assert set(archer_codecs.__all__) == (public - modules) | {"plan"}
    assert sorted(archer_codecs.__all__) == sorted(set(archer_codecs.__all__))


def test_importing_pulls_in_nothing_of_the_bridge_and_no_heavy_library() -> None:
    loaded = run("import sys, archer_codecs; print(' '.join(sys.modules))").split()
    roots = {name.partition(".")[0] for name in loaded}

    assert not roots & {
        "archer_bridge",
        "archer_tools",
        "asyncio",
        "socket",
        "scipy",
        "soxr",
        "matplotlib",
        "structlog",
    }
    assert "archer_codecs.bench" not in loaded
    assert "numpy" in roots


def test_blas_gets_one_thread_before_numpy_is_imported() -> None:
    code = "import os, archer_codecs; print(os.environ['OPENBLAS_NUM_THREADS'], os.environ['OMP_NUM_THREADS'])"

    assert run(code) == "1 1"
    assert run(code, OPENBLAS_NUM_THREADS="3") == "3 1"


@pytest.mark.parametrize("file", sorted(SOURCE.rglob("*.py")), ids=lambda file: file.stem)
def test_files_stay_short(file: Path) -> None:
    assert len(file.read_text().splitlines()) <= 250
