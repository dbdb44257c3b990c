"""Builds the zips for Lambda, dist/bridge-ARCH.zip and dist/layer-ARCH.zip, without Docker.

Rule: the same sources and constraints give the same bytes.
"""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Mapping
from importlib.metadata import distributions
from pathlib import Path
from typing import Final

import click

from tools.package_bytecode import compiled, interpreter
from tools.package_configure import configure
from tools.package_contents import File, contents
from tools.package_install import MACHINES, PYTHONS, ROOT, install
from tools.package_zip import Size, sizes, write_folder, write_zip

LIMIT: Final = 10_000_000
"""Bytes of a zip without boto3."""

UPLOAD_LIMIT: Final = 50 * 1024 * 1024
UNZIPPED_LIMIT: Final = 250 * 1024 * 1024
"""Lambda's own limits, of an uploaded zip and of its contents."""

LAYER_PREFIX: Final = "python/"
"""The folder of a layer that is on the path of Lambda's Python."""


def configuration(config: Path, folder: Path) -> dict[str, File]:
    """Writes bridge.toml, its compiled form and its key sets into the folder. Returns the files by name."""
    configure(config, folder)
    found = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): File(path, "bridge.toml") for path in found}


def packages(folder: Path, arch: str, python: str, *, boto3: bool, bytecode: bool) -> dict[str, File]:
    """Installs the bridge and its dependencies, without a configuration, into the folder. Returns the files by name."""
    install(folder, arch, python)
    found = contents(distributions(path=[str(folder)]), boto3=boto3)
    return found | compiled(found, folder, python) if bytecode else found


def check_size(archive: str, size: Size, *, boto3: bool) -> None:
    """Raises ClickException for a zip over the project's limit or Lambda's."""
    limit = UPLOAD_LIMIT if boto3 else LIMIT
    if size.zipped > limit:
        raise click.ClickException(f"{archive}: {size.zipped:,} bytes, and the limit is {limit:,}")
    if size.unzipped > UNZIPPED_LIMIT:
        raise click.ClickException(
            f"{archive}: {size.unzipped:,} bytes unzipped, and Lambda's limit is {UNZIPPED_LIMIT:,}"
        )


def build(archive: Path, files: Mapping[str, File], prefix: str = "", *, boto3: bool) -> None:
    """Writes a zip, and prints its size and hash."""
    write_zip(files, archive, prefix)
    total = Size(archive.stat().st_size, sum(size.unzipped for size in sizes(archive, files, prefix).values()))
    digest = hashlib.sha256(archive.read_bytes()).hexdigest()
    click.echo(f"{archive.name}: {total.zipped:,} bytes, {total.unzipped:,} unzipped, sha256 {digest}")
    check_size(archive.name, total, boto3=boto3)


def show_packages(archive: Path, files: Mapping[str, File]) -> None:
    """Prints the size of each package in a zip: compressed and not."""
    for name, size in sizes(archive, files).items():
        click.echo(f"  {size.zipped:>12,} {size.unzipped:>12,}  {name}")


@click.command()
@click.option("--arch", "archs", type=click.Choice(list(MACHINES)), multiple=True, default=list(MACHINES))
@click.option("--python", type=click.Choice(PYTHONS), default="3.13", show_default=True, help="Lambda's Python.")
@click.option(
    "--config", type=click.Path(path_type=Path, exists=True), default=ROOT / "bridge.toml", help="A bridge.toml."
)
@click.option("--with-boto3", is_flag=True, help="Package boto3 as well; otherwise it is the runtime's.")
@click.option("--bytecode", is_flag=True, help="With bytecode, for quicker starts; needs Lambda's Python here.")
@click.option("--folder", type=click.Path(path_type=Path), help="Into this folder, for one architecture, and no zip.")
@click.option("--output", type=click.Path(path_type=Path), default=ROOT / "dist", help="Where the zips go: dist/.")
def main(
    archs: tuple[str, ...],
    python: str,
    config: Path,
    with_boto3: bool,
    bytecode: bool,
    folder: Path | None,
    output: Path,
) -> None:
    """Build the zips."""
    if folder is not None and len(archs) != 1:
        raise click.UsageError("--folder takes one architecture: add --arch arm64 or --arch x86_64")
    if bytecode:
        interpreter(python)  # fails before anything is installed
    for arch in archs:
        with tempfile.TemporaryDirectory() as installed, tempfile.TemporaryDirectory() as configured:
            own = configuration(config, Path(configured))
            files = packages(Path(installed), arch, python, boto3=with_boto3, bytecode=bytecode)
            if folder is not None:
                write_folder(files | own, folder)
                return
            output.mkdir(parents=True, exist_ok=True)
            bridge = output / f"bridge-{arch}.zip"
            build(bridge, files | own, boto3=with_boto3)
            show_packages(bridge, files | own)
            build(output / f"layer-{arch}.zip", files, LAYER_PREFIX, boto3=with_boto3)


if __name__ == "__main__":
    main()
