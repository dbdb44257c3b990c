"""Advice for a function whose module cannot be imported.

Rule: the advice is what the function needs on Lambda too. It never suggests to install a package for the stack's
Python.
"""

from __future__ import annotations

import glob
import re
from itertools import islice
from pathlib import Path
from typing import Final

from lattice_bridge.local.environments.manifest import find_manifest
from lattice_bridge.local.plan.model import OWN_HANDLERS, Function

IMPORT_ERROR: Final = "Runtime.ImportModuleError"
"""The error type of a function whose module cannot be imported."""

_MISSING: Final = re.compile(r"No module named '([^']+)'")
_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)
_LONGEST: Final = 100
_SHOWN: Final = 10


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


def handler_fault(function: Function) -> str | None:
    """Returns one line if the module of a function's handler cannot be anywhere; None if it is, or may be.

    It may be in a package of a requirements.txt, in a folder of PYTHONPATH, or in a zip.
    """
    module = function.handler.rpartition(".")[0].replace("/", ".")
    elsewhere = function.dependencies.manifest or find_manifest(function.code) or function.environment.get("PYTHONPATH")
    if function.handler in OWN_HANDLERS or elsewhere or not function.code.is_dir():
        return None
    path = function.code.joinpath(*module.split("."))
    if path.is_dir() or next(path.parent.glob(f"{glob.escape(path.name)}.*"), None) is not None:
        return None
    return _no_handler(function, module)


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
