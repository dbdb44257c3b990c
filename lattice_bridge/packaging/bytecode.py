"""Bytecode for Lambda's Python.

Rule: for one release of Python, the bytes are the same each time, in any folder. Without packaged bytecode, each cold
start compiles the modules, because Lambda cannot write beside a function's code.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Final

from lattice_bridge.packaging.contents import CannotPackage, File

_ASK: Final = "import platform, sys; print(sys.implementation.cache_tag, platform.python_version())"


@dataclass(frozen=True, slots=True)
class Compiler:
    """A Python on this machine whose bytecode Lambda's Python reads.

    Attributes:
        executable: its path.
        version: as in `3.13.5`.
        tag: in the names of its bytecode, `cpython-313`.
    """

    executable: str
    version: str
    tag: str


def compiler_for(runtime: str, executables: Iterable[str] | None = None) -> Compiler | None:
    """The first of these Pythons that is of the runtime's release. None if none is.

    Args:
        runtime: Lambda's name of the release, as in `python3.13`.
        executables: paths; by default the Python that runs this, and the one that the PATH has under that name.
    """
    if executables is None:
        executables = filter(None, (sys.executable, shutil.which(runtime)))
    tag = runtime.replace("python", "cpython-").replace(".", "")
    for executable in executables:
        try:
            done = subprocess.run(  # noqa: S603 - this Python, or the one that the operator's PATH names
                [executable, "-I", "-S", "-c", _ASK], capture_output=True, text=True, check=False, timeout=30
            )
        except (OSError, subprocess.TimeoutExpired):
            continue
        found, _, version = done.stdout.strip().partition(" ")
        if done.returncode == 0 and found == tag:
            return Compiler(executable, version, tag)
    return None


def compiled(files: Mapping[str, File], folder: Path, compiler: Compiler) -> dict[str, File]:
    """Compiles the modules among these files. Returns the bytecode by name.

    Python does not compare the bytecode with its source: all times in a zip are equal.

    Args:
        files: by their names in the package. They are in
        folder: where the bytecode is written as well.
        compiler: the Python that compiles.

    Raises:
        CannotPackage: a module cannot be compiled.
    """
    sources = {name: file for name, file in files.items() if name.endswith(".py")}
    options = ["-q", "-o", "0", "--invalidation-mode", "unchecked-hash"]
    place = ["-s", str(folder), "-p", "/var/task"]  # what a traceback names
    listed = "\n".join(str(folder / name) for name in sorted(sources))
    environ = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    environ["PYTHONHASHSEED"] = "0"  # or sets of constants come in another order each time; -I would ignore it
    # -P: a compileall.py in the current folder is not run.
    command = [compiler.executable, "-P", "-S", "-m", "compileall", *options, *place, "-i", "-"]
    done = subprocess.run(  # noqa: S603 - as in compiler_for; the file names go through standard input
        command, input=listed, env=environ, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise CannotPackage(
            f"{compiler.executable}: did not compile every module. Fix: choose another --runtime\n{done.stdout}"
        )
    cached = {_cached(PurePosixPath(name), compiler.tag): file.package for name, file in sources.items()}
    return {name: File(folder / name, package) for name, package in cached.items()}


def _cached(name: PurePosixPath, tag: str) -> str:
    return (name.parent / "__pycache__" / f"{name.stem}.{tag}.pyc").as_posix()
