"""Decides whether the output of `sam build` can be run in place of a function's sources.

Rule: it can, if `sam build` would make the same again, and if this machine can run it. Otherwise the reason is given.
The folder of each function in this output is in plan/sam_build.py.
"""

from __future__ import annotations

import os
import platform
import re
import sys
from collections.abc import Iterator
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path
from typing import Final

from lattice_bridge.config.regular_file import BadFile, read_head
from lattice_bridge.local.plan.model import Runner
from lattice_bridge.local.plan.readers.sam_build import OUTPUT

_ELF: Final = b"\x7fELF"
_MACHINES: Final = {"x86_64": 62, "aarch64": 183}
"""Machine → `e_machine` of its ELF files (elf.h)."""
_TAGGED: Final = re.compile(r"\.(?:cpython|pypy)[^.]*\.so")
_SKIPPED: Final = frozenset({"__pycache__", "node_modules"})
_TARGETS: Final = {"Cargo.toml": "target", "pom.xml": "target", "build.gradle": "build"}
"""A file of a project → the folder beside it that its build writes, which is newer than the sources."""


def unusable(folder: Path, source: Path, built: Path, runner: Runner) -> str | None:
    """Returns the reason why a function is not run from the output of `sam build`, with a fix; None if it is.

    Args:
        folder: of the template.
        source: the function's or the layer's code in the template.
        built: its folder in the output.
        runner: of the function; of a layer, that of a function that uses it.
    """
    made = (folder / OUTPUT / "template.yaml").stat().st_mtime_ns  # `sam build` keeps the times of the other files
    newer = next((path for path in files(source) if _modified(path) > made), None)
    if newer is not None:
        return f"{newer.relative_to(source)} is newer. Fix: run `sam build` again"
    if runner != "python":
        bootstrap = built / "bootstrap"
        if not bootstrap.is_file() or _runs_here(bootstrap):
            return None
        return f"bootstrap is for another platform. Fix: to run it here, build it for {platform.machine()}"
    foreign = next((path for path in files(built) if path.suffix == ".so" and not _loads(path)), None)
    if foreign is None:
        return None
    here = f"Python {sys.version_info.major}.{sys.version_info.minor} on {platform.machine()}"
    return f"{foreign.name} is for another platform or Python version. Fix: to run it here, build it for {here}"


def files(folder: Path) -> Iterator[Path]:
    """The files in a folder, without hidden ones, caches and virtual environments. Follows no link to a folder."""
    for parent, folders, names in os.walk(folder):
        skipped = _SKIPPED | {_TARGETS[name] for name in names if name in _TARGETS}
        folders[:] = [
            name
            for name in folders
            if not name.startswith(".") and name not in skipped and not Path(parent, name, "pyvenv.cfg").exists()
        ]
        yield from (Path(parent, name) for name in names if not name.startswith("."))


def _modified(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns
    except OSError:  # a link to nothing
        return 0


def _loads(extension: Path) -> bool:
    """Whether this Python can load an extension module, by its name and its first bytes. A library has no such name."""
    tag = _TAGGED.search(extension.name)
    if tag is not None and tag[0] not in EXTENSION_SUFFIXES:
        return False
    head = _head(extension)
    return head is None or (head.startswith(_ELF) is (sys.platform == "linux") and _is_for_this_machine(head))


def _runs_here(program: Path) -> bool:
    """Whether this machine can execute a file, by its first bytes. A script can run anywhere."""
    head = _head(program)
    if head is None or not head.startswith(_ELF):
        return True
    return sys.platform == "linux" and _is_for_this_machine(head)


def _head(path: Path) -> bytes | None:
    try:
        return read_head(path, 20)
    except BadFile:  # a link to nothing: it cannot be loaded anywhere
        return None


def _is_for_this_machine(head: bytes) -> bool:
    """Whether the first bytes of a file are of a program or library for this processor. Other systems have no ELF."""
    machine = _MACHINES.get(platform.machine())
    return not head.startswith(_ELF) or machine in (None, int.from_bytes(head[18:20], "little"))
