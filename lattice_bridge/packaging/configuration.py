"""The configuration that is packaged.

Rule: the bytes that are packaged were checked. Each file is a regular file under a size limit, and each key set lies in
the configuration's folder, also if it is reached through a symbolic link.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path, PurePosixPath

import click

from lattice_bridge.config.compiled import compile_document
from lattice_bridge.config.document import Document, parse_document, read_text
from lattice_bridge.config.map_settings import read_key_file
from lattice_bridge.config.regular_file import BadFile
from lattice_bridge.errors import InvalidMap
from lattice_bridge.identity.jwks import key_set_fault


def configure(config: Path, folder: Path) -> None:
    """Writes bridge.toml, its compiled form bridge.json, and the key sets that it names into the folder.

    The configuration itself may be a symbolic link, since the operator named it. Its key sets are relative to the
    folder of the link, as they are when the bridge runs.

    Raises:
        ClickException: the configuration does not load, or names a key set that must not be packaged.
    """
    try:
        text = read_text(config)
        document = parse_document(text)
        if document.compiled is not None:
            raise InvalidMap(["is compiled already. Fix: name the bridge.toml that it was compiled from"])
        compiled = compile_document(document, config.parent)
        key_sets = dict(_key_sets(document, config.parent))
    except InvalidMap as error:
        raise click.ClickException("\n".join((f"{config} does not load:", *error.faults))) from error
    for name, data in key_sets.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    (folder / "bridge.toml").write_bytes(text.encode())
    (folder / "bridge.json").write_text(compiled, encoding="utf-8")


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
        yield name, data
