"""`lattice-bridge compile`: writes a checked map as JSON, which loads faster than TOML."""

from __future__ import annotations

import os
import stat
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import NoReturn

import click

from lattice_bridge.cli import show
from lattice_bridge.cli.files import base_option, chosen_map, located_line, map_argument, read_map
from lattice_bridge.config.compiled import compile_document
from lattice_bridge.config.document import parse_document
from lattice_bridge.config.regular_file import exists, is_file, real_path
from lattice_bridge.config.tenant_map import TenantMap
from lattice_bridge.errors import InvalidMap
from lattice_bridge.review.check import findings_of
from lattice_bridge.review.finding import Finding


@click.command(name="compile", short_help="Make a large map quick to load.")
@map_argument
@base_option
@click.option(
    "--output",
    "-o",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="The file to write, or - for stdout. Default: MAP with .json.",
)
@show.JSON
def compile_command(
    map_name: str | None, map_option: str | None, base: Path | None, output: Path | None, *, as_json: bool
) -> None:
    """Check MAP (default bridge.toml; - for stdin; REVISION:PATH in git) as `check` does, with its own tests. Then
    write it as JSON, which the handler loads without checking it again. Name this file in LATTICE_BRIDGE_CONFIG. Exits
    with 0 if the map is compiled, 1 if it has an error: then nothing is written."""
    given = read_map(chosen_map(map_name, map_option), base)
    errors = [found for found in findings_of(given.text, given.folder) if found.level == "error"]
    if errors:
        _refuse(given.name, errors, as_json=as_json)
    if given.document.compiled is not None:
        raise click.UsageError(f"{given.name} is compiled already. Fix: name the TOML file")
    compiled = compile_document(given.document, given.folder)
    if str(output) == "-":
        show.say(compiled.removesuffix("\n"))  # one line of ASCII
        return
    target = output or (given.path.with_suffix(".json") if given.path else None)
    if target is None:
        raise click.UsageError(
            f"{given.name} is not a file, so it has no place for its JSON. Fix: name one with --output"
        )
    if exists(target) and (not is_file(target) or (given.path is not None and target.samefile(given.path))):
        raise click.UsageError(f"{target} is the map itself, or not a file. Fix: name another with --output")
    try:
        TenantMap.from_document(parse_document(compiled), target.parent)  # what is written loads where it is written
    except InvalidMap as error:
        raise click.UsageError(f"{target}: {error.detail}") from error
    _write(target, compiled)
    if as_json:
        show.say_json({"file": str(target), "bytes": len(compiled), "errors": []})
    else:
        show.say(f"{target}: {len(compiled):,} bytes")


def _refuse(name: str, errors: list[Finding], *, as_json: bool) -> NoReturn:
    if as_json:
        show.say_json({"file": None, "bytes": None, "errors": [asdict(error) for error in errors]})
    for error in () if as_json else errors:
        show.say_error(located_line(name, error.line, error.column, "error", error.text))
    sys.exit(1)


def _write(path: Path, text: str) -> None:
    """Writes the whole file, or nothing: a bridge may be reading it."""
    try:
        handle, made = tempfile.mkstemp(dir=real_path(path).parent, prefix=f".{path.name}.")
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                file.write(text)
            Path(made).chmod(_mode(path))
            Path(made).replace(real_path(path))
        except BaseException:
            Path(made).unlink(missing_ok=True)
            raise
    except OSError as error:
        raise click.UsageError(f"{path}: {error.strerror or error}") from error


def _mode(path: Path) -> int:
    """The mode of the file that is replaced, or of any new file."""
    if path.exists():
        return stat.S_IMODE(path.stat().st_mode)
    mask = os.umask(0)
    os.umask(mask)
    return 0o666 & ~mask
