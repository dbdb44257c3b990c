"""`lattice-bridge compile`: a checked map as JSON that loads in a fraction of the time."""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

import click

from lattice_bridge.cli import show
from lattice_bridge.cli.files import read
from lattice_bridge.compiled import compile_map
from lattice_bridge.document import parse_document
from lattice_bridge.settings import Settings
from lattice_bridge.tenant_map import TenantMap
from lattice_bridge.version import __version__


@click.command(name="compile", short_help="Make a large map quick to load.")
@click.argument("file", type=click.Path(path_type=Path), default=Path("bridge.toml"))
@click.option(
    "-o", "--output", type=click.Path(path_type=Path), help="Where to; default: FILE with .json, - for stdout."
)
def compile_command(file: Path, output: Path | None) -> None:
    """Check FILE (default bridge.toml) as `check` does, its own tests included, and write it as JSON that the handler
    loads without checking it again: name it in LATTICE_BRIDGE_CONFIG. Exits with 1, and writes nothing, if there is an
    error."""
    text = read(file)
    errors = [found.text for found in Settings.findings(text, file.parent) if found.level == "error"]
    for error in errors:
        click.echo(f"error: {show.safe(error)}", err=True)
    if errors:
        sys.exit(1)
    document = parse_document(text)
    if document.compiled is not None:
        raise click.UsageError(f"{file} is compiled already")
    compiled = compile_map(document.tables, TenantMap.from_document(document, file.parent).rules, __version__)
    TenantMap.from_document(parse_document(compiled), file.parent)  # what is written loads
    if str(output) == "-":
        click.echo(compiled, nl=False)
        return
    target = output or file.with_suffix(".json")
    _write(target, compiled)
    click.echo(f"{target}: {len(compiled):,} bytes")


def _write(path: Path, text: str) -> None:
    """Whole or not at all: a bridge may be looking."""
    try:
        handle, made = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                file.write(text)
            Path(made).chmod(0o644)
            Path(made).replace(path)
        except BaseException:
            Path(made).unlink(missing_ok=True)
            raise
    except OSError as error:
        raise click.UsageError(f"{path}: {error.strerror or error}") from error
