"""The configuration that is packaged.

Rule: the bytes that are packaged were checked. Each file is a regular file under a size limit, and each key set lies in
the configuration's folder, also if it is reached through a symbolic link.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Final

from lattice_bridge.config.compiled import compile_document
from lattice_bridge.config.document import Document, parse_document
from lattice_bridge.config.map_settings import read_key_file
from lattice_bridge.config.regular_file import BadFile
from lattice_bridge.config.tables.options import read_options
from lattice_bridge.errors import InvalidMap
from lattice_bridge.identity.jwks import key_set_fault
from lattice_bridge.packaging.contents import File

TITLE: Final = "bridge.toml"
"""The name under which the configuration's files are counted."""


def configure(text: str, beside: Path, folder: Path) -> dict[str, File]:
    """Writes bridge.toml, its compiled form bridge.json, and the key sets that it names into the folder.

    Args:
        text: of the configuration.
        beside: the folder to which its key sets are relative: that of the file that the operator named, also if this
            file is a symbolic link, as when the bridge runs.
        folder: receives the files.

    Returns:
        The files, by their names in the package.

    Raises:
        InvalidMap: the configuration does not load, or names a key set that must not be packaged.
    """
    document = parse_document(text)
    if document.compiled is not None:
        raise InvalidMap(["is compiled already. Fix: name the bridge.toml that it was compiled from"])
    compiled = compile_document(document, beside)
    options = read_options(document.tables, [])
    if not (options.backends or options.event_sources or options.apis):
        # A map in a file of its own may have none, and so may an authorizer's.
        raise InvalidMap(['no [[backend]] and no [[event_source]]. Fix: write one with function = "…"'])
    made = {"bridge.toml": text.encode(), "bridge.json": compiled.encode()}
    for name, data in _key_sets(document, beside):
        if made.setdefault(name, data) != data:
            raise InvalidMap([f'jwks_file "{name}" has the name of another packaged file. Fix: rename it'])
    for name, data in made.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    return {name: File(folder / name, TITLE) for name in made}


def _key_sets(document: Document, folder: Path) -> Iterator[tuple[str, bytes]]:
    """The key sets that a map without faults names: the name of each in the package, and its bytes."""
    for issuer, table in document.tables.get("jwt", {}).items():
        name = table.get("jwks_file")
        if name is None:
            continue
        place = f'jwt "{issuer}": jwks_file "{name}"'
        file = (folder / name).resolve()
        if PurePosixPath(name).is_absolute() or ".." in PurePosixPath(name).parts:
            raise InvalidMap([f"{place} is not beside the map. Fix: copy the file into the folder of bridge.toml"])
        if not file.is_relative_to(folder.resolve()):
            fix = "replace the link with the file itself"
            raise InvalidMap([f"{place} is a symbolic link out of the folder of bridge.toml. Fix: {fix}"])
        try:
            data = read_key_file(file)
        except BadFile as error:
            raise InvalidMap([f"{place}: {error.what}. Fix: {error.fix}"]) from error
        if fault := key_set_fault(data):
            raise InvalidMap([f"{place}: {fault}"])
        yield PurePosixPath(name).as_posix(), data
