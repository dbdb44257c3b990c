"""The faults of a function's code that are visible before it runs: what has to be built, installed or corrected.

Rule: each fault is one that a first invocation would meet, and names the command or the file that fixes it.
"""

from __future__ import annotations

import os
import platform
import re
import shutil
from pathlib import Path
from typing import Final

from lattice_bridge.config.words import quoted
from lattice_bridge.local.environments.build_output import runs_here
from lattice_bridge.local.environments.import_advice import handler_fault
from lattice_bridge.local.environments.layers import layer_fault
from lattice_bridge.local.environments.node_packages import missing_packages
from lattice_bridge.local.plan.model import Function

BOOTSTRAP: Final = "bootstrap"
"""The file of a `provided.*` function that Lambda runs."""

_NODE_SUFFIXES: Final = (".js", ".mjs", ".cjs")
_TYPESCRIPT: Final = (".ts", ".mts", ".cts", ".tsx")
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
        case "python":
            return handler_fault(function)
        case "nodejs":
            return _node_fault(function)
        case "provided":
            return _bootstrap_fault(function)
    if Path(function.command[0]).name not in ("java", "dotnet") or "run" in function.command:
        return None
    source = _source_file(function)
    return f"{str(function.code)!r} has only sources ({source}), and no build of them. {_BUILD}" if source else None


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


def _bootstrap_fault(function: Function) -> str | None:
    found = [path for folder in (function.code, *function.layers) if (path := folder / BOOTSTRAP).is_file()]
    if not found and not any(layer.is_file() for layer in function.layers):
        source = _source_file(function)
        what = f"only sources ({source})" if source else "no file bootstrap"
        return f"{str(function.code)!r} has {what}, and Runtime {function.runtime} runs a file bootstrap. {_BUILD}"
    if found and not os.access(found[0], os.X_OK):
        return f"{str(found[0])!r} is not executable. Fix: chmod +x it"
    if found and not runs_here(found[0]):
        return f"{str(found[0])!r} is for another platform. Fix: build it for {platform.machine()}"
    return None


def _node_fault(function: Function) -> str | None:
    folder, stem = function.code, function.handler.rpartition(".")[0]
    module = _inside(folder, stem)
    if module is not None and not _has_one(module, _NODE_SUFFIXES):
        if _has_one(module, _TYPESCRIPT):
            return f"Handler {quoted(function.handler)}: {stem} is TypeScript, and no JavaScript is built. {_BUILD}"
        names = sorted(path.name for path in folder.iterdir() if path.suffix in _NODE_SUFFIXES)[:10]
        has = ", ".join(map(repr, names)) or "no JavaScript file"
        return (
            f"Handler {quoted(function.handler)}: there is no file {stem}.js, .mjs or .cjs in {str(folder)!r}. "
            f"Fix: correct Handler or CodeUri in the template. The folder contains {has}."
        )
    layers = [path for layer in function.layers for path in (layer / "nodejs", *layer.glob("nodejs/node*"))]
    missing = missing_packages(folder / "package.json", [folder, *folder.parents, *layers])
    if not missing or any(layer.is_file() for layer in function.layers):
        return None
    what = f"{quoted(missing[0])} and {len(missing) - 1} more" if len(missing) > 1 else quoted(missing[0])
    command = "npm ci" if (folder / "package-lock.json").is_file() else "npm install"
    where = "are not" if len(missing) > 1 else "is not"
    return f"package.json lists {what}, which {where} installed. Fix: run `{command}` in {str(folder)!r}"


def _inside(folder: Path, stem: str) -> Path | None:
    """The path of a module without its suffix; None if the handler names none in the folder."""
    if not stem or re.fullmatch(r"[A-Za-z0-9_./-]+", stem) is None or ".." in Path(stem).parts:
        return None
    return folder / stem


def _has_one(module: Path, suffixes: tuple[str, ...]) -> bool:
    return any(module.with_name(module.name + suffix).is_file() for suffix in suffixes)


def command_fault(function: Function) -> str | None:
    """Returns what is wrong with the first word of a function's command; None if it can be executed, or may be."""
    if function.runner != "command":
        return None
    program = function.command[0].replace("{code}", str(function.code))
    if shutil.which(program) is not None or (function.code.is_file() and "{code}" in function.command[0]):
        return None
    if os.sep in program:
        why = "is not executable. Fix: chmod +x it" if Path(program).is_file() else "does not exist"
    else:
        why = "is not in PATH"
    fix = "" if "Fix:" in why else ". Fix: install it, or correct the command"
    return f"local.toml: the command for Runtime {function.runtime}: {quoted(program)} {why}{fix}"
