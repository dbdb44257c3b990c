"""Installs the bridge and its dependencies for Lambda's machines into a folder.

Rule: only wheels, each with a SHA-256 that a file of this repository lists. Nothing is compiled here, so no container
and no machine of the other architecture is needed. A wheel with another SHA-256 is refused.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import click

ROOT: Final = Path(__file__).resolve().parent.parent
LAMBDA: Final = ROOT / "requirements-lambda.txt"
BUILD: Final = ROOT / "requirements-build.txt"
MACHINES: Final = {"x86_64": "x86_64", "arm64": "aarch64"}
"""Lambda's name of a processor → a wheel's."""

PYTHONS: Final = ("3.11", "3.12", "3.13", "3.14")
"""The releases of Lambda on which the bridge runs."""

_AMAZON_LINUX_2: Final = ("3.11",)
"""Releases on Amazon Linux 2, whose C library is too old for manylinux_2_28."""


def platforms(arch: str, python: str) -> list[str]:
    """The platforms whose wheels run there, in pip's words; the oldest first."""
    kinds = ["manylinux2014", "manylinux_2_17", *([] if python in _AMAZON_LINUX_2 else ["manylinux_2_28"])]
    return [f"{kind}_{MACHINES[arch]}" for kind in kinds]


def foreign(arch: str, python: str) -> list[str]:
    """pip's options that select wheels for that machine instead of this one."""
    options = ["--python-version", python, "--implementation", "cp"]
    for platform in platforms(arch, python):
        options += ["--platform", platform]
    return options


def install(target: Path, arch: str, python: str) -> None:
    """Installs this project's wheel and its dependencies into the target.

    Raises:
        ClickException: a file has another hash, or requirements-lambda.txt does not list it.
    """
    with tempfile.TemporaryDirectory() as folder:
        wheel = _build_wheel(Path(folder))
        digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
        own = (
            Path(folder) / "requirements.txt"
        )  # together, so that pip refuses what ours needs and LAMBDA does not list
        own.write_text(f"lattice-bridge @ {wheel.as_uri()} --hash=sha256:{digest}\n", encoding="utf-8")
        install_reviewed([LAMBDA, own], target, foreign(arch, python))


def _build_wheel(folder: Path) -> Path:
    """Builds this project's wheel.

    The build backend runs on this machine and writes the deployed files, so its own wheels have listed hashes too. They
    are installed here, because pip's isolated builds check no hashes.
    """
    backend = folder / "backend"
    install_reviewed([BUILD], backend)
    command = [sys.executable, "-P", "-m", "hatchling", "build", "--target", "wheel", "--directory", str(folder)]
    environ = {**os.environ, "PYTHONPATH": str(backend)}
    done = subprocess.run(command, cwd=ROOT, env=environ, capture_output=True, text=True, check=False)
    if done.returncode:
        raise click.ClickException(f"the wheel of this project cannot be built:\n{done.stderr}")
    (wheel,) = folder.glob("*.whl")
    return wheel


def install_reviewed(files: Sequence[Path], target: Path, options: Sequence[str] = ()) -> None:
    """Installs the wheels that requirements files list into the target.

    Args:
        files: `name==version --hash=sha256:…`, see tools/lock.py.
        target: a folder.
        options: of pip, for another machine than this one.

    Raises:
        ClickException: a wheel has another hash, or is needed and not listed. pip has printed which.
    """
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-compile"]
    command += ["--require-hashes", "--only-binary", ":all:", "--target", str(target.absolute()), *options]
    for file in files:
        command += ["--requirement", str(file)]
    if subprocess.run(command, check=False).returncode:
        raise click.ClickException(
            f"{files[0].name}: pip did not install what it lists, for the reason above; nothing was packaged. "
            "Fix: if constraints.txt or the dependencies have changed, run `make lock` and review the difference; if "
            "not, find out why the registry sends another file"
        )
