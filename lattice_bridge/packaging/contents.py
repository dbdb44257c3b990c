"""Contents of a package for Lambda: the files of an installation that the function needs.

Rule: the files that each distribution's own record lists, without those that are not read at run time. A scanner still
finds each distribution's name, version, licence and bill of materials. The folders that are not deployed are those of
config/code_hash.py.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from importlib.metadata import Distribution
from pathlib import Path, PurePosixPath
from typing import Final

from lattice_bridge.config.code_hash import NOT_DEPLOYED

BROUGHT_BY_LAMBDA: Final = frozenset(
    {"boto3", "botocore", "jmespath", "python-dateutil", "s3transfer", "six", "urllib3"}
)
"""boto3 and its dependencies, which Lambda's Python contains. The bridge invokes functions without them."""

_NOT_OF_THE_BRIDGE: Final = (
    *("bin/", "../", "_lattice_bridge_pytestplugin.py"),
    *(f"lattice_bridge/{folder}/" for folder in sorted(NOT_DEPLOYED)),
)
_LEFT_OUT: Final = re.compile(
    r"(?:.*/)?(?:__pycache__/.*|[^/]*\.(?:pyc|pyi|pyx|pxd|[ch])|py\.typed)"
    r"|.*/tests?/.*"
    r"|[^/]*\.dist-info/(?!METADATA$|sboms/|(?:licenses/)?[^/]*(?:LICEN[CS]E|NOTICE|COPYING|AUTHORS)[^/]*$).*"
)


@dataclass(frozen=True, slots=True)
class File:
    """A file to package.

    Attributes:
        path: on this machine.
        package: its distribution, as `NAME VERSION`.
    """

    path: Path
    package: str


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
        if not name.startswith(_NOT_OF_THE_BRIDGE) and not _LEFT_OUT.fullmatch(name):
            yield name
