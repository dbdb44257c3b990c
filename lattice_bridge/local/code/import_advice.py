"""Advice for a function whose module cannot be imported, or has no handler, in Python and in Node.js.

Rule: the advice is what the function needs on Lambda too. It never suggests to install a package for the stack's
Python.
"""

from __future__ import annotations

import glob
import json
import re
import shlex
from itertools import islice
from pathlib import Path
from typing import Final

from lattice_bridge.config.regular_file import MIB, BadFile, exists, is_file, is_folder, read_regular_file
from lattice_bridge.local.code.manifest import find_manifest
from lattice_bridge.local.plan.model import OWN_HANDLERS, Function

_IMPORT_ERROR: Final = "Runtime.ImportModuleError"
_NO_HANDLER: Final = "Runtime.HandlerNotFound"
_NODE_IMPORT_ERRORS: Final = (_IMPORT_ERROR, "Error")
"""For an ES module that is missing, Node's client reports an ordinary error."""

_MISSING: Final = re.compile(r"No module named '([^']+)'")
_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)
_MISSING_IN_NODE: Final = re.compile(r"Cannot find (?:module|package) '([^']+)'")
_NODE_NAME: Final = re.compile(r"(@[a-z0-9~][a-z0-9._~-]*/)?[a-z0-9~][a-z0-9._~-]*", re.ASCII)
"""The name of a package, by npm's rules; the rest of a module's name is a path in it."""
_NODE_SUFFIXES: Final = ("", ".js", ".mjs", ".cjs")
_IN_NODE_RUNTIMES: Final = ("@aws-sdk/", "@smithy/")
"""Packages that Lambda's Node.js runtimes contain: the AWS SDK for JavaScript."""
_OF_INLINE_CODE: Final = ("cfnresponse", "cfn-response")
"""Modules of AWS's "cfn-response module", which inline code of CloudFormation has and other code has not."""
_LONGEST: Final = 100
_SHOWN: Final = 10


def import_advice(function: Function, kind: str, message: str) -> str | None:
    """Returns one line for the developer; None if the error's own message is enough.

    Args:
        function: that failed.
        kind: the type of the error.
        message: of the error, as the runtime client reports it.
    """
    if kind == _NO_HANDLER and function.runner in ("python", "nodejs"):
        return _no_function(function)
    if function.runner == "nodejs":
        return _node_advice(function, message) if kind in _NODE_IMPORT_ERRORS else None
    found = _MISSING.search(message) if function.runner == "python" and kind == _IMPORT_ERROR else None
    if found is None:
        return None
    missing, module = found[1], function.handler.rpartition(".")[0].replace("/", ".")
    if function.inline is not None and missing in _OF_INLINE_CODE:
        return _of_inline_code(function, missing)
    if f"{module}.".startswith(f"{missing}."):
        return _no_handler(function, module)
    package = missing.partition(".")[0]
    if _NAME.fullmatch(package) is None or len(package) > _LONGEST or (function.code / package).exists():
        return None
    return f"{function.name}: the module {missing!r} {_fault_and_fix(function, package)}"


def handler_fault(function: Function) -> str | None:
    """Returns one line if the module of a function's handler cannot be anywhere; None if it is, or may be.

    It may be in a package of a requirements.txt, in a folder of PYTHONPATH, in a layer, or in a zip.
    """
    if function.layers or function.remote_layers or not is_folder(function.code):
        return None
    if function.runner == "nodejs":
        return _node_handler_fault(function)
    if function.runner != "python":
        return None
    module = function.handler.rpartition(".")[0].replace("/", ".")
    elsewhere = function.dependencies.manifest or find_manifest(function.code) or function.environment.get("PYTHONPATH")
    if function.handler in OWN_HANDLERS or elsewhere:
        return None
    path = function.code.joinpath(*module.split("."))
    if is_folder(path):
        return None
    files = path.parent.glob(f"{glob.escape(path.name)}.*") if is_folder(path.parent) else ()
    return None if any(files) else _no_handler(function, module)


