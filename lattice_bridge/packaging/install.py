"""Installs the bridge's dependencies for Lambda's machines into a folder.

Rule: only wheels, each with a SHA-256 that requirements-lambda.txt beside this module lists. Nothing is compiled here,
so no container and no machine of the other architecture is needed. A wheel with another SHA-256 is refused.
"""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from lattice_bridge.packaging.contents import BROUGHT_BY_LAMBDA, CannotPackage, canonical

LAMBDA: Final = Path(__file__).with_name("requirements-lambda.txt")
"""The dependencies, and the SHA-256 of each wheel. `make lock` in a checkout writes it, and the wheel contains it."""

MACHINES: Final = {"arm64": "aarch64", "x86_64": "x86_64"}
"""Lambda's name of a processor → a wheel's."""

RUNTIMES: Final = ("python3.11", "python3.12", "python3.13", "python3.14")
"""Lambda's runtimes on which the bridge runs."""

_AMAZON_LINUX_2: Final = ("python3.11",)
"""Runtimes on Amazon Linux 2, whose C library is too old for manylinux_2_28."""


def platforms(arch: str, runtime: str) -> list[str]:
    """The platforms whose wheels run there, in pip's words; the oldest first."""
    kinds = ["manylinux2014", "manylinux_2_17", *([] if runtime in _AMAZON_LINUX_2 else ["manylinux_2_28"])]
    return [f"{kind}_{MACHINES[arch]}" for kind in kinds]


def foreign(arch: str, runtime: str) -> list[str]:
    """pip's options that select wheels for that machine instead of this one."""
    options = ["--python-version", runtime.removeprefix("python"), "--implementation", "cp"]
    for platform in platforms(arch, runtime):
        options += ["--platform", platform]
    return options


def install(target: Path, arch: str, runtime: str, boto3: bool) -> None:
    """Installs the bridge's dependencies into the target.

    Args:
        target: a folder.
        arch: Lambda's name of the processor.
        runtime: as in `python3.13`.
        boto3: install boto3 and its dependencies as well. They are four fifths of the files.

    Raises:
        CannotPackage: as `install_reviewed`.
    """
    with tempfile.TemporaryDirectory() as folder:
        requirements = Path(folder) / LAMBDA.name
        requirements.write_text(listed(boto3=boto3), encoding="utf-8")
        install_reviewed(requirements, target, foreign(arch, runtime))


def listed(*, boto3: bool) -> str:
    """The text of requirements-lambda.txt, with or without boto3 and its dependencies."""
    left_out = frozenset[str]() if boto3 else BROUGHT_BY_LAMBDA
    entries = re.split(r"\n(?=\S)", LAMBDA.read_text(encoding="utf-8"))
    return "\n".join(one for one in entries if canonical(one.partition("==")[0]) not in left_out)


def install_reviewed(requirements: Path, target: Path, options: Sequence[str] = ()) -> None:
    """Installs the wheels that a requirements file lists into the target.

    Args:
        requirements: `name==version --hash=sha256:…`, see tools/lock.py in the repository.
        target: a folder.
        options: of pip, for another machine than this one.

    Raises:
        CannotPackage: there is no pip; or a wheel is not found, has another hash, or is needed and not listed. pip has
            printed which, on standard error.
    """
    if importlib.util.find_spec("pip") is None:
        raise CannotPackage(
            f"{sys.executable}: has no pip, which installs the dependencies for Lambda. Fix: "
            "`python -m ensurepip`, or `uv pip install pip`"
        )
    # -P: a pip.py in the current folder is not run.
    command = [sys.executable, "-P", "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-compile"]
    command += ["--require-hashes", "--only-binary", ":all:", "--target", str(target.absolute()), *options]
    command += ["--requirement", str(requirements)]
    # stderr: pip compares the wheels for Lambda with this environment, and prints conflicts that are none.
    done = subprocess.run(  # noqa: S603 - pip of this Python
        command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, encoding="utf-8", errors="replace", check=False
    )
    if done.returncode:
        sys.stderr.write(done.stderr)
        raise CannotPackage(
            f"{requirements.name}: pip did not install what it lists, for the reason above; nothing was packaged. "
            "Fix: if pip did not reach its index, check the network and pip's settings. If a hash differs, find out "
            "why the index sends another file. In a checkout whose constraints.txt or dependencies changed, run "
            "`make lock` and review the difference"
        )
