"""Builds the bridge for Lambda, without Docker: a zip and a layer for each architecture, or one folder.

Rule: the same code, configuration and dependencies give the same bytes, with bytecode of the same release of Python.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from importlib.metadata import distributions
from pathlib import Path
from typing import Final

from lattice_bridge.packaging.archive import Written, check_empty, write_folder, write_zip
from lattice_bridge.packaging.bytecode import Compiler, compiled
from lattice_bridge.packaging.configuration import configure
from lattice_bridge.packaging.contents import CannotPackage, File, contents, own_code
from lattice_bridge.packaging.install import install

LAYER_PREFIX: Final = "python/"
"""The folder of a layer that is on the path of Lambda's Python."""

Install = Callable[[Path, str, str, bool], None]
"""Installs the dependencies into a folder, for an architecture and a runtime, with or without boto3."""


@dataclass(frozen=True, slots=True)
class Request:
    """What to build.

    Attributes:
        text: of the configuration.
        beside: the folder to which the configuration's key sets are relative.
        runtime: of the function, as in `python3.13`.
        compiler: makes the bytecode. None for a package without bytecode.
        boto3: also package boto3; otherwise it is the runtime's.
        progress: receives a sentence before each step that takes a while.
        install: of the dependencies; a test passes another one than pip.
    """

    text: str
    beside: Path
    runtime: str
    compiler: Compiler | None
    boto3: bool
    progress: Callable[[str], None]
    install: Install = install


def build_zips(request: Request, archs: Sequence[str], output: Path) -> list[Written]:
    """Builds `bridge-ARCH.zip` and `layer-ARCH.zip` for each architecture. The layer has no configuration.

    The first is written when the dependencies of all architectures are installed: pip may not find those of the last.

    Raises:
        InvalidMap: as `configure`.
        CannotPackage: a dependency cannot be installed, or Lambda would not accept the zip.
    """
    built = []
    with ExitStack() as staged:
        for arch, (code, configured) in [(arch, staged.enter_context(_staged(request, arch))) for arch in archs]:
            request.progress(f"{arch}: writing {output / f'bridge-{arch}.zip'} and layer-{arch}.zip")
            output.mkdir(parents=True, exist_ok=True)
            built.append(write_zip(code | configured, output / f"bridge-{arch}.zip"))
            built.append(write_zip(code, output / f"layer-{arch}.zip", LAYER_PREFIX))
    return built


def build_folder(request: Request, arch: str, folder: Path) -> Written:
    """Builds the contents of `bridge-ARCH.zip` in a folder that is new or empty.

    Raises:
        InvalidMap: as `configure`.
        CannotPackage: as `build_zips`, or the folder contains something.
    """
    check_empty(folder)
    with _staged(request, arch) as (code, configured):
        request.progress(f"{arch}: writing {folder}")
        return write_folder(code | configured, folder)


@contextmanager
def _staged(request: Request, arch: str) -> Iterator[tuple[dict[str, File], dict[str, File]]]:
    """The code and the configuration, by their names in the package, while the block lasts."""
    with tempfile.TemporaryDirectory() as staging:
        configured = configure(request.text, request.beside, Path(staging, "configuration"))
        code = _code(request, arch, Path(staging, "code"))
        if both := sorted(code.keys() & configured.keys()):
            raise CannotPackage(f"{both[0]}: a key set with the name of a module. Fix: rename it")
        yield code, configured


def _code(request: Request, arch: str, folder: Path) -> dict[str, File]:
    request.progress(f"{arch}: installing the dependencies for {request.runtime}")
    request.install(folder, arch, request.runtime, request.boto3)
    found = contents(distributions(path=[str(folder)]), boto3=request.boto3) | own_code(folder)
    if request.compiler is None:
        return found
    modules = sum(name.endswith(".py") for name in found)
    request.progress(f"{arch}: compiling {modules} modules with Python {request.compiler.version}")
    return found | compiled(found, folder, request.compiler)
