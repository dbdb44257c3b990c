"""Reads a function's list of packages, requirements.txt or pyproject.toml, into lines for an installer.

Rule: the lines contain everything that decides which packages are installed, except what the package index has. The
lines of included files are part of them, so a change in one of those is noticed.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from lattice_bridge.config.regular_file import MIB, BadFile, is_file, read_regular_text
from lattice_bridge.local.code.build_output import files

MANIFESTS: Final = ("requirements.txt", "pyproject.toml")
"""The files that can list the packages of a function, the first one first."""

_MAX_BYTES: Final = MIB
_MAX_FILES: Final = 100
_INCLUDED: Final = re.compile(r"(?:-r|--requirement)[\s=]*(\S+)")
_CONSTRAINED: Final = re.compile(r"(?:-c|--constraint)[\s=]*(\S+)")
_LOCAL: Final = re.compile(
    r"(?:-e\s*|--editable[\s=]+|[\w.-]+\s*(?:\[[^\]]*\]\s*)?@\s*)?((?:file://|\.{0,2}/|\.)[^\s;\[]*)"
)
_COMMENT: Final = re.compile(r"(?:^|\s)#.*$")
_BRIDGE: Final = re.compile(r"lattice[-_.]bridge\s*(?:$|[\[<>=!~;@(\s])", re.IGNORECASE)


class BadManifest(Exception):
    """A list of packages that cannot be read. The message has the form `where: what is wrong. Fix: …`."""


@dataclass(frozen=True, slots=True)
class Manifest:
    """A list of packages.

    Attributes:
        path: of the file.
        requirements: one a line, as pip reads them, without lattice-bridge itself.
        bridge: lattice-bridge is one of the packages.
        watched: contents of other files that the requirements depend on.
    """

    path: Path
    requirements: tuple[str, ...]
    bridge: bool
    watched: tuple[str, ...] = ()


def find_manifest(folder: Path) -> Path | None:
    """The file that lists the packages of the code in a folder: requirements.txt, else pyproject.toml, else None."""
    return next((path for name in MANIFESTS if is_file(path := folder / name)), None)


def lists_packages(path: Path) -> bool:
    """Whether a file exists and lists a package, as far as it can be read."""
    try:
        return is_file(path) and bool(read_manifest(path).requirements)
    except BadManifest:
        return True


def read_manifest(path: Path) -> Manifest:
    """Reads a list of packages.

    Raises:
        BadManifest: the file, or one that it includes, cannot be read, or its packages are in a table that is not read.
    """
    watched: list[str] = []
    try:
        lines = _from_pyproject(path) if path.suffix == ".toml" else list(_lines(path, watched, set()))
    except BadFile as error:
        raise BadManifest(str(error)) from error
    kept = tuple(line for line in lines if not _BRIDGE.match(line))
    watched += [
        _state(path.parent / match[1].removeprefix("file://")) for line in kept if (match := _LOCAL.match(line))
    ]
    return Manifest(path, kept, len(kept) < len(lines), tuple(watched))


def _lines(path: Path, watched: list[str], seen: set[Path]) -> Iterator[str]:
    """Gives the lines of a requirements file and of the files that it includes, without comments."""
    if path.resolve() in seen:
        return
    seen.add(path.resolve())
    if len(seen) > _MAX_FILES:
        raise BadManifest(f"{path}: more than {_MAX_FILES} files include each other. Fix: write fewer")
    text = read_regular_text(path, _MAX_BYTES).replace("\\\r\n", "").replace("\\\n", "")
    for written in text.splitlines():
        line = _COMMENT.sub("", written).strip()
        if (included := _INCLUDED.match(line)) and "://" not in line:
            yield from _lines(path.parent / included[1], watched, seen)
        elif (constrained := _CONSTRAINED.match(line)) and "://" not in line:
            file = (path.parent / constrained[1]).resolve()
            watched.append(read_regular_text(file, _MAX_BYTES))
            yield f"-c {file}"
        elif line:
            yield line


def _from_pyproject(path: Path) -> list[str]:
    text = read_regular_text(path, _MAX_BYTES)
    try:
        document = tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        raise BadManifest(f"{path}: not TOML: {error}. Fix: correct it") from error
    project, tool = _table(document, "project"), _table(document, "tool")
    found = project.get("dependencies", [])
    if not isinstance(found, list) or not all(isinstance(line, str) for line in found):
        raise BadManifest(f'{path}: project.dependencies is not a list of strings. Fix: write ["NAME>=VERSION"]')
    if "dependencies" in _list(project, "dynamic") or ("poetry" in tool and "dependencies" not in project):
        raise BadManifest(
            f"{path}: the packages are not under [project] dependencies, and no other table is read. "
            "Fix: list them there, or in a requirements.txt beside it"
        )
    return [line.strip() for line in found if line.strip()]


def _table(document: dict[str, Any], name: str) -> dict[str, Any]:
    found = document.get(name)
    return found if isinstance(found, dict) else {}


def _list(table: dict[str, Any], name: str) -> list[Any]:
    found = table.get(name)
    return found if isinstance(found, list) else []


def _state(path: Path) -> str:
    """The times and sizes of a local package's files. They change with the package, and its line does not."""
    if path.is_file():
        return f"{path} {path.stat().st_mtime_ns} {path.stat().st_size}"
    states = ((file, file.stat()) for file in files(path) if file.is_file())
    return "\n".join(sorted(f"{file} {state.st_mtime_ns} {state.st_size}" for file, state in states))
