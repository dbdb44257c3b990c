"""A configuration as it is written -> its compiled form.

Rule: what does not load is not compiled.
"""

from __future__ import annotations

from pathlib import Path

from lattice_bridge.config.compiled import compile_map
from lattice_bridge.config.document import Document
from lattice_bridge.config.tables.map import read_map
from lattice_bridge.config.tables.options import read_options
from lattice_bridge.errors import InvalidMap


def compile_document(document: Document, folder: Path) -> str:
    """The compiled text of a document in TOML.

    Args:
        document: parsed.
        folder: what a `jwks_file` is relative to.

    Raises:
        InvalidMap: with every fault found.
    """
    faults: list[str] = []
    options = read_options(document.tables, faults)
    try:
        read = read_map(document.tables, folder)
    except InvalidMap as error:
        raise InvalidMap([*faults, *error.faults]) from error
    if faults:
        raise InvalidMap(faults)
    return compile_map(document, read.around, read.rules, options)
