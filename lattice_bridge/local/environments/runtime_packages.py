"""The packages that Lambda's runtime provides, and those of the bridge: found in the Python that runs the stack.

Rule: a function imports no other package of this Python. Otherwise a missing line in its requirements.txt would be
noticed on Lambda only.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from functools import cache
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from importlib.util import find_spec
from pathlib import Path
from typing import Final, NamedTuple

from lattice_bridge.local.plan.model import Function

PACKAGE: Final = Path(__file__).resolve().parents[2]
"""The bridge's own code."""

RUNTIME: Final = ("awslambdaric", "boto3")
"""What AWS documents as part of Lambda's Python runtimes, with its requirements."""

BRIDGE: Final = ("boto3>=1.41", "pydantic>=2.7", "pyjwt[crypto]>=2.13")
"""The requirements of lattice-bridge itself, as in pyproject.toml. Its extras are the stack's."""

PYTHON: Final = f"python{sys.version_info.major}.{sys.version_info.minor}"
"""The Python that runs the stack, as Lambda would name it."""

_REQUIREMENT: Final = re.compile(r"([A-Za-z0-9._-]+)\s*(?:\[([^\]]*)\])?[^;]*(?:;(.*))?", re.DOTALL)
_REQUIRES: Final = re.compile(r"^Requires-Dist: *(.*)$", re.MULTILINE)
_EXTRA: Final = re.compile(r"\bextra\s*==\s*['\"]([^'\"]+)['\"]")


@dataclass(frozen=True, slots=True)
class Installed:
    """Some of the packages that are installed for the stack.

    Attributes:
        modules: a module at the top → the folder that it is in.
        distributions: the name of a distribution, normalised → its metadata folder, for `importlib.metadata`.
    """

    modules: dict[str, str] = field(default_factory=dict)
    distributions: dict[str, str] = field(default_factory=dict)


def search_path(function: Function) -> str:
    """Returns, as JSON for the launcher, where a function's process searches for modules after its task root."""
    found = installed(with_bridge=function.dependencies.bridge)
    folders = (*function.dependencies.folders, *modules_in_layers(function, PYTHON))
    return json.dumps({"folders": [str(folder) for folder in folders], **asdict(found)})


def modules_in_layers(function: Function, version: str) -> Iterator[Path]:
    """Gives the folders with modules in the layers, for a version of Python. The first one is searched first."""
    for name in (f"python/lib/{version}/site-packages", "python"):
        yield from (folder for layer in reversed(function.layers) if (folder := layer / name).is_dir())


@cache
def installed(*, with_bridge: bool) -> Installed:
    """Finds the packages of Lambda's runtime, and if asked for, the bridge and its requirements. Missing ones are left
    out."""
    found = Installed()
    waiting = [*RUNTIME, *(BRIDGE if with_bridge else ())]
    while waiting:
        match = _REQUIREMENT.match(waiting.pop())
        one = None if match is None else _read(normalised(match[1]))
        if match is None or one is None or one.name in found.distributions:
            continue
        found.distributions[one.name] = one.metadata
        found.modules.update(dict.fromkeys(one.modules, one.folder))
        extras = {extra.strip() for extra in (match[2] or "").split(",")}
        waiting += [text for text in one.requires if _applies(text, extras)]
    if with_bridge:
        found.modules[PACKAGE.name] = str(PACKAGE.parent)
    return found


def normalised(name: str) -> str:
    """The name of a distribution as PEP 503 compares it."""
    return re.sub(r"[-_.]+", "-", name).lower()


class _Distribution(NamedTuple):
    """One installed distribution.

    Attributes:
        name: normalised.
        folder: in which its modules are.
        metadata: the folder of its metadata.
        modules: those at the top.
        requires: its requirements, with their markers.
    """

    name: str
    folder: str
    metadata: str
    modules: frozenset[str]
    requires: tuple[str, ...]


@cache
def _read(name: str) -> _Distribution | None:
    try:
        found = distribution(name)
    except PackageNotFoundError:
        return None
    metadata = str(getattr(found, "_path", ""))  # no public attribute has it
    return _Distribution(name, str(found.locate_file("")), metadata, _modules(name, found), _requires(found))


def _requires(found: Distribution) -> tuple[str, ...]:
    """The requirements of a distribution. Its own property parses the whole description, for milliseconds."""
    head, ended, _ = (found.read_text("METADATA") or "").partition("\n\n")
    return tuple(_REQUIRES.findall(head) if ended else found.requires or ())


def _applies(requirement: str, extras: set[str]) -> bool:
    """Whether a requirement belongs to these extras or to none. Other markers are not evaluated: what they exclude is
    rarely installed."""
    match = _REQUIREMENT.match(requirement)
    extra = _EXTRA.search((match and match[3]) or "")
    return extra is None or extra[1] in extras


def _modules(name: str, found: Distribution) -> frozenset[str]:
    """The modules at the top of a distribution."""
    record = found.read_text("RECORD") or ""
    firsts = {line.partition(",")[0].partition("/")[0] for line in record.splitlines()}
    modules = {name.partition(".")[0] for name in firsts if _is_importable(name)}
    if not modules:  # a distribution of the operating system has no record, and that of a working copy names no module
        names = (found.read_text("top_level.txt") or name.replace("-", "_")).split()
        modules = {module for module in names if find_spec(module) is not None}
    return frozenset(modules)


def _is_importable(name: str) -> bool:
    if name.endswith((".dist-info", ".data", ".pth")) or name in ("..", "__pycache__"):
        return False
    return "." not in name or name.endswith((".py", ".so"))
