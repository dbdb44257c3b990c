"""The SHA-256 of the bridge's own code. A compiled configuration names the code that checked it.

Rule: a version does not identify code: during development, many builds have one version. A wheel contains the hash, so
that a cold start reads 64 bytes; in a checkout it is computed from the files.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Final

FILE: Final = "code.sha256"
"""The file with the hash in a wheel, in the package's folder; written by hatch_build.py."""

NOT_DEPLOYED: Final = frozenset(
    {"__main__.py", "cli", "deployment", "local", "packaging", "project", "review", "testing"}
)
"""Folders and files that are not packaged for Lambda. They decide nothing about a configuration, so they are not
hashed. This is the only such list: the packaging and the tests of the layers read it here."""

_SKIPPED: Final = NOT_DEPLOYED | {"__pycache__"}


@cache
def code_hash() -> str:
    """The hash of the running code, as hex. Empty if its files cannot be read, as in an imported zip or where only
    bytecode is installed: then a compiled file cannot be matched with this code."""
    folder = Path(__file__).parents[1]
    try:
        return (folder / FILE).read_text(encoding="ascii")
    except FileNotFoundError:
        return hash_of(folder)
    except OSError:
        return ""


def hash_of(package: Path) -> str:
    """The hash of a package's modules, as hex: of their names and bytes, in the order of names. Empty without modules.

    Args:
        package: the package's folder.
    """
    found = modules(package)
    digest = hashlib.sha256()
    for name, path in found:
        code = path.read_bytes()
        digest.update(f"{name} {len(code)}\n".encode())
        digest.update(code)
    return digest.hexdigest() if found else ""


def modules(package: Path) -> list[tuple[str, Path]]:
    """The modules that are hashed and deployed: the name of each in the package, and its file. Sorted by name."""
    return sorted(_modules(package, ""))


def _modules(folder: Path, within: str) -> Iterator[tuple[str, Path]]:
    for path in folder.iterdir():
        if path.name in _SKIPPED:
            continue
        if path.suffix == ".py":
            yield f"{within}{path.name}", path
        elif path.is_dir():
            yield from _modules(path, f"{within}{path.name}/")
