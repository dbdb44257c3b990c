"""Builds dist/bridge-ARCH.zip: the bridge, its dependencies for Lambda's Python, and bridge.toml. No Docker.

The same sources and constraints give the same bytes: names are sorted, times and modes are fixed, no bytecode.
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

import click

from lattice_bridge.compiling import compile_document
from lattice_bridge.document import parse_document, read_text
from lattice_bridge.errors import InvalidMap

ROOT = Path(__file__).resolve().parent.parent
PLATFORMS = {"x86_64": "manylinux2014_x86_64", "arm64": "manylinux2014_aarch64"}
UNZIPPED_LIMIT = 250 * 1024 * 1024
LEFT_OUT = (
    *("bin/", "_lattice_bridge_pytestplugin.py"),
    *("lattice_bridge/cli/", "lattice_bridge/local/", "lattice_bridge/testing/"),
)
EPOCH = (1980, 1, 1, 0, 0, 0)


def install(target: Path, platform: str, python: str) -> None:
    """The wheel of this project and what it needs at run time, for another machine than this one."""
    options = ["--quiet", "--disable-pip-version-check", "--no-compile", "--target", str(target)]
    foreign = ["--platform", platform, "--python-version", python, "--implementation", "cp", "--only-binary", ":all:"]
    constraints = ["--constraint", str(ROOT / "constraints.txt")]
    subprocess.run([sys.executable, "-m", "pip", "install", *options, *foreign, *constraints, str(ROOT)], check=True)


def configure(config: Path, folder: Path) -> None:
    """bridge.toml, and beside it what it compiles to, which starts in half the time. One that does not load is not
    packaged."""
    shutil.copyfile(config, folder / "bridge.toml")
    try:
        compiled = compile_document(parse_document(read_text(config)), config.parent)
    except InvalidMap as error:
        raise click.ClickException("\n".join((f"{config} does not load:", *error.faults))) from error
    (folder / "bridge.json").write_text(compiled, encoding="utf-8")


def contents(folder: Path) -> Iterator[Path]:
    """What goes into the zip: no scripts, no bytecode, nothing for tests and desks, and no record of where pip found
    things."""
    for path in sorted(folder.rglob("*")):
        inside = path.relative_to(folder).as_posix()
        if path.is_file() and not inside.startswith(LEFT_OUT) and path.name not in ("direct_url.json", "RECORD"):
            yield path


def write_zip(folder: Path, archive: Path) -> None:
    """A zip whose bytes depend on nothing but names and contents."""
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as file:
        for path in contents(folder):
            entry = zipfile.ZipInfo(path.relative_to(folder).as_posix(), EPOCH)
            entry.external_attr = (0o755 if path.suffix == ".so" else 0o644) << 16
            entry.compress_type = zipfile.ZIP_DEFLATED
            file.writestr(entry, path.read_bytes(), compresslevel=9)


def sizes(folder: Path) -> dict[str, int]:
    """Bytes of each top-level package, the largest first."""
    found: dict[str, int] = {}
    for path in contents(folder):
        name = path.relative_to(folder).parts[0]
        found[name] = found.get(name, 0) + path.stat().st_size
    return dict(sorted(found.items(), key=lambda item: -item[1]))


@click.command()
@click.option("--arch", "archs", type=click.Choice(list(PLATFORMS)), multiple=True, default=list(PLATFORMS))
@click.option("--python", default="3.13", show_default=True, help="Lambda's Python.")
@click.option(
    "--config", type=click.Path(path_type=Path, exists=True), default=ROOT / "bridge.toml", help="A bridge.toml."
)
@click.option("--folder", type=click.Path(path_type=Path), help="Into this folder, for one architecture, and no zip.")
@click.option("--output", type=click.Path(path_type=Path), default=ROOT / "dist", show_default=True)
def main(archs: tuple[str, ...], python: str, config: Path, folder: Path | None, output: Path) -> None:
    """Build the zips."""
    if folder is not None:
        if len(archs) != 1:
            raise click.UsageError("--folder takes one architecture: add --arch arm64 or --arch x86_64")
        install(folder, PLATFORMS[archs[0]], python)
        configure(config, folder)
        return
    output.mkdir(parents=True, exist_ok=True)
    for arch in archs:
        with tempfile.TemporaryDirectory() as temporary:
            unpacked = Path(temporary)
            install(unpacked, PLATFORMS[arch], python)
            configure(config, unpacked)
            archive = output / f"bridge-{arch}.zip"
            write_zip(unpacked, archive)
            found = sizes(unpacked)
        unzipped = sum(found.values())
        for name, size in list(found.items())[:8]:
            click.echo(f"  {size / 2**20:7.1f} MiB  {name}")
        digest = hashlib.sha256(archive.read_bytes()).hexdigest()
        click.echo(
            f"{archive.name}: {archive.stat().st_size / 2**20:.1f} MiB, {unzipped / 2**20:.1f} unzipped, {digest}"
        )
        if unzipped > UNZIPPED_LIMIT:
            raise click.ClickException(f"Lambda takes {UNZIPPED_LIMIT // 2**20} MiB unzipped")


if __name__ == "__main__":
    main()
