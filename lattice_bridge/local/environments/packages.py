"""The packages that functions import: the bytecode of installed ones, and advice if one is missing.

Rules:
* An environment's process writes no bytecode. On Lambda a function's folder is read-only, and in a cache that tenants
  share, one tenant could put code that another runs. The stack compiles in the background, into the packages' own
  `__pycache__`, as pip does at installation; uv and editable installations do not.
* The advice is what the function needs on Lambda too. It never suggests to install a package for the stack's Python.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import sys
from collections.abc import Iterator
from importlib.util import cache_from_source, find_spec
from itertools import islice
from pathlib import Path
from typing import Final

from lattice_bridge.local.environments.processes import MARK
from lattice_bridge.local.plan.model import Function

IMPORT_ERROR: Final = "Runtime.ImportModuleError"
"""The error type of a function whose module cannot be imported."""

_MISSING: Final = re.compile(r"No module named '([^']+)'")
_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)
_LONGEST: Final = 100
_SHOWN: Final = 10
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


# ---- a missing package ----------------------------------------------------------------------------------------------


def import_advice(function: Function, message: str) -> str | None:
    """Returns one line for the developer; None if the error's own message is enough.

    Args:
        function: that failed.
        message: of the error, as the runtime client reports it.
    """
    found = _MISSING.search(message)
    if found is None:
        return None
    missing, module = found[1], function.handler.rpartition(".")[0].replace("/", ".")
    if f"{module}.".startswith(f"{missing}."):
        return _no_handler(function, module)
    package = missing.partition(".")[0]
    if _NAME.fullmatch(package) is None or len(package) > _LONGEST or (function.code / package).exists():
        return None
    return f"{function.name}: the module {missing!r} {_fault_and_fix(function, package)}"


def _fault_and_fix(function: Function, package: str) -> str:
    found = function.dependencies
    place = str(found.manifest or function.code / "requirements.txt")
    # The name is the module's; its package may have another name (`yaml` is in PyYAML).
    line = f"write the package into {place} (it may have another name than {package!r})"
    if found.built == "zip":
        return "is not in the zip, so the import fails on Lambda too. Fix: add its package to the zip"
    if found.built:
        return f"is not in the output of `sam build`. Fix: {line}, and run `sam build` again"
    if found.manifest is not None and not found.folders and not found.bridge:
        return (
            f"is not found, and the packages of {place} are not installed. Fix: if it is listed there, start without "
            f"--no-install, else {line}"
        )
    listed = "no requirements.txt lists" if found.manifest is None else "none of its packages contains"
    return f"is not in the function's folder, and {listed} it, so the import fails on Lambda too. Fix: {line}"


def _no_handler(function: Function, module: str) -> str:
    names = (_module_of(path.relative_to(function.code)) for path in _modules(function.code))
    found = ", ".join(islice((repr(name) for name in names), _SHOWN)) or "no module at all"
    return (
        f"{function.name}: Handler {function.handler!r}: there is no module {module!r} in {str(function.code)!r}. "
        f"Fix: correct Handler or CodeUri in the template. The folder contains {found}."
    )


def _modules(code: Path) -> list[Path]:
    found = [*code.glob("*.py"), *code.glob("[!._]*/*.py")]
    return sorted(path for path in found if path.name != "__init__.py")


def _module_of(path: Path) -> str:
    return ".".join(path.with_suffix("").parts)
