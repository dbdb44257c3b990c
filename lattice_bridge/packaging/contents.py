"""Contents of a package for Lambda: the bridge's own code, and of its dependencies the files that run there.

Rule: the bridge's code is exactly what its code hash covers. A dependency's files are those that its own record lists,
without those that are not read at run time. A scanner still finds each distribution's name, version, licence and bill
of materials.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path, PurePosixPath
from typing import Final

from lattice_bridge.config.code_hash import FILE, hash_of, modules

PACKAGE: Final = Path(__file__).parents[1]
"""The folder of the bridge that runs here, from a wheel or a checkout."""

BROUGHT_BY_LAMBDA: Final = frozenset(
    {"boto3", "botocore", "jmespath", "python-dateutil", "s3transfer", "six", "urllib3"}
)
"""boto3 and its dependencies, which Lambda's Python contains. The bridge invokes functions without them."""

_OUTSIDE: Final = ("bin/", "../")
_LEFT_OUT: Final = re.compile(
    r"(?:.*/)?(?:__pycache__/.*|[^/]*\.(?:pyc|pyi|pyx|pxd|[ch])|py\.typed)"
    r"|.*/tests?/.*"
    r"|pydantic/(?:v1/)?mypy\.py"  # plugins of the type checker
    r"|pycparser/.*"  # cffi reads C declarations with it when a module is built; cryptography's are compiled
    r"|[^/]*\.dist-info/(?!METADATA$|sboms/|(?:licenses/)?[^/]*(?:LICEN[CS]E|NOTICE|COPYING|AUTHORS)[^/]*$).*"
)


class CannotPackage(Exception):
    """Nothing was packaged. The text is `where: what is wrong. Fix: what to do.`"""


@dataclass(frozen=True, slots=True)
class File:
    """A file to package.

    Attributes:
        path: on this machine.
        package: its distribution, as `NAME VERSION`.
    """

    path: Path
    package: str


def own_code(folder: Path, package: Path = PACKAGE) -> dict[str, File]:
    """Copies the bridge's modules, their hash and their licence into the folder. Returns them by name.

    Args:
        folder: receives the files, because bytecode is written beside them.
        package: the folder of the bridge.

    Raises:
        CannotPackage: the bridge is not installed, was changed after it was installed, or has a module that is a link
            to a file elsewhere.
    """
    try:
        installed = distribution("lattice-bridge")
    except PackageNotFoundError as error:
        raise CannotPackage(
            "lattice-bridge: runs here and is not installed. Fix: install it with pip, as in README.md"
        ) from error
    title = f"{installed.name} {installed.version}"
    found = {name: file for name, file in contents([installed], boto3=False).items() if ".dist-info/" in name}
    recorded = package / FILE  # only a wheel has it: there, the hash shows that a link leads to the right bytes
    for name, path in modules(package):
        if not recorded.exists() and not path.resolve().is_relative_to(package.resolve()):
            raise CannotPackage(f"{path}: a symbolic link out of the package. Fix: replace the link with the file")
        copy = folder / package.name / name
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_bytes(path.read_bytes())
        found[f"{package.name}/{name}"] = File(copy, title)
    digest = hash_of(folder / package.name)
    if recorded.exists() and recorded.read_text(encoding="ascii") != digest:
        raise CannotPackage(f"{package}: changed after it was installed. Fix: install lattice-bridge again")
    (folder / package.name / FILE).write_text(digest, encoding="ascii")
    found[f"{package.name}/{FILE}"] = File(folder / package.name / FILE, title)
    return found


def contents(installed: Iterable[Distribution], *, boto3: bool) -> dict[str, File]:
    """The files to package, by their names in the package.

    Args:
        installed: all distributions.
        boto3: also package boto3 and its dependencies.
    """
    found: dict[str, File] = {}
    for package in installed:
        if boto3 or canonical(package.name) not in BROUGHT_BY_LAMBDA:
            title = f"{package.name} {package.version}"
            found |= {name: File(Path(str(package.locate_file(name))), title) for name in _files(package)}
    return found


def canonical(name: str) -> str:
    """The normalized name of a distribution (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


def _files(package: Distribution) -> Iterator[str]:
    for listed in package.files or ():
        name = PurePosixPath(listed).as_posix()
        if not name.startswith(_OUTSIDE) and not _LEFT_OUT.fullmatch(name):
            yield name
