"""The configuration that is packaged.

Rule: one that does not load is not packaged, and neither is one without the files that it names.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

import click

from lattice_bridge.compiling import compile_document
from lattice_bridge.document import Document, parse_document, read_text
from lattice_bridge.errors import InvalidMap


def configure(config: Path, folder: Path) -> None:
    """bridge.toml; beside it what it compiles to, which starts in half the time; and the key sets that it names."""
    try:
        document = parse_document(read_text(config))
        if document.compiled is not None:
            raise InvalidMap(["is compiled already; name the bridge.toml that it was compiled of"])
        compiled = compile_document(document, config.parent)
        for name in _key_files(document):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(config.parent / name, folder / name)
    except InvalidMap as error:
        raise click.ClickException("\n".join((f"{config} does not load:", *error.faults))) from error
    shutil.copyfile(config, folder / "bridge.toml")
    (folder / "bridge.json").write_text(compiled, encoding="utf-8")


def _key_files(document: Document) -> Iterator[str]:
    for issuer, table in document.tables.get("jwt", {}).items():
        name = table.get("jwks_file")
        if name is None:
            continue
        if PurePosixPath(name).is_absolute() or ".." in PurePosixPath(name).parts:
            raise InvalidMap([f'jwt "{issuer}": jwks_file "{name}" is not beside the map: it would not be packaged'])
        yield name
