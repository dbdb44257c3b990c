"""Compiles the installed packages that functions import and that have no bytecode.

Rule: an environment's process writes no bytecode. On Lambda a function's folder is read-only, and in a cache that
tenants share, one tenant could put code that another runs. The stack compiles in the background, into the packages' own
`__pycache__`, as pip does at installation; uv and editable installations do not.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
from collections.abc import Iterator
from importlib.util import cache_from_source, find_spec
from pathlib import Path
from typing import Final

from lattice_bridge.local.environments.processes import MARK

_MODULES: Final = ("lattice_bridge.main", "awslambdaric.bootstrap", "boto3.session", "botocore.session")
"""One module of each package, which the stack itself does not import. If it is compiled, so is the rest."""


def uncompiled() -> list[str]:
    """Returns the folders of installed packages without bytecode; none if this Python writes no bytecode."""
    if sys.dont_write_bytecode:
        return []
    return [str(file.parent) for file in _sources() if not Path(cache_from_source(str(file))).exists()]


def _sources() -> Iterator[Path]:
    for module in _MODULES:
        package, _, name = module.partition(".")
        spec = find_spec(package)
        if spec is not None and spec.origin is not None:
            yield Path(spec.origin).with_name(f"{name}.py")


async def compile_packages(mark: str) -> None:
    """Compiles packages without bytecode, in a process of its own with this mark."""
    if folders := uncompiled():
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-I", "-m", "compileall", "-qq", *folders),
            env={MARK: mark},
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
        )
        with contextlib.suppress(OSError):  # the first cold start is more urgent
            os.setpriority(os.PRIO_PROCESS, process.pid, 19)
        try:
            await process.wait()
        except asyncio.CancelledError:  # the stack stops
            process.kill()
            await process.wait()
            raise
