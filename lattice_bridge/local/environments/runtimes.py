"""How the process of a function starts: its program, and the variables that Lambda sets for the function's runtime.

Rule: what differs between runtimes is decided here. The exceptions are how Python finds modules (runtime_packages.py)
and the advice for a module that is missing (import_advice.py).

Sources: the Lambda developer guide, "Using Lambda environment variables" and "Building a custom runtime for Lambda".
"""

from __future__ import annotations

import json
import os
import platform
import shlex
import shutil
import subprocess
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Final

from lattice_bridge.config.regular_file import MIB, BadFile, read_head, read_regular_file
from lattice_bridge.local.environments.runtime_packages import PYTHON, modules_in_layers, search_path
from lattice_bridge.local.plan.model import Function

NODE_CLIENT: Final = Path(__file__).with_name("node_client.mjs")
"""The runtime client for functions that do not have AWS's own."""

OFFICIAL_CLIENT: Final = Path("node_modules", "aws-lambda-ric")
"""AWS's runtime client for Node.js, in the folder of a function."""

INVALID_ENTRYPOINT: Final = "Runtime.InvalidEntrypoint"
"""The error type with which Lambda reports that it cannot start a process."""

_COMMAND: Final = "in [local.runtimes] of local.toml"
_NODE_SUFFIXES: Final = frozenset({".js", ".mjs", ".cjs", ".node", ".wasm"})
_PYTHON_SUFFIXES: Final = frozenset({".py", ".pyx", ".pyd"})
_DATA_SUFFIXES: Final = frozenset({".toml", ".json", ".yaml", ".yml"})

_NODE_SECONDS: Final = 10.0
_HEAD: Final = 128
"""Bytes of a program that say what it is: Linux reads twice as many of the line of a script."""
_ELF: Final = b"\x7fELF"
_MACHINES: Final = {62: "x86_64", 183: "arm64"}
"""`e_machine` of elf.h → the name that Lambda has for it. These are Lambda's two."""
_LAMBDA_NAMES: Final = {"amd64": "x86_64", "aarch64": "arm64"}
_EMULATORS: Final = {"x86_64": ("qemu-x86_64", "rosetta"), "arm64": ("qemu-aarch64",)}
"""The names with which Linux lists an emulator for a foreign program, in /proc/sys/fs/binfmt_misc."""


class CannotStart(Exception):
    """This machine cannot start a function's process. The message has the form `what is wrong. Fix: …`."""


def start_fault(function: Function) -> str | None:
    """Returns why the process of a function cannot start, with its fix; None if it can, or if that is not known yet."""
    if any(path.is_file() for path in (function.code, *function.layers)):  # a zip, which is unpacked later
        return None
    try:
        command(function)
    except CannotStart as error:
        return str(error)
    return None


def launch(function: Function) -> str:
    """Returns the process as JSON for the launcher: its command, or for Python the places of its modules.

    Raises:
        CannotStart: this machine cannot start it.
    """
    found = command(function)
    if not found:
        return search_path(function)
    # Not among the variables of the launcher, which would load the function's libraries and modules.
    places = {"LD_LIBRARY_PATH": _joined((function.code, function.code / "lib", *_in_layers(function, "lib")))}
    if function.runtime.startswith("python"):  # and has a command
        places["PYTHONPATH"] = _joined(modules_in_layers(function, function.runtime))
    return json.dumps({"command": found, "variables": {name: value for name, value in places.items() if value}})


def command(function: Function) -> tuple[str, ...]:
    """Returns the command that runs a function, beginning with an absolute path; empty if the launcher itself does.

    Raises:
        CannotStart: this machine has no such program.
    """
    if function.runner == "command":
        return (_program(function), *function.command[1:])
    if function.runner == "provided":
        program = _bootstrap(function)
        return (*lambda_shell(program, shutil.which("bash", path=_path(function))), str(program))
    return _node(function) if function.runner == "nodejs" else ()


def _program(function: Function) -> str:
    name = function.command[0]
    # A relative path begins at the task root, which is the process's working directory.
    found = shutil.which(str(function.code / name) if os.sep in name else name, path=_path(function))
    if found is None:
        raise CannotStart(
            f"the command for {function.runtime} begins with {name!r}, which is no program on PATH. "
            f"Fix: install it, or correct the command {_COMMAND}"
        )
    return os.path.abspath(found)  # noqa: PTH100 - a link is the name that some programs act upon


