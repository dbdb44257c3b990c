"""Writes lattice_bridge/packaging/requirements-lambda.txt: the versions of the dependencies for Lambda, and the SHA-256
of each file that pip may choose.

Rule: the versions are those of constraints.txt; this only adds hashes. The file names no registry: a hash is right,
whatever host the wheel comes from.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Final

import click

from lattice_bridge.packaging.contents import canonical
from lattice_bridge.packaging.install import LAMBDA, MACHINES, RUNTIMES, foreign

ROOT: Final = Path(__file__).resolve().parent.parent
HEADER: Final = "# Written by `make lock`, with the versions of constraints.txt.\n"


def locked(requirements: Iterable[str], constraints: Path, options: Sequence[str] = ()) -> dict[str, set[str]]:
    """The files that pip would install: each `name==version`, with the SHA-256 of its file.

    Args:
        requirements: as in a pyproject.toml.
        constraints: a file of versions.
        options: of `pip install`.

    Raises:
        ClickException: pip does not find a set of versions that fit.
    """
    with tempfile.TemporaryDirectory() as unused:
        command = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--dry-run"]
        command += ["--ignore-installed", "--report", "-", "--target", unused, "--only-binary", ":all:"]
        command += ["--constraint", str(constraints), *options, *requirements]
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        raise click.ClickException(f"pip finds no versions that fit {constraints.name}. Fix: change the pin it names")
    found: dict[str, set[str]] = {}
    for one in json.loads(done.stdout)["install"]:
        pin = f"{canonical(one['metadata']['name'])}=={one['metadata']['version']}"
        found[pin] = {one["download_info"]["archive_info"]["hashes"]["sha256"]}
    return found


def written(pins: Mapping[str, Iterable[str]]) -> str:
    """The text of a requirements file."""
    lines = [" \\\n    ".join([pin, *(f"--hash=sha256:{one}" for one in sorted(pins[pin]))]) for pin in sorted(pins)]
    return HEADER + "".join(f"{line}\n" for line in lines)


@click.command()
def main() -> None:
    """Write requirements-lambda.txt."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    constraints = ROOT / "constraints.txt"
    deployed: dict[str, set[str]] = {}
    for arch in MACHINES:
        for runtime in RUNTIMES:
            for pin, hashes in locked(project["project"]["dependencies"], constraints, foreign(arch, runtime)).items():
                deployed.setdefault(pin, set()).update(hashes)
    LAMBDA.write_text(written(deployed), encoding="utf-8")
    click.echo(f"{LAMBDA.relative_to(ROOT)}: {len(deployed)} packages, {sum(map(len, deployed.values()))} files")


if __name__ == "__main__":
    main()
