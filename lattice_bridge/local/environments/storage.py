"""The storage of execution environments: a folder for each, which is removed with it.

Rule: no environment sees another's folder. Where the kernel allows it, the folder is the process's `/tmp` and the only
place that it can write to, as on Lambda; `launcher.py` arranges that. Elsewhere the folder is only the process's
TMPDIR, and the stack warns about the shared `/tmp`.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import json
import logging
import os
import secrets
import stat
import sys
import tempfile
from collections.abc import AsyncIterator, Collection, Iterable, Iterator, Mapping
from contextlib import asynccontextmanager
from itertools import count
from pathlib import Path
from typing import Final

from lattice_bridge.config.location import CONFIG_VARIABLE
from lattice_bridge.config.regular_file import exists
from lattice_bridge.local.environments.launcher import OPT, TMP
from lattice_bridge.local.environments.runtime_packages import PACKAGE
from lattice_bridge.local.environments.runtimes import launch
from lattice_bridge.local.plan.model import Function, Plan

LAUNCHER: Final = Path(__file__).with_name("launcher.py")
PREFIX: Final = "lattice-bridge-stack-"
MARKER: Final = ".lattice-bridge-stack"
"""File in each stack's folder. A folder without it does not belong to a stack: its name may be a coincidence."""

SHARED: Final = "shared"
"""Folder in each stack's folder, for the stack's own files. Every environment can read it, if it contains something."""

_FOLDER: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW
_PROBE_TIMEOUT: Final = 10.0
_PATHS: Final = ("PYTHONPATH", CONFIG_VARIABLE)
"""Variables of a template with paths that a function reads outside its folder. Others may name paths that it writes."""

_logger: Final = logging.getLogger(__name__)


@asynccontextmanager
async def stack_folder() -> AsyncIterator[Path]:
    """Makes a stack's folder beneath the machine's `/tmp`, and removes it with its contents."""
    # Beneath /tmp no process with a /tmp of its own sees the others' folders.
    parent = TMP if os.access(TMP, os.W_OK | os.X_OK) else tempfile.gettempdir()
    folder = Path(tempfile.mkdtemp(prefix=PREFIX, dir=parent))
    try:
        lock = _lock(folder)
        try:
            (folder / SHARED).mkdir(mode=0o700)
            yield folder
        finally:
            os.close(lock)
    finally:
        await asyncio.to_thread(remove, folder)


class Storage:
    """The folders of one stack's environments.

    Args:
        folder: of the stack.
        plan: with the code of all functions in folders.
    """

    def __init__(self, folder: Path, plan: Plan) -> None:
        self._folder = folder
        self.keep(plan)
        self._spared = {os.path.realpath(path) for path in (*_working_directory(), *_needed(plan)) if path}
        self._obstacle = _obstacle(plan, str(folder.parent))
        self._shared: asyncio.Future[str | None] = asyncio.get_running_loop().create_future()

    def keep(self, plan: Plan) -> None:
        """Keeps what the functions of another plan need visible, for the environments that start from now on."""
        shared = self._folder / SHARED
        own = [str(shared)] if shared.is_dir() and any(shared.iterdir()) else []
        self._kept = tuple(_outermost((*own, *_needed(plan))))
        self._opt_is_free = _opt_is_free(plan)

    async def probe(self) -> str | None:
        """Tests whether this machine allows each process a `/tmp` of its own. Environments wait for the result.

        Returns:
            the reason why all environments share the machine's `/tmp`; None if each has its own.
        """
        try:
            reason = self._obstacle or await _refusal(self.new(0), self._kept)
            self._shared.set_result(reason)
        finally:
            self._shared.cancel()  # has no effect if it has a result
        return reason

    async def remove_left_behind(self) -> None:
        """Removes the folders of dead stacks."""
        await asyncio.to_thread(remove_left_behind, str(self._folder.parent), self._spared)

    def new(self, number: int) -> Path:
        """Makes an empty folder for one environment."""
        folder = self._folder / str(number)
        folder.mkdir(mode=0o700)
        return folder

    async def command(self, function: Function, folder: Path) -> list[str]:
        """Returns the command that runs the runtime client with `folder` as its storage.

        Raises:
            CannotStart: this machine cannot start it.
        """
        private = await asyncio.shield(self._shared) is None
        # -P keeps the launcher's folder off sys.path: a function could import its modules in place of others.
        # -S keeps the stack's packages off it.
        launcher = (sys.executable, "-P", "-S", str(LAUNCHER), function.handler)
        runtime = json.dumps({**json.loads(launch(function)), "opt": self._opt_of(function) if private else ""})
        return [*launcher, str(folder) if private else "", runtime, *(self._kept if private else ())]

    def _opt_of(self, function: Function) -> str:
        """The folder that is `/opt` of a function's processes; empty if `/opt` of this machine is needed."""
        return str(function.layers[-1]) if function.layers and self._opt_is_free else ""

    async def variables(self, folder: Path) -> Mapping[str, str]:
        """Returns TMPDIR if the process has no `/tmp` of its own."""
        return {} if await asyncio.shield(self._shared) is None else {"TMPDIR": str(folder)}