def _of_inline_code(function: Function, module: str) -> str:
    """The advice for the module that Lambda adds to inline code, for custom resources."""
    return (
        f"{function.name}: the module {module!r}, which Lambda adds to inline code, is not provided here. The "
        "local stack sends no events to custom resources. Fix: to invoke it here, import the module where it is used"
    )


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
    if function.remote_layers:
        named = ", ".join(function.remote_layers)
        return f"is not in the function's folder. It may be in a layer that is not loaded: {named}. Fix: {line}"
    listed = "no requirements.txt lists" if found.manifest is None else "none of its packages contains"
    return f"is not in the function's folder, and {listed} it, so the import fails on Lambda too. Fix: {line}"


def _no_function(function: Function) -> str:
    module, _, name = function.handler.rpartition(".")
    has = "exports no function" if function.runner == "nodejs" else "has no function"
    fix = "correct Handler in the template, or the name in the code"
    return f"{function.name}: Handler {function.handler!r}: the module {module!r} {has} {name!r}. Fix: {fix}"


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


# ---- Node.js ---------------------------------------------------------------------------------------------------------


def _node_advice(function: Function, message: str) -> str | None:
    found = _MISSING_IN_NODE.search(message)
    if found is None:
        return None
    missing = found[1]
    if function.inline is not None and missing in _OF_INLINE_CODE:
        return _of_inline_code(function, missing)
    if missing == _node_module(function.handler).rpartition("/")[2]:
        return _node_handler_fault(function)
    name = _NODE_NAME.match(missing)
    if name is None or len(name[0]) > _LONGEST:  # a path
        return None
    folder, package = shlex.quote(str(function.code)), name[0]
    if package in _listed(function.code):
        fault, fix = "is listed in package.json, but not installed", f"npm install --prefix {folder}"
    elif package.startswith(_IN_NODE_RUNTIMES):
        fault = "is in Lambda's runtime, but not on this machine"
        fix = f"npm install --no-save --prefix {folder} {package}"
    else:
        fault = "is not in the function's folder, so the import fails on Lambda too"
        fix = f"npm install --prefix {folder} {package}"
    return f"{function.name}: the package {package!r} {fault}. Fix: {fix}"


def _listed(code: Path) -> frozenset[str]:
    """The packages that a package.json lists."""
    try:
        found = json.loads(read_regular_file(code / "package.json", MIB))["dependencies"]
    except (BadFile, ValueError, KeyError, TypeError, RecursionError):
        return frozenset()
    return frozenset(found) if isinstance(found, dict) else frozenset()


def _node_module(handler: str) -> str:
    """The module of a handler: `src/app` of `src/app.handler`, and also of `src/app.api.handler`."""
    folder, slash, name = handler.rpartition("/")
    return f"{folder}{slash}{name.partition('.')[0]}"


def _node_handler_fault(function: Function) -> str | None:
    """Returns one line if the module of a handler is no file of the function, and cannot be a package of it."""
    module = _node_module(function.handler)
    path = function.code / module
    if is_folder(path) or exists(function.code / "node_modules" / module):
        return None
    if any(is_file(path.with_name(path.name + suffix)) for suffix in _NODE_SUFFIXES):
        return None
    fault = f"{function.name}: Handler {function.handler!r}: there is no module {module!r} in {str(function.code)!r}"
    if is_file(path.with_name(f"{path.name}.ts")):
        return f"{fault}, but {module}.ts, which has to be compiled. Fix: run `sam build`, and start without --reload"
    found = sorted(file for suffix in _NODE_SUFFIXES[1:] for file in function.code.glob(f"*{suffix}"))
    names = ", ".join(repr(file.stem) for file in found[:_SHOWN]) or "no module at all"
    return f"{fault}. Fix: correct Handler or CodeUri in the template. The folder contains {names}."
