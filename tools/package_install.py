"""What Lambda's machines need, installed into a folder on this one.

Rule: wheels alone. Nothing is compiled here, so no machine of the other kind and no container is needed.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parent.parent
MACHINES: Final = {"x86_64": "x86_64", "arm64": "aarch64"}
"""Lambda's name of a processor → a wheel's."""

PYTHONS: Final = ("3.11", "3.12", "3.13", "3.14")
"""Lambda's, as far as the bridge runs on them."""

_AMAZON_LINUX_2: Final = ("3.11",)
"""Whose C library is too old for wheels of the newer kind."""

_CONSTRAINTS: Final = ("PIP_CONSTRAINT", "PIP_BUILD_CONSTRAINT")
"""Variables, since no option reaches what builds the wheel; the second one is newer pips'."""


def platforms(arch: str, python: str) -> list[str]:
    """The wheels that run there, as pip names them, those with the fewest needs first."""
    kinds = ["manylinux2014", "manylinux_2_17", *([] if python in _AMAZON_LINUX_2 else ["manylinux_2_28"])]
    return [f"{kind}_{MACHINES[arch]}" for kind in kinds]


def install(target: Path, arch: str, python: str) -> None:
    """This project's wheel, and the wheels of what it needs at run time, as constraints.txt has them: and what builds
    the wheel, which writes its metadata."""
    options = ["--quiet", "--disable-pip-version-check", "--no-compile", "--target", str(target.absolute())]
    foreign = ["--python-version", python, "--implementation", "cp", "--only-binary", ":all:"]
    for platform in platforms(arch, python):
        foreign += ["--platform", platform]
    environ = {**os.environ, **dict.fromkeys(_CONSTRAINTS, "constraints.txt")}
    command = [sys.executable, "-m", "pip", "install", *options, *foreign, "."]
    subprocess.run(command, cwd=ROOT, env=environ, check=True)
