"""Build hook: compiles the `KERNELS` when there is a C compiler; without one the package is pure Python.

What they hold are twins of Python code that gives the same results. Each Python gets a binary of its own, made with its
own headers and named for it: headers of 3.12 and later count no references to None, True and False, whatever version
of the stable ABI they are asked for, and what they made ended a 3.11. Run by hatchling for wheels and editable
installations; by hand: `python hatch_build.py`.
"""

import shlex
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

ROOT = Path(__file__).parent
KERNELS = (
    "codecs/archer_codecs/_fir",
    "codecs/archer_codecs/_g711",
    "archer_bridge/adapters/_frames",
    "archer_bridge/calls/_lanes",
    "archer_bridge/protocols/_scan",
)
FLAGS = ("-O3", "-fPIC", "-fno-math-errno", "-Wno-psabi", "-DPy_LIMITED_API=0x030B0000")
SUFFIX = sysconfig.get_config_var("EXT_SUFFIX")
MINUTE_S = 60


def compile_kernel(kernel: str) -> str:
    """Make one of `KERNELS` anew; return why there is none, empty when there is."""
    linker = sysconfig.get_config_var("LDSHARED")
    if sys.platform == "win32" or not linker:
        return "this Python does not say how to compile for it"
    source, made = ROOT / f"{kernel}.c", ROOT / f"{kernel}{SUFFIX}"
    include = f"-I{sysconfig.get_path('include')}"
    with tempfile.TemporaryDirectory(dir=source.parent, prefix=".build-") as folder:
        fresh = Path(folder, made.name)
        try:
            subprocess.run(  # noqa: S603 - Python's own compiler on our own file
                [*shlex.split(linker), *FLAGS, include, str(source), "-o", str(fresh), "-lm"],
                capture_output=True, text=True, timeout=MINUTE_S, check=True,
            )  # fmt: skip
        except subprocess.CalledProcessError as error:
            return str(error.stderr).strip()
        except (OSError, subprocess.TimeoutExpired) as error:
            return str(error)
        fresh.replace(made)  # whoever has loaded the old one keeps it
    return ""


class Hook(BuildHookInterface):  # type: ignore[type-arg]  # hatchling's own hooks are written so
    """Adds the kernels to a wheel, which then belongs to this kind of machine."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Compile; what fails is said and gone on without."""
        for kernel in KERNELS:
            if problem := compile_kernel(kernel):
                self.app.display_warning(f"{kernel}.c was not compiled, its Python twin does the work: {problem}")
                continue
            build_data.update(pure_python=False, infer_tag=True)
            build_data["artifacts"].append(f"/{kernel}{SUFFIX}")


if __name__ == "__main__":
    sys.exit("\n".join(filter(None, map(compile_kernel, KERNELS))) or None)