def _bootstrap(function: Function) -> Path:
    folders = (function.code, *reversed(function.layers))
    found = next((file for folder in folders if (file := folder / "bootstrap").is_file()), None)
    otherwise = f"or write a command for {function.runtime} {_COMMAND}"
    if found is None:
        raise CannotStart(
            f"there is no file 'bootstrap' in {str(function.code)!r}, which Runtime {function.runtime} starts. "
            f"Fix: build the function, or set CodeUri to the folder with the built program, {otherwise}"
        )
    if not os.access(found, os.X_OK):
        raise CannotStart(f"{str(found)!r} is not executable. Fix: chmod +x {shlex.quote(str(found))}")
    if fault := _format_fault(found):
        raise CannotStart(f"{str(found)!r} {fault}, {otherwise}")
    return found


def lambda_shell(program: Path, bash: str | None, shell: Path = Path("/bin/sh")) -> tuple[str, ...]:
    """The command of a script that names /bin/sh: on Lambda this is bash, and the tutorial's `set -o pipefail` ends
    another shell, as that of Debian. Empty for every other program, and if this machine's own one is right.

    Args:
        program: a script or a program.
        bash: on PATH, or None.
        shell: this machine's /bin/sh.
    """
    words = read_head(program, _HEAD).partition(b"\n")[0].removeprefix(b"#!").split()
    if bash is None or words[:1] != [b"/bin/sh"] or shell.resolve().name == "bash":
        return ()
    return (bash, "--posix", *map(os.fsdecode, words[1:]))


def _format_fault(program: Path) -> str | None:
    """Returns why the kernel cannot start an executable file, with a fix; None if it can."""
    try:
        head = read_head(program, _HEAD)
    except BadFile as error:
        return f"cannot be read: {error.what}. Fix: {error.fix}"
    if head.startswith(b"#!"):
        interpreter = os.fsdecode(head[2:].partition(b"\n")[0].strip(b" \t").partition(b" ")[0])
        if Path(interpreter).exists():
            return None
        fix = "save it with the line ends of Unix (LF)" if interpreter.endswith("\r") else "install the interpreter"
        return f"names the interpreter {interpreter!r} in its first line, which is not on this machine. Fix: {fix}"
    here = f"{platform.system()} on {_LAMBDA_NAMES.get(platform.machine(), platform.machine())}"
    if not head.startswith(_ELF):
        return f"is neither a script with '#!' in its first line nor a program for Linux. Fix: build it for {here}"
    machine = _MACHINES.get(int.from_bytes(head[18:20], "little"))
    built = f"Linux on {machine}"
    if machine is None or built == here or _is_emulated(machine):
        return None
    return f"is a program for {built}, and this machine is {here}. Fix: build it for this machine"


def _is_emulated(machine: str) -> bool:
    return any(Path("/proc/sys/fs/binfmt_misc", name).exists() for name in _EMULATORS[machine])


# ---- Node.js ---------------------------------------------------------------------------------------------------------


def _node(function: Function) -> tuple[str, ...]:
    name = shutil.which("node", path=_path(function))
    if name is None:
        raise CannotStart(
            f"Runtime {function.runtime} needs Node.js, and there is no program 'node' on PATH. "
            f"Fix: install Node.js, or write a command for {function.runtime} {_COMMAND}"
        )
    program, _ = _node_behind(name)
    return (program, str(_official_client(function.code) or NODE_CLIENT), function.handler)


@cache
def _node_behind(name: str) -> tuple[str, str]:
    """Returns the program and the version of Node.js that a name starts.

    The name may belong to a version manager (asdf, nodenv, Volta), which needs the variables of this shell.

    Raises:
        CannotStart: it does not start.
    """
    asked = "JSON.stringify([process.execPath, process.version])"
    try:
        done = subprocess.run(  # noqa: S603 - a program on PATH, which also runs the functions
            [name, "-p", asked], stdin=subprocess.DEVNULL, capture_output=True, timeout=_NODE_SECONDS, check=True
        )
        program, version = json.loads(done.stdout)
    except (OSError, subprocess.SubprocessError, ValueError) as error:
        raise CannotStart(
            f"{name!r} does not start Node.js ({type(error).__name__}). Fix: try `{shlex.quote(name)} --version`"
        ) from error
    return str(program), str(version)


