"""A folder for each execution environment to write to, which is removed with it.

Rule: no environment sees another's folder. Where the kernel allows it, the folder is the process's `/tmp` and the only
place that it can write to, as on Lambda; `launcher.py` does that. Elsewhere the folder is only the process's TMPDIR,
and the stack prints what is shared.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import shutil
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Final

from lattice_bridge.local.launcher import TMP
from lattice_bridge.local.plan import Plan
from lattice_bridge.place import CONFIG_VARIABLE

LAUNCHER: Final = Path(__file__).with_name("launcher.py")
PACKAGE: Final = Path(__file__).resolve().parent.parent
PREFIX: Final = "lattice-bridge-"

_PROBE_TIMEOUT: Final = 10.0
_PATHS: Final = ("PYTHONPATH", CONFIG_VARIABLE)
"""Variables of a template by which a function reads what is not in its folder. Others may name what it writes."""


class Storage:
    """The folders of one stack's environments.

    Attributes:
        shared: why all environments share the machine's `/tmp`; None if each has its own.
    """

    def __init__(self, folder: Path, lock: int, kept: tuple[str, ...], shared: str | None) -> None:
        self.shared = shared
        self._folder = folder
        self._lock = lock
        self._kept = kept

    @classmethod
    async def open(cls, plan: Plan) -> Storage:
        """Removes what dead stacks have left, and finds out what this machine allows by trying it."""
        # Beneath /tmp no process with a /tmp of its own sees the others' folders.
        parent = TMP if os.access(TMP, os.W_OK | os.X_OK) else tempfile.gettempdir()
        await asyncio.to_thread(remove_left_behind, parent)
        folder, lock = _locked_folder(parent)
        kept = tuple(_outermost(_needed(plan)))
        storage = cls(folder, lock, kept, _obstacle(plan, parent))
        if storage.shared is None:
            storage.shared = await _refusal(storage.new(0), kept)
        return storage

    def new(self, number: int) -> Path:
        """An empty folder for one environment."""
        folder = self._folder / str(number)
        folder.mkdir(mode=0o700)
        return folder

    def command(self, handler: str, folder: Path) -> list[str]:
        """What to run so that the runtime client has `folder`."""
        if self.shared is not None:
            return [sys.executable, "-m", "awslambdaric", handler]
        # -P keeps the launcher's folder off sys.path: a function would import its modules in place of others.
        return [sys.executable, "-P", str(LAUNCHER), handler, str(folder), *self._kept]

    def variables(self, folder: Path) -> Mapping[str, str]:
        return {} if self.shared is None else {"TMPDIR": str(folder)}

    def close(self) -> None:
        """Removes every folder."""
        remove(self._folder)
        os.close(self._lock)


def remove(folder: Path) -> None:
    """Removes a folder and what a function has put into it, without following links."""
    shutil.rmtree(folder, ignore_errors=True)
    if folder.exists():
        _make_writable(folder)
        shutil.rmtree(folder, ignore_errors=True)


def _make_writable(folder: Path) -> None:
    """A function may have made a folder that not even its owner may change. Its processes are dead by now."""
    for here, names, _ in os.walk(folder):
        for path in (Path(here, name) for name in names):
            with contextlib.suppress(OSError):
                if not path.is_symlink():
                    path.chmod(0o700)


def remove_left_behind(parent: str) -> None:
    """Removes the folders of stacks that were killed. A living stack holds its folder's lock, in a container too."""
    with contextlib.suppress(OSError):
        for entry in list(os.scandir(parent)):
            if entry.name.startswith(PREFIX) and entry.is_dir(follow_symlinks=False):
                _remove_if_abandoned(Path(entry.path))


def _remove_if_abandoned(folder: Path) -> None:
    with contextlib.suppress(OSError):
        lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        try:
            if os.fstat(lock).st_uid == os.getuid():
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                remove(folder)
        finally:
            os.close(lock)


def _locked_folder(parent: str) -> tuple[Path, int]:
    """A new folder, for this user only, and the descriptor that holds its lock."""
    while True:
        folder = Path(tempfile.mkdtemp(prefix=PREFIX, dir=parent))
        lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        fcntl.flock(lock, fcntl.LOCK_EX)
        if folder.exists():  # another stack that starts now may have seen it before it was locked, and removed it
            return folder, lock
        os.close(lock)


# ---- a /tmp for each ------------------------------------------------------------------------------------------------


def _needed(plan: Plan) -> Iterator[str]:
    """What a process needs to find at its path: code, and the Python that runs it."""
    for function in plan.functions.values():
        yield str(function.code)
        for name in _PATHS:
            yield from function.environment.get(name, "").split(os.pathsep)
    yield str(plan.folder)  # links in a function's folder may lead elsewhere in the project
    yield from (sys.prefix, sys.base_prefix, sys.exec_prefix, sys.base_exec_prefix, str(PACKAGE))
    yield from sys.path
    yield from os.environ.get("PATH", "").split(os.pathsep)


def _outermost(paths: Iterable[str]) -> Iterator[str]:
    """Those beneath `/tmp` that exist, without what lies within another."""
    beneath = {
        form
        for path in paths
        if Path(path).is_absolute() and Path(path).exists()
        for form in (os.path.normpath(path), os.path.realpath(path))
        if form.startswith(f"{TMP}/")
    }
    for path in sorted(beneath):
        if not any(str(above) in beneath for above in Path(path).parents):
            yield path


def _obstacle(plan: Plan, parent: str) -> str | None:
    """Why it need not be tried; None if it may work."""
    if sys.platform != "linux":
        return "only Linux has private mounts"
    if os.path.realpath(TMP) != TMP or parent != TMP:
        return f"{TMP} is a link, or cannot be written to"
    for function in plan.functions.values():
        if str(function.code) == TMP:
            return f"{TMP} is the code of {function.name}"
    return None


async def _refusal(folder: Path, kept: tuple[str, ...]) -> str | None:
    """Why this machine refuses; None if it does not. A container, a policy or an old kernel may refuse any step."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-I", "-S", str(LAUNCHER), "", str(folder), *kept),
        env={},
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        _, errors = await asyncio.wait_for(process.communicate(), _PROBE_TIMEOUT)
    except TimeoutError:
        process.kill()
        await process.wait()
        return f"it was not decided within {_PROBE_TIMEOUT:g} seconds"
    if process.returncode == 0:
        return None
    lines = errors.decode("utf-8", "replace").strip().splitlines()
    return lines[-1] if lines else f"the attempt ended with {process.returncode}"
