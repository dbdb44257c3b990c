"""The faults of a function's code that are visible before it runs: what has to be built, installed or corrected.

Rule: each fault is one that a first invocation would meet, and names the command or the file that fixes it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from lattice_bridge.config.words import quoted
from lattice_bridge.local.code.import_advice import handler_fault
from lattice_bridge.local.code.layers import layer_fault
from lattice_bridge.local.code.node_packages import missing_packages
from lattice_bridge.local.plan.model import Function

BOOTSTRAP: Final = "bootstrap"
"""The file of a `provided.*` function that Lambda runs."""

_SOURCES: Final = {
    "java": ("pom.xml", "build.gradle", "build.gradle.kts"),
    "dotnet": ("*.csproj", "*.fsproj"),
    "provided": ("Cargo.toml", "go.mod", "Package.swift", "Makefile"),
}
"""The beginning of a runtime → the files whose folder has sources that have to be built."""
_BUILD: Final = "Fix: run `sam build` beside the template"


def inline_file(function: Function) -> str:
    """The file that Lambda writes inline code into. Only Python and Node have inline code."""
    return "index.py" if function.runtime.startswith("python") else "index.js"


def code_fault(function: Function) -> str | None:
    """Returns one line if a function's code, or one of its layers, cannot run as it is; None if no fault is visible."""
    fault = None
    if function.runner == "url":
        return None
    if function.inline is not None:
        fault = _inline_fault(function)
    elif function.code.is_dir():
        fault = _folder_fault(function)
    fault = fault or layer_fault(function)
    return fault if fault is None or fault.startswith(f"{function.name}: ") else f"{function.name}: {fault}"


def _folder_fault(function: Function) -> str | None:
    match function.runner:
        case "nodejs":
            return handler_fault(function) or _package_fault(function)
        case "provided":
            return _bootstrap_fault(function)
        case "command":
            return _build_fault(function)
    return handler_fault(function)


def _inline_fault(function: Function) -> str | None:
    if function.handler.startswith("index."):
        return None
    what = f"inline code is in the file {inline_file(function)}"
    return f"Handler {quoted(function.handler)}: {what}. Fix: write Handler: index.NAME"


def _source_file(function: Function) -> str | None:
    """The first file of a folder that shows that it has to be built."""
    if function.dependencies.built:
        return None
    patterns = next((names for start, names in _SOURCES.items() if function.runtime.startswith(start)), ())
    return next((path.name for pattern in patterns for path in function.code.glob(pattern)), None)


def _build_fault(function: Function) -> str | None:
    """The fault of sources that the program of a command cannot run. Another program may build them itself."""
    if Path(function.command[0]).name not in ("java", "dotnet") or "run" in function.command:
        return None
    source = _source_file(function)
    return f"{str(function.code)!r} has only sources ({source}), and no build of them. {_BUILD}" if source else None


def _bootstrap_fault(function: Function) -> str | None:
    """The fault of sources without a program. A folder without either is for the start of the process to report."""
    source = None if has_program(function) else _source_file(function)
    what = f"only sources ({source}), and Runtime {function.runtime} runs a file {BOOTSTRAP}"
    return f"{str(function.code)!r} has {what}. {_BUILD}" if source else None


def has_program(function: Function) -> bool:
    """Whether a function of a custom runtime has its program; a function of another runtime needs none."""
    folders = (function.code, *function.layers)
    found = any(folder.is_file() or (folder / BOOTSTRAP).exists() for folder in folders)  # a layer's zip may contain it
    return found or function.runner != "provided"


def _package_fault(function: Function) -> str | None:
    folder = function.code
    layers = [path for layer in function.layers for path in (layer / "nodejs", *layer.glob("nodejs/node*"))]
    missing = missing_packages(folder / "package.json", [folder, *folder.parents, *layers])
    if not missing or any(layer.is_file() for layer in function.layers):
        return None
    what = f"{quoted(missing[0])} and {len(missing) - 1} more" if len(missing) > 1 else quoted(missing[0])
    command = "npm ci" if (folder / "package-lock.json").is_file() else "npm install"
    where = "are not" if len(missing) > 1 else "is not"
    return f"package.json lists {what}, which {where} installed. Fix: run `{command}` in {str(folder)!r}"
