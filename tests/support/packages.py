"""Installed packages, as pip leaves them in a folder."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable
from importlib.metadata import Distribution, distribution, distributions
from pathlib import Path
from typing import Final

from lattice_bridge.packaging.contents import BROUGHT_BY_LAMBDA, canonical
from tests.testing.test_strangers_project import needed

PACKAGED: Final = ["a.py", "a/lib.so", "a/x.py"]
PACKAGE: Final = (
    *PACKAGED,
    *("a/x.pyi", "a/_x.pyx", "a/x.h", "a/py.typed", "a/__pycache__/x.cpython-313.pyc"),
    *("a/tests/test_x.py", "a/b/test/x.py", "bin/a", "../../bin/a"),
)
RECORDED: Final = ("METADATA", "licenses/LICENSE", "licenses/AUTHORS.md", "NOTICE.txt", "sboms/sbom.json")
NOT_RECORDED: Final = ("RECORD", "WHEEL", "INSTALLER", "REQUESTED", "direct_url.json", "entry_points.txt")


def installed(folder: Path, name: str, files: Iterable[str], *, modified: float = 1e9) -> list[Distribution]:
    """Writes a package into the folder. Returns all that are there."""
    metadata = f"{name.replace('-', '_')}-1.0.dist-info"
    every = [*files, *(f"{metadata}/{file}" for file in (*RECORDED, *NOT_RECORDED))]
    for file in every:
        path = folder / file.removeprefix("../../")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"x = {file!r}\n", encoding="utf-8")
    (folder / metadata / "METADATA").write_text(
        f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n", encoding="utf-8"
    )
    (folder / metadata / "RECORD").write_text("".join(f"{file},,\n" for file in every), encoding="utf-8")
    for path in folder.rglob("*"):
        os.utime(path, (modified, modified))
    return list(distributions(path=[str(folder)]))


def install_a_package(folder: Path, arch: str, runtime: str, boto3: bool) -> None:
    """An installer for `packaging.build`, of one small package."""
    installed(folder, "a", PACKAGE)


def install_from_here(folder: Path, arch: str, runtime: str, boto3: bool) -> None:
    """An installer for `packaging.build`: copies what pip would install from this environment, without a network."""
    names = needed(distribution("lattice-bridge"), ())
    copy_from_here((name for name in names if boto3 or canonical(name) not in BROUGHT_BY_LAMBDA), folder)


def copy_from_here(names: Iterable[str], folder: Path) -> None:
    """Copies installed packages, without bytecode, as pip installs them into a folder."""
    for name in names:
        package = distribution(name)
        for file in package.files or ():
            if not {"..", "__pycache__"} & set(file.parts):
                (folder / file).parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(str(package.locate_file(file)), folder / file)
