"""The cache of listed packages: each list is installed once, into a folder of its own (a cached environment).

Rule: an environment is complete or absent. It is built beside its place and moved there in one step, by one process at
a time. An environment that exists is never changed: another list has another key.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import re
import shutil
import stat
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from lattice_bridge.local.code.manifest import Manifest
from lattice_bridge.local.environments.processes import MARK, stack_mark
from lattice_bridge.local.environments.storage import remove

Installer = Callable[[Path, Path, Path], None]
"""Installs the packages of a requirements file (first) into an empty folder (second); relative paths in the file are
relative to a third. Raises InstallFailed."""

_SETTINGS: Final = {"PIP_USER": "0", "PIP_NO_INPUT": "1", "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
_NEW: Final = ".new"
_ABANDONED_SECONDS: Final = 24 * 3600
_SHOWN_LINES: Final = 10
_SHOWN_CHARACTERS: Final = 500
_PASSWORD: Final = re.compile(r"(?<=://)[^/\s]+@")
"""Name and password in the URL of a package index. pip hides the password in most of its messages, not in all."""


class InstallFailed(Exception):
    """The installer's own error lines."""


class BadCache(Exception):
    """The cache's folder cannot be used. The message has the form `where: what is wrong. Fix: …`."""


def cache_folder(environ: Mapping[str, str]) -> Path:
    """The folder of this user's environments, as the XDG Base Directory Specification has it: a relative
    XDG_CACHE_HOME is ignored."""
    given = Path(environ.get("XDG_CACHE_HOME", ""))
    return (given if given.is_absolute() else Path.home() / ".cache") / "lattice-bridge" / "packages"


class PackageCache:
    """The environments in a folder.

    Args:
        folder: made if there is none.
        installer: pip by default.
        say: takes one line about what is installed.
    """

    def __init__(self, folder: Path, installer: Installer, say: Callable[[str], None]) -> None:
        self._folder = folder
        self._installer = installer
        self._say = say

    def find(self, manifest: Manifest) -> Path | None:
        """The environment of a list of packages; None if there is none yet."""
        self._check_folder()
        found = self._folder / key_of(manifest)
        return found if found.is_dir() else None

    def make(self, manifest: Manifest, functions: str) -> Path:
        """The environment of a list of packages, which is installed if there is none yet.

        Args:
            manifest: the list.
            functions: whose packages they are, for people.

        Raises:
            InstallFailed: with the installer's error lines.
            BadCache: the folder cannot be used.
        """
        if (found := self.find(manifest)) is not None:
            return found
        found = self._folder / key_of(manifest)
        with self._lock():
            if not found.is_dir():
                self._remove_abandoned()
                self._say(f"{functions}: installing the packages of {manifest.path} (once) …")
                began = time.monotonic()
                self._build(manifest, found)
                self._say(f"{functions}: installed in {time.monotonic() - began:.1f} s")
        return found

    def _build(self, manifest: Manifest, target: Path) -> None:
        building = Path(tempfile.mkdtemp(prefix=f"{target.name}.", suffix=_NEW, dir=self._folder))
        try:
            requirements = building / "requirements.txt"
            requirements.write_text("".join(f"{line}\n" for line in manifest.requirements), encoding="utf-8")
            (building / "packages").mkdir()
            self._installer(requirements, building / "packages", manifest.path.parent)
            (building / "packages").rename(target)
        finally:  # also after Ctrl-C
            remove(building)

    @contextmanager
    def _lock(self) -> Iterator[None]:
        """Lets one stack install at a time. The kernel frees the lock of a process that was killed."""
        lock = os.open(self._folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                self._say("another stack is installing packages: waiting for it …")
                fcntl.flock(lock, fcntl.LOCK_EX)
            yield
        finally:
            os.close(lock)

    def _check_folder(self) -> None:
        """Makes the folder, and refuses one in which another user could put code, or that this user could replace."""
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            checked = [(folder, folder.stat()) for folder in (self._folder, *self._folder.resolve().parents[:2])]
        except OSError as error:
            raise BadCache(
                f"{self._folder}: {error.strerror}. Fix: set XDG_CACHE_HOME to a folder that you can write to, "
                "or start with --no-install"
            ) from error
        for folder, found in checked:
            if is_open(found) if folder == self._folder else is_replaceable(found):
                raise BadCache(
                    f"{folder}: another user owns it or may write to it, and functions would run that user's code. "
                    "Fix: set XDG_CACHE_HOME to a folder of your own"
                )

    def _remove_abandoned(self) -> None:
        """Removes what a killed process has left half-built. It was never used."""
        for entry in self._folder.glob(f"*{_NEW}"):
            with suppress(OSError):
                if time.time() - entry.lstat().st_mtime > _ABANDONED_SECONDS:
                    remove(entry)


def is_open(folder: os.stat_result) -> bool:
    """Whether another user may write to a folder, or change its mode."""
    return folder.st_uid != os.getuid() or bool(folder.st_mode & (stat.S_IWGRP | stat.S_IWOTH))


def is_replaceable(parent: os.stat_result) -> bool:
    """Whether another user may replace the folders in a folder. Not if it is sticky, as /tmp is. A group is not
    refused: on many machines, that of `~/.cache` is the user's own."""
    is_sticky = parent.st_mode & stat.S_ISVTX
    return parent.st_uid not in (os.getuid(), 0) or bool(parent.st_mode & stat.S_IWOTH and not is_sticky)


def key_of(manifest: Manifest) -> str:
    """The name of a list's environment: a hash of the list, of this Python's version, and of the platform."""
    python = (sys.implementation.cache_tag, sysconfig.get_config_var("SOABI"), sysconfig.get_platform())
    parts = [manifest.requirements, manifest.watched, python]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:32]


# ---- pip ------------------------------------------------------------------------------------------------------------


def install(requirements: Path, target: Path, folder: Path) -> None:
    """Installs with pip, or with uv if this Python has no pip. An `Installer`."""
    done = subprocess.run(  # noqa: S603 - this Python's pip, and arguments that are paths
        [*_installer(), "--target", str(target), "--requirement", str(requirements)],
        cwd=folder,
        env={**os.environ, **_SETTINGS, MARK: stack_mark(os.getpid())},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        check=False,
    )
    if done.returncode != 0:
        raise InstallFailed(error_lines(done.stdout.decode("utf-8", "replace")))


def _installer() -> list[str]:
    if find_spec("pip") is not None:
        return [
            sys.executable,
            "-P",
            "-m",
            "pip",
            "install",
        ]  # -P: the function's folder may contain a module that pip imports
    if (uv := shutil.which("uv")) is not None:
        return [uv, "pip", "install", "--quiet", "--compile-bytecode", "--python", sys.executable]
    raise InstallFailed(f"neither pip nor uv is there. Fix: {sys.executable} -m ensurepip")


def error_lines(output: str) -> str:
    """The lines of an installer's output that contain the cause, without names and passwords in URLs."""
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    errors = [line for line in lines if line.lower().startswith(("error", "× ", "╰─>", "×"))] or lines
    return "\n".join(_PASSWORD.sub("", line)[:_SHOWN_CHARACTERS] for line in errors[-_SHOWN_LINES:])
