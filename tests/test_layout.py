"""The shape of the repository: what no reviewer should have to look for."""

import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from archer_bridge.cli.main import COMMANDS

ROOT = Path(__file__).parent.parent
TESTS = ROOT / "tests"
MIRRORS = {
    ROOT / "archer_bridge": TESTS,
    ROOT / "codecs" / "archer_codecs": TESTS / "codec_stages",
    ROOT / "tools" / "archer_tools": TESTS / "tool_handlers",
}
LONGEST_FILE = 300
LONGEST_FUNCTION = 60
UNTESTED = {
    "archer_bridge/__init__.py": "the version only",
    "archer_bridge/__main__.py": "tests/cli/test_main.py runs it",
    "archer_bridge/ports.py": "protocols and values, no behaviour",
    "archer_bridge/models.py": "values, no behaviour",
    "archer_bridge/calls/core_ports.py": "protocols, no behaviour",
    "archer_bridge/calls/numbers.py": "tests/calls/test_session.py reads every number in the record",
    "archer_bridge/calls/speech.py": "half of the core: tests/calls/test_core.py",
    "archer_bridge/calls/watch.py": "tests/calls/test_session.py runs it",
    **{
        f"archer_bridge/calls/tool_{part}.py": "a part of the tool runner: tests/calls/test_tool_runner.py and its kin"
        for part in ("execution", "loop", "pipeline", "remote", "run", "scope")
    },
}
"""Modules without a test that names them, each with the reason."""


def sources() -> Iterator[Path]:
    for root in MIRRORS:
        yield from sorted(root.rglob("*.py"))


def named(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("folder", ["codecs", "tools"])
def test_roots_are_no_packages(folder: str) -> None:
    """With an __init__.py, `codecs/` shadows the standard library's module under PYTHONPATH and in mypy."""
    assert not (ROOT / folder / "__init__.py").exists()


def test_no_folder_of_tests_is_called_codecs() -> None:
    """In importlib mode it would replace the standard library's `codecs` for the whole run."""
    assert [named(path) for path in TESTS.rglob("codecs") if path.is_dir()] == []


def test_every_folder_with_tests_is_a_package() -> None:
    folders = {path.parent for path in TESTS.rglob("*.py") if "data" not in path.relative_to(TESTS).parts}

    assert [named(folder) for folder in sorted(folders) if not (folder / "__init__.py").is_file()] == []


def test_no_module_has_a_name_of_the_standard_library() -> None:
    """Where a module stands right in a root, running a script beside it would import ours for theirs."""
    names = [path.stem for root in MIRRORS for path in root.iterdir()]

    assert [name for name in names if name in sys.stdlib_module_names] == []


def test_files_are_short() -> None:
    lengths = {named(path): len(path.read_text(encoding="utf-8").splitlines()) for path in sources()}

    assert {name: length for name, length in lengths.items() if length > LONGEST_FILE} == {}


def test_functions_are_short() -> None:
    long = {}
    for path in sources():
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                first = node.body[1].lineno if _has_docstring(node) and len(node.body) > 1 else node.body[0].lineno
                length = (node.end_lineno or 0) - first + 1
                if length > LONGEST_FUNCTION and "migrations" not in path.parts:
                    long[f"{named(path)}:{node.name}"] = length

    assert long == {}


def _has_docstring(node: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    return ast.get_docstring(node) is not None


def test_every_module_has_its_tests() -> None:
    """A module's own test module, or tests in its folder's mirror (or above) that import it, or its package."""
    missing = []
    for root, mirror in MIRRORS.items():
        for path in sorted(root.rglob("*.py")):
            inside = path.relative_to(root)
            if path.stem == "__init__" or "migrations" in inside.parts or named(path) in UNTESTED:
                continue
            if (mirror / inside.parent / f"test_{path.stem}.py").is_file() or _is_imported(root, path, mirror):
                continue
            missing.append(named(path))

    assert missing == []


def _is_imported(root: Path, path: Path, mirror: Path) -> bool:
    parts = [root.name, *path.relative_to(root).with_suffix("").parts]
    module, package = ".".join(parts), ".".join(parts[:-1])
    above = mirror.joinpath(*parts[1:-1])
    if not above.is_dir():
        above = above.parent
    text = "\n".join(test.read_text(encoding="utf-8") for test in sorted(above.rglob("*.py")))
    whole_package = len(parts) > 2 and re.search(rf"from {re.escape(package)} import", text)
    return re.search(rf"\b{re.escape(module)}\b", text) is not None or whole_package is not None


def test_the_exceptions_exist() -> None:
    assert [name for name in UNTESTED if not (ROOT / name).is_file()] == []


def pages() -> Iterator[tuple[str, str]]:
    for path in [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]:
        yield named(path), path.read_text(encoding="utf-8")


def test_pages_name_no_missing_make_target() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    used = {(page, name) for page, text in pages() for name in re.findall(r"(?:^|`)make ([a-z-]+)", text, re.MULTILINE)}

    assert {(page, name) for page, name in used if name not in targets} == set()


def test_pages_name_no_missing_command() -> None:
    used = {(page, name) for page, text in pages() for name in re.findall(r"(?:`|bin/)archer ([a-z-]+)", text)}
    for page, text in pages():
        for block in re.findall(r"^```sh\n(.*?)^```", text, re.MULTILINE | re.DOTALL):
            used |= {(page, name) for name in re.findall(r"^archer ([a-z-]+)", block, re.MULTILINE)}

    assert {(page, name) for page, name in used if name not in COMMANDS} == set()


def test_links_between_pages_lead_somewhere() -> None:
    broken = set()
    for page, text in pages():
        for target in re.findall(r"\]\((?!https?:|#|mailto:)([^)#]+)", text):
            if not ((ROOT / page).parent / target).exists():
                broken.add((page, target))

    assert broken == set()
