"""Every threat of the model has tests, and the tests are there."""

import ast
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TABLE = tomllib.loads((Path(__file__).parent / "traceability.toml").read_text(encoding="utf-8"))


def test_every_threat_is_there() -> None:
    assert set(TABLE) == {f"T{number}" for number in range(1, 27)}


@pytest.mark.parametrize("threat", sorted(TABLE, key=lambda name: int(name[1:])))
def test_its_tests_exist(threat: str) -> None:
    assert TABLE[threat]["tests"], f"{threat} has no test"
    for test_id in TABLE[threat]["tests"]:
        name, _, function = test_id.partition("::")
        path = ROOT / name
        assert path.is_file(), f"{threat}: {name} does not exist"
        tree = ast.parse(path.read_text(encoding="utf-8"))
        tests = {node.name for node in ast.walk(tree) if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))}
        assert any(test.startswith("test_") for test in tests)
        assert not function or function in tests, f"{threat}: {test_id} does not exist"


def test_the_document_names_every_threat() -> None:
    text = (ROOT / "docs" / "security.md").read_text(encoding="utf-8")

    assert [threat for threat in TABLE if f"| {threat} |" not in text] == []
