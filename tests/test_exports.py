"""What a package says it exports is what it has, and each name once."""

import importlib
import pkgutil
from types import ModuleType

import pytest

import archer_bridge
import archer_codecs
import archer_tools


def modules() -> list[str]:
    """Return every module of ours; migrations run inside Alembic only."""
    names = []
    for package in (archer_bridge, archer_codecs, archer_tools):
        names.append(package.__name__)
        names += [found.name for found in pkgutil.walk_packages(package.__path__, f"{package.__name__}.")]
    return [name for name in names if ".migrations" not in name and not name.endswith("__main__")]


def load(name: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as missing:  # the speech engines are an extra
        if missing.name and missing.name.split(".")[0] in {"archer_bridge", "archer_codecs", "archer_tools"}:
            raise
        pytest.skip(f"{name} needs {missing.name}")


@pytest.mark.parametrize("name", modules())
def test_exports_exist_and_are_sorted_out(name: str) -> None:
    module = load(name)
    exported = getattr(module, "__all__", None)
    if exported is None:
        return

    assert [item for item in exported if not hasattr(module, item)] == []
    assert len(exported) == len(set(exported))
    assert [item for item in exported if item.startswith("_")] == []


@pytest.mark.parametrize("name", ["archer_codecs", "archer_bridge.devkit.phone", "archer_bridge.devkit.voices"])
def test_a_package_that_is_an_api_exports_all_it_imports(name: str) -> None:
    """A public name in the package that is missing from `__all__` is an accident, either way."""
    module = importlib.import_module(name)
    public = {
        item
        for item, value in vars(module).items()
        if not item.startswith("_") and not isinstance(value, ModuleType) and item != "annotations"
    }

    assert public == set(module.__all__)