def _working_directory() -> Iterator[str]:
    with contextlib.suppress(OSError):  # it may have been removed
        yield str(Path.cwd())


# ---- removing -------------------------------------------------------------------------------------------------------


def remove(folder: Path) -> None:
    """Removes a folder and its contents. Follows no link, and logs a folder that it cannot remove.

    Each folder within is moved to the top before it is emptied. A function may nest folders so deeply that recursion,
    the length of a path, or the number of descriptors would reach a limit.
    """
    try:
        _make_writable(str(folder))
        top = os.open(folder, _FOLDER)
        try:
            names = os.listdir(top)  # noqa: PTH208 - a descriptor has no path
            fault = _remove_all([name for name in names if name != MARKER], top)
            if fault is None and MARKER in names:  # removed last, so that another start can try again
                fault = _remove_all([MARKER], top)
        finally:
            os.close(top)
        if fault is not None:
            raise fault
        folder.rmdir()
    except FileNotFoundError:
        return
    except OSError as error:
        _logger.warning("%s cannot be removed: %s", folder, error)


def _remove_all(names: list[str], top: int) -> OSError | None:
    """Removes files and folders of the folder `top`. Returns the last error, or None."""
    fault = None
    fresh = (f"{secrets.token_hex(8)}-{number}" for number in count())
    while names:
        name = names.pop()
        try:
            if _is_folder(name, top):
                names += _moved_up(name, top, fresh)
                os.rmdir(name, dir_fd=top)
            else:
                os.unlink(name, dir_fd=top)
        except OSError as error:
            fault = error
    return fault


def _moved_up(name: str, top: int, fresh: Iterator[str]) -> list[str]:
    """Removes the files of a folder, and moves its folders to the top. Returns their new names.

    An entry that can be neither removed nor moved stays, and the removal of the folder fails.
    """
    moved = []
    _make_writable(name, top)
    inner = os.open(name, _FOLDER, dir_fd=top)
    try:
        for each in os.listdir(inner):  # noqa: PTH208 - a descriptor has no path
            with contextlib.suppress(OSError):
                if _is_folder(each, inner):
                    _make_writable(each, inner)  # a move changes its `..`
                    new = next(fresh)
                    os.rename(each, new, src_dir_fd=inner, dst_dir_fd=top)
                    moved.append(new)
                else:
                    os.unlink(each, dir_fd=inner)
    finally:
        os.close(inner)
    return moved


def _is_folder(name: str, parent: int | None = None) -> bool:
    return stat.S_ISDIR(os.stat(name, dir_fd=parent, follow_symlinks=False).st_mode)


def _make_writable(name: str, parent: int | None = None) -> None:
    """Gives the owner all rights to a folder. A function may have removed them; its processes are dead by now."""
    if _is_folder(name, parent):
        os.chmod(name, 0o700, dir_fd=parent)


def remove_left_behind(parent: str, spared: Collection[str] = ()) -> None:
    """Removes the folders of stacks that were killed. A running stack holds its folder's lock, in a container too.

    Args:
        parent: of the folders.
        spared: real paths. A folder that is one of them, or contains one, is not removed.
    """
    with contextlib.suppress(OSError):
        for entry in list(os.scandir(parent)):
            real = os.path.realpath(entry.path)
            if entry.name.startswith(PREFIX) and not any(f"{path}/".startswith(f"{real}/") for path in spared):
                _remove_if_abandoned(Path(entry.path))


