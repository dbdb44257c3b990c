"""Bytecode of the packages that Lambda's runtime has ready.

Rule: an environment's process writes no bytecode. A function's folder is read-only on Lambda, and in a cache that
tenants share, one of them could put code that another runs. The stack compiles in the background, into the
packages' own `__pycache__`, as pip does when it installs them; uv and an editable install do not.
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
"""One of each package, which the stack itself does not import: if it is compiled, so is the rest."""


def uncompiled() -> list[str]:
    """Folders of installed packages without bytecode; none if this Python writes none."""
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
    """Compiles what is not, in a process of its own that carries `mark`."""
    if folders := uncompiled():
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-I", "-m", "compileall", "-qq", *folders),
            env={MARK: mark},
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
        )
        with contextlib.suppress(OSError):  # the first cold start needs the processor more
            os.setpriority(os.PRIO_PROCESS, process.pid, 19)
        try:
            await process.wait()
        except asyncio.CancelledError:  # the stack stops
            process.kill()
            await process.wait()
            raise
