"""Bytecode for Lambda's Python.

Rule: for one release of Python, the bytes are the same each time, in any folder. Without packaged bytecode, each cold
start compiles the modules, because Lambda cannot write beside a function's code.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path, PurePosixPath

import click

from tools.package_contents import File


def compiled(files: Mapping[str, File], folder: Path, python: str) -> dict[str, File]:
    """Compiles these files. Python does not compare the bytecode with its source: all times in a zip are equal.

    Args:
        files: by their names in the package; they are in
        folder: where the bytecode is written as well.
        python: Lambda's, as in `3.13`.

    Raises:
        ClickException: there is no such Python here.
    """
    sources = {name: file for name, file in files.items() if name.endswith(".py")}
    options = ["-q", "-o", "0", "--invalidation-mode", "unchecked-hash"]
    place = ["-s", str(folder), "-p", "/var/task"]  # what a traceback names
    listed = "\n".join(str(folder / name) for name in sorted(sources))
    environ = {**os.environ, "PYTHONHASHSEED": "0"}  # or sets of constants come in another order each time
    command = [interpreter(python), "-m", "compileall", *options, *place, "-i", "-"]
    subprocess.run(command, input=listed, env=environ, text=True, check=True)
    tag = f"cpython-{python.replace('.', '')}"
    cached = {_cached(PurePosixPath(name), tag): file.package for name, file in sources.items()}
    return {name: File(folder / name, package) for name, package in cached.items()}


def _cached(name: PurePosixPath, tag: str) -> str:
    return (name.parent / "__pycache__" / f"{name.stem}.{tag}.pyc").as_posix()


def interpreter(python: str) -> str:
    """The interpreter of that release: this one, or the one on the PATH.

    Raises:
        ClickException: neither is of that release.
    """
    if python == f"{sys.version_info.major}.{sys.version_info.minor}":
        return sys.executable
    found = shutil.which(f"python{python}")
    program = "import sys; print('%d.%d' % sys.version_info[:2])"
    if found is not None:
        done = subprocess.run([found, "-c", program], capture_output=True, text=True, check=False)
        if done.stdout.strip() == python:
            return found
    raise click.ClickException(f"--bytecode needs python{python} on the PATH, which writes it; or leave it out")
