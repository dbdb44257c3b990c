"""`lattice-bridge package`: builds the bridge for Lambda from the installed version and one's own bridge.toml."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, NoReturn

import click

from lattice_bridge.cli import show
from lattice_bridge.cli.files import base_option, chosen_map, located_line, map_argument, read_map
from lattice_bridge.errors import InvalidMap
from lattice_bridge.packaging.archive import Size, Written
from lattice_bridge.packaging.build import Install, Request, build_folder, build_zips
from lattice_bridge.packaging.bytecode import compiler_for
from lattice_bridge.packaging.contents import CannotPackage
from lattice_bridge.packaging.install import MACHINES, RUNTIMES, install
from lattice_bridge.review.check import findings_of

OUTPUT: Final = Path("dist")

NO_BYTECODE: Final = (
    "warning: no bytecode, because this Python is {here} and there is no {runtime} on the PATH. Lambda then compiles "
    "the bridge at each cold start: {cost}. Fix: put {runtime} on the PATH, for example with "
    "`uv python install {release}`"
)
COST: Final = "171 ms of CPU to the first answer instead of about 110"
"""Measured by `make bench`, see benchmarks/RESULTS.md."""


@click.command(name="package", short_help="Build the bridge's zip for Lambda.")
@map_argument
@base_option
@click.option(
    "--arch",
    "archs",
    type=click.Choice(list(MACHINES)),
    multiple=True,
    help="The function's architecture. Repeatable. Default: both.",
)
@click.option(
    "--runtime", type=click.Choice(RUNTIMES), default="python3.13", show_default=True, help="The function's Runtime."
)
@click.option("--with-boto3", is_flag=True, help="Package boto3 as well, instead of using the runtime's.")
@click.option(
    "--output",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="DIR",
    help=f"Write bridge-ARCH.zip and layer-ARCH.zip into DIR. Default: {OUTPUT}.",
)
@click.option(
    "--folder",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="DIR",
    help="Write no zips, but the unpacked bridge for one --arch into the empty folder DIR, as `sam build` expects.",
)
@show.JSON
@click.pass_obj
def package(
    installer: Install | None,
    map_name: str | None,
    map_option: str | None,
    base: Path | None,
    archs: tuple[str, ...],
    runtime: str,
    output: Path | None,
    folder: Path | None,
    *,
    with_boto3: bool,
    as_json: bool,
) -> None:
    """Build the bridge for Lambda with MAP (default bridge.toml; - for stdin; REVISION:PATH in git), its key files, and
    the version of lattice-bridge that is installed here. pip downloads the dependencies as wheels for Lambda's
    architecture, and compares each with a SHA-256. This needs no Docker. The command first checks MAP as `check` does,
    with its own tests. Exits with 0 if the bridge is built, 1 if not: then nothing is written."""
    if folder is not None and (output is not None or len(archs) != 1):
        raise click.UsageError("--folder takes one --arch and no --output. Fix: add --arch arm64 or --arch x86_64")
    given = read_map(chosen_map(map_name, map_option), base)
    if errors := [found for found in findings_of(given.text, given.folder) if found.level == "error"]:
        _refuse([located_line(given.name, found.line, found.column, "error", found.text) for found in errors])
    compiler = compiler_for(runtime)
    request = Request(given.text, given.folder, runtime, compiler, with_boto3, show.say_error, installer or install)
    built = _build(request, archs, output, folder)
    if as_json:
        bytecode = None if compiler is None else compiler.version
        show.say_json({"runtime": runtime, "bytecode": bytecode, "built": [_facts(one) for one in built]})
    elif show.is_terminal():
        draw(built)
    else:
        _say(built)
    if compiler is None:
        here, release = ".".join(map(str, sys.version_info[:2])), runtime.removeprefix("python")
        show.say_error(NO_BYTECODE.format(here=here, runtime=runtime, release=release, cost=COST))


def _build(request: Request, archs: Sequence[str], output: Path | None, folder: Path | None) -> list[Written]:
    """Builds into the folder, or else the zips. If nothing can be built, the command ends."""
    try:
        if folder is not None:
            return [build_folder(request, archs[0], folder)]
        return build_zips(request, list(dict.fromkeys(archs)) or list(MACHINES), output or OUTPUT)
    except InvalidMap as error:
        _refuse([f"error: {fault}" for fault in error.messages])
    except CannotPackage as error:
        _refuse([f"error: {error}"])
    except OSError as error:
        place = f"{error.filename}: " if error.filename else ""  # a full disk: the output's, or that of temporary files
        raise click.UsageError(f"{place}{error.strerror}. Fix: name a folder that you can write") from error


def _refuse(errors: Sequence[str]) -> NoReturn:
    for error in errors:
        show.say_error(error)
    sys.exit(1)


def _facts(one: Written) -> dict[str, Any]:
    sizes = {name: _bytes(size, one) for name, size in one.packages.items()}
    packages = [{"name": name, **size} for name, size in sizes.items()]
    return {"path": str(one.path), "sha256": one.sha256, **_bytes(one.size, one), "packages": packages}


def _bytes(size: Size, of: Written) -> dict[str, int | None]:
    return {"zipped": size.zipped if of.sha256 else None, "unzipped": size.unzipped}


def draw(built: Sequence[Written]) -> None:
    """Draws the size of what was built, and a table of the packages in it, on the terminal."""
    bridges = _bridges(built)
    rows = [(name, *(_size(one.packages.get(name, Size()), one) for one in bridges)) for name in bridges[0].packages]
    show.draw(show.table(["contains", *(one.path.name for one in bridges)], rows), "")
    for one in built:
        unzipped = f", unzipped {_megabytes(one.size.unzipped)}" if one.sha256 else ""
        show.draw((str(one.path), "bold green"), f"  {_size(one.size, one)}{unzipped}")
        show.draw(*([f"  sha256 {one.sha256}"] if one.sha256 else []))


def _say(built: Sequence[Written]) -> None:
    """Prints the same as lines."""
    for one in built:
        zipped = f"{one.size.zipped:,} bytes, {one.size.unzipped:,} unzipped, sha256 {one.sha256}"
        show.say(f"{one.path}: {zipped if one.sha256 else f'{one.size.unzipped:,} bytes'}")
        for name, size in one.packages.items() if one in _bridges(built) else ():
            show.say(f"  {size.zipped if one.sha256 else size.unzipped:>12,}  {name}")


def _bridges(built: Sequence[Written]) -> list[Written]:
    """Without the layers, which contain the same packages."""
    return [one for one in built if not one.path.name.startswith("layer-")]


def _size(size: Size, of: Written) -> str:
    """In a zip, as it is compressed."""
    return _megabytes(size.zipped if of.sha256 else size.unzipped)


def _megabytes(number: int) -> str:
    return f"{number / 1e6:.1f} MB" if number >= 50_000 else f"{number / 1e3:.1f} kB"