def _remove_if_abandoned(folder: Path) -> None:
    """Removes a folder that a stack of this user has made, and that no stack holds. Keeps every other folder."""
    with contextlib.suppress(OSError):
        lock = os.open(folder, _FOLDER)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            made, marker = os.fstat(lock), os.stat(MARKER, dir_fd=lock, follow_symlinks=False)
            private = stat.S_IMODE(made.st_mode) == 0o700 and stat.S_ISREG(marker.st_mode)
            if private and made.st_uid == marker.st_uid == os.getuid():
                remove(folder)
        finally:
            os.close(lock)


def _lock(folder: Path) -> int:
    """Returns a descriptor that holds a new folder's lock. Other stacks ignore the folder until it has a marker."""
    lock = os.open(folder, _FOLDER)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        os.close(os.open(MARKER, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600, dir_fd=lock))
    except BaseException:
        os.close(lock)
        raise
    return lock


# ---- a /tmp for each ------------------------------------------------------------------------------------------------


def _needed(plan: Plan) -> Iterator[str]:
    """Gives the paths that a process must find unchanged: its code, and the programs that run it."""
    searched = list(sys.path)
    for function in plan.functions.values():
        yield from map(str, (function.code, *function.layers, *function.dependencies.folders))
        yield from function.command[:1]
        for name in _PATHS:
            searched += function.environment.get(name, "").split(os.pathsep)
    yield str(plan.folder)  # links in a function's folder may lead elsewhere in the project
    yield from (sys.prefix, sys.base_prefix, sys.exec_prefix, sys.base_exec_prefix, str(PACKAGE))
    yield from os.environ.get("PATH", "").split(os.pathsep)
    for folder in searched:
        yield folder
        yield from _links(folder)


def _links(folder: str) -> Iterator[str]:
    """Gives the links in a folder: a package may be installed as a link into a cache or a working copy."""
    if Path(folder).is_absolute():  # an empty entry means the working directory
        with contextlib.suppress(OSError), os.scandir(folder) as entries:
            yield from (entry.path for entry in entries if entry.is_symlink())


def _outermost(paths: Iterable[str]) -> Iterator[str]:
    """Gives the existing paths beneath `/tmp`, without those within another one."""
    beneath = {
        form
        for path in paths
        if Path(path).is_absolute() and exists(path)
        for form in (os.path.normpath(path), os.path.realpath(path))
        if form.startswith(f"{TMP}/")
    }
    for path in sorted(beneath):
        if not any(str(above) in beneath for above in Path(path).parents):
            yield path


def _opt_is_free(plan: Plan) -> bool:
    """Whether `/opt` exists, and has nothing that a process needs: some machines install Python or Node.js there."""
    needed = {os.path.realpath(path) for path in _needed(plan) if path.startswith("/")}
    return os.path.isdir(OPT) and not any(path == OPT or path.startswith(f"{OPT}/") for path in needed)  # noqa: PTH112


def _obstacle(plan: Plan, parent: str) -> str | None:
    """Returns the reason why a private `/tmp` need not be tested; None if it may work."""
    if sys.platform != "linux":
        return "only Linux has private mounts"
    if os.path.realpath(TMP) != TMP or parent != TMP:
        return f"{TMP} is a link, or cannot be written to"
    for function in plan.functions.values():
        if str(function.code) == TMP:
            return f"{TMP} is the code of {function.name}"
    return None


async def _refusal(folder: Path, kept: tuple[str, ...]) -> str | None:
    """Tests a private `/tmp`. Returns the reason if a container, a policy, or an old kernel refuses it."""
    try:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-I", "-S", str(LAUNCHER), "", str(folder), "", *kept),
            env={},
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
        )
    except OSError as error:
        return str(error)
    try:
        _, errors = await asyncio.wait_for(process.communicate(), _PROBE_TIMEOUT)
    except TimeoutError:
        return f"the test did not end within {_PROBE_TIMEOUT:g} seconds"
    finally:
        if process.returncode is None:  # the test is too slow, or the stack stops
            process.kill()
            await process.wait()
    if process.returncode == 0:
        return None
    lines = errors.decode("utf-8", "replace").strip().splitlines()
    return lines[-1] if lines else f"the test ended with exit code {process.returncode}"
