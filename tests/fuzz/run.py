"""Fuzz one target with atheris: `python -m tests.fuzz.run TARGET [libFuzzer options]`.

For example `-max_total_time=20 -runs=1000000`. What it finds goes to var/fuzz/TARGET; a crash belongs into the corpus.
"""

import sys
from pathlib import Path

CORPUS = Path(__file__).parent / "corpus"


def main() -> None:
    """Hand over to libFuzzer, which never returns."""
    name, *options = sys.argv[1:]
    import atheris  # not a dependency: installed by who fuzzes

    with atheris.instrument_imports(include=["archer_bridge", "archer_tools", "starlette", "twilio", "urllib"]):
        from tests.fuzz.targets import TARGETS
    target = TARGETS[name]
    found = Path("var/fuzz", name)
    found.mkdir(parents=True, exist_ok=True)
    arguments = [sys.argv[0], *options, f"-artifact_prefix={found}/", str(found), str(CORPUS / name)]
    atheris.Setup(arguments, lambda data: target(bytes(data)))
    atheris.Fuzz()


if __name__ == "__main__":
    main()
