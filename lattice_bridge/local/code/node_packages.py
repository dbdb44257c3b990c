"""The packages that a package.json lists, and those of them that are not installed.

Rule: nothing is installed. npm runs scripts of the packages, so a person starts it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

from lattice_bridge.config.regular_file import MIB, BadFile, exists, read_regular_text


def missing_packages(manifest: Path, folders: Iterable[Path]) -> list[str]:
    """The packages in `dependencies` that are in `node_modules` of none of the folders.

    Args:
        manifest: a package.json; a file that does not exist, or cannot be read, lists none.
        folders: that Node searches.
    """
    try:
        document = json.loads(read_regular_text(manifest, MIB))
    except (BadFile, ValueError, RecursionError):
        return []
    listed = document.get("dependencies") if isinstance(document, dict) else None
    if not isinstance(listed, dict):
        return []
    searched = [folder / "node_modules" for folder in folders]
    return [name for name in listed if not any(exists(folder / name) for folder in searched)]
