import importlib
import sys
import sysconfig
from pathlib import Path

import pytest

from archer_bridge.adapters import frames
from hatch_build import KERNELS, ROOT, compile_kernel

pytestmark = pytest.mark.skipif(not frames.is_compiled, reason="the kernels are not compiled here")


@pytest.mark.parametrize("kernel", KERNELS)
def test_each_python_has_a_binary_of_its_own(kernel):
    name = kernel.removeprefix("codecs/").replace("/", ".")
    loaded = importlib.import_module(name)

    assert Path(loaded.__file__) == ROOT / f"{kernel}{sysconfig.get_config_var('EXT_SUFFIX')}"


def test_what_a_kernel_returns_is_counted():
    """Headers of a later Python leave this out, and the process ends when nothing seems to refer to None any more."""
    framer = importlib.import_module("archer_bridge.adapters._frames").Framer(bytes, bytes, None)
    before = sys.getrefcount(None)
    for _ in range(1000):
        framer.write(b"")

    assert sys.getrefcount(None) - before > -100


def test_what_does_not_compile_is_told(tmp_path, monkeypatch):
    monkeypatch.setattr("hatch_build.ROOT", tmp_path)
    (tmp_path / "part.c").write_text("no C\n")

    assert "part.c" in compile_kernel("part")
    assert list(tmp_path.iterdir()) == [tmp_path / "part.c"]
