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
"""Of a wheel: written by hatch_build.py, in the package's folder."""

TOOLS: Final = frozenset({"cli", "deployment", "local", "testing"})
"""Folders that are not deployed and decide nothing about a configuration."""

_PASSED_OVER: Final = TOOLS | {"__pycache__"}


@cache
def code_hash() -> str:
    """The hash of the code that runs, as hex. Empty if there are no files to read it from, as in a zip that is imported
    or where only bytecode is installed: then no compiled file is known to be this code's."""
    folder = Path(__file__).parents[1]
    try:
        return (folder / FILE).read_text(encoding="ascii")
    except FileNotFoundError:
        return hash_of(folder)
    except OSError:
        return ""


def hash_of(package: Path) -> str:
    """The hash of the package in this folder, as hex: of each module's name and bytes, in the order of names. Empty if
    there is none."""
    modules = sorted(_modules(package, ""))
    digest = hashlib.sha256()
    for name, path in modules:
        code = path.read_bytes()
        digest.update(f"{name} {len(code)}\n".encode())
        digest.update(code)
    return digest.hexdigest() if modules else ""


def _modules(folder: Path, within: str) -> Iterator[tuple[str, Path]]:
    for path in folder.iterdir():
        if path.suffix == ".py":
            yield f"{within}{path.name}", path
        elif path.name not in _PASSED_OVER and path.is_dir():
            yield from _modules(path, f"{within}{path.name}/")
