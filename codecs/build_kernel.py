"""Build hook: compiles `archer_codecs/_fir.c` when there is a C compiler; without one the package is pure Python.

The result is written for the stable ABI of Python 3.11, so one binary serves every later version. Run by hatchling for
wheels and editable installations; by hand: `python codecs/build_kernel.py`.
"""

import shlex
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

FOLDER = Path(__file__).parent / "archer_codecs"
SOURCE = FOLDER / "_fir.c"
KERNEL = FOLDER / "_fir.abi3.so"
FLAGS = ("-O3", "-fPIC", "-fno-math-errno", "-Wno-psabi", "-DPy_LIMITED_API=0x030B0000")
MINUTE_S = 60


def compile_kernel() -> str:
    """Make the kernel anew; return why there is none, empty when there is."""
    linker = sysconfig.get_config_var("LDSHARED")
    if sys.platform == "win32" or not linker:
        return "this Python does not say how to compile for it"
    include = f"-I{sysconfig.get_path('include')}"
    with tempfile.TemporaryDirectory(dir=FOLDER, prefix=".build-") as folder:
        made = Path(folder, KERNEL.name)
        try:
            subprocess.run(  # noqa: S603 - Python's own compiler on our own file
                [*shlex.split(linker), *FLAGS, include, str(SOURCE), "-o", str(made), "-lm"],
                capture_output=True, text=True, timeout=MINUTE_S, check=True,
            )  # fmt: skip
        except subprocess.CalledProcessError as error:
            return str(error.stderr).strip()
        except (OSError, subprocess.TimeoutExpired) as error:
            return str(error)
        made.replace(KERNEL)  # whoever has loaded the old one keeps it
    return ""


class Hook(BuildHookInterface):  # type: ignore[type-arg]  # hatchling's own hooks are written so
    """Adds the kernel to a wheel, which then belongs to this kind of machine."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Compile; on failure say so and go on without."""
        if problem := compile_kernel():
            self.app.display_warning(f"Resampling stays in numpy, the kernel was not compiled: {problem}")
            return
        platform = sysconfig.get_platform().replace("-", "_").replace(".", "_")
        build_data.update(pure_python=False, tag=f"cp311-abi3-{platform}")
        build_data["artifacts"].append(f"/codecs/archer_codecs/{KERNEL.name}")


if __name__ == "__main__":
    sys.exit(compile_kernel())
