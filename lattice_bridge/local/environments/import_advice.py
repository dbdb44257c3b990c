"""Advice for a function whose module cannot be imported.

Rule: a command that is suggested can be pasted: paths are quoted, and a name is in it only if it can be a module's.
The name comes from the function's error; nothing shows that a package of this name is the one that is missing.
"""

from __future__ import annotations

import re
import shlex
import sys
from importlib.util import find_spec
from itertools import islice
from pathlib import Path
from typing import Final

from lattice_bridge.local.plan.model import Function

IMPORT_ERROR: Final = "Runtime.ImportModuleError"
"""The error type by which the runtime client reports it."""

_MISSING: Final = re.compile(r"No module named '([^']+)'")
_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)
_LONGEST: Final = 100
_SHOWN: Final = 10


def import_advice(function: Function, message: str) -> str | None:
    """One line for the person at the stack; None if the error's own message says enough.

    Args:
        function: whose module it is.
        message: of the error, as the runtime client has it.
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
    return (
        f"{function.name}: the module {missing!r} is not installed in the Python that runs the stack and its "
        f"functions. Fix: {_install(function, package)}"
    )


def _no_handler(function: Function, module: str) -> str:
    names = (_module_of(path.relative_to(function.code)) for path in _modules(function.code))
    found = ", ".join(islice((repr(name) for name in names), _SHOWN)) or "no module at all"
    return (
        f"{function.name}: Handler {function.handler!r}: there is no module {module!r} in {str(function.code)!r}. "
        f"Fix: correct Handler or CodeUri in the template. The folder has {found}."
    )


def _modules(code: Path) -> list[Path]:
    found = [*code.glob("*.py"), *code.glob("[!._]*/*.py")]
    return sorted(path for path in found if path.name != "__init__.py")


def _module_of(path: Path) -> str:
    return ".".join(path.with_suffix("").parts)


def _install(function: Function, package: str) -> str:
    python = shlex.quote(sys.executable)
    command = f"{python} -m pip install" if find_spec("pip") else f"uv pip install --python {python}"
    beside_handler = (function.code / function.handler.rpartition(".")[0].replace(".", "/")).parent
    for folder in (beside_handler, function.code):
        if (folder / "requirements.txt").is_file():
            return f"{command} -r {shlex.quote(str(folder / 'requirements.txt'))}"
    # The function chose the name, and a package's may be another one (`yaml` is in PyYAML).
    return f"if the package has the same name: {command} {shlex.quote(package)}"