def _official_client(code: Path) -> Path | None:
    """Returns AWS's runtime client, if the function contains it and npm has compiled its native part.

    That part is not compiled on macOS, and with `npm install --ignore-scripts`.
    """
    folder = code / OFFICIAL_CLIENT
    natives = (folder / "rapid-client.node", folder / "build" / "Release" / "rapid-client.node")
    if not any(native.is_file() for native in natives):
        return None
    try:
        script = json.loads(read_regular_file(folder / "package.json", MIB))["bin"]["aws-lambda-ric"]
    except (BadFile, ValueError, RecursionError, KeyError, TypeError):
        return None
    found = folder / str(script)
    return found if found.is_file() else None


def runtime_notes(functions: Iterable[Function]) -> Iterator[str]:
    """Gives one sentence for each Node.js runtime that runs on another release of Node.js here."""
    runtimes = sorted({function.runtime for function in functions if function.runner == "nodejs"})
    name = shutil.which("node") if runtimes else None
    if name is None:
        return
    try:
        _, version = _node_behind(name)
    except CannotStart:  # a fault of each function
        return
    here = f"nodejs{version.removeprefix('v').partition('.')[0]}.x"
    yield from (f"Runtime {runtime} runs on this machine's node {version}" for runtime in runtimes if runtime != here)


# ---- variables -------------------------------------------------------------------------------------------------------


def variables(function: Function) -> Mapping[str, str]:
    """Returns the variables that depend on the runtime and the layers. The template's own replace them."""
    found = {"PATH": _path(function)}
    if function.runner == "python":
        return {
            **found,
            "AWS_EXECUTION_ENV": f"AWS_Lambda_{PYTHON}",
            "PYTHONUNBUFFERED": "1",
            "PYTHONDONTWRITEBYTECODE": "1",  # see bytecode.py
        }
    if not function.runtime.startswith("provided"):  # Lambda does not set it there
        found["AWS_EXECUTION_ENV"] = f"AWS_Lambda_{function.runtime}"
    release = function.runtime.removeprefix("nodejs").partition(".")[0]
    modules = _joined(_in_layers(function, f"nodejs/node{release}/node_modules", "nodejs/node_modules"))
    return {**found, "NODE_PATH": modules} if modules else found


def _path(function: Function) -> str:
    """Returns PATH: this machine's, and then the layers', as on Lambda."""
    machine = os.environ.get("PATH", "/usr/bin:/bin")
    return os.pathsep.join([machine, *map(str, _in_layers(function, "bin"))])


def _in_layers(function: Function, *names: str) -> Iterator[Path]:
    """Gives the folders of these names in the layers: the first one is searched first."""
    for name in names:
        yield from (folder for layer in reversed(function.layers) if (folder := layer / name).is_dir())


def _joined(folders: Iterable[Path]) -> str:
    return os.pathsep.join(map(str, folders))


# ---- restarts --------------------------------------------------------------------------------------------------------


def restarts(function: Function, path: Path) -> bool:
    """Whether a change of a file ends the environments of a function. Files in folders as `.git` and `node_modules` are
    not asked about, except `is_installation`.

    Of Python and Node.js, the suffixes of code and of data are known. Another runtime may read any file.
    """
    for root in (function.code, *function.layers):
        if path.is_relative_to(root):
            inside = path.relative_to(root)
            break
    else:
        return False
    if function.runner == "command":
        return True
    if is_installation(path):
        return function.runner == "nodejs"
    if function.runner == "provided":
        return "target" not in inside.parts[:-1]  # where cargo writes thousands of files during a build
    suffixes = _PYTHON_SUFFIXES if function.runner == "python" else _NODE_SUFFIXES
    return path.suffix in suffixes | _DATA_SUFFIXES


def is_installation(path: Path) -> bool:
    """Whether a change of a path is that of all packages: npm writes one file after it has installed or removed some,
    and a person deletes the whole folder. The thousands of other files are not followed.
    """
    inside = path.name == ".package-lock.json" and path.parent.name == "node_modules"
    return (inside or path.name == "node_modules") and path.parts.count("node_modules") == 1
