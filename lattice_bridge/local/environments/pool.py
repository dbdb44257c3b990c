"""The pool of execution environments: reuse, quota, the end of idle environments, and restarts after code changes.

Rule: an environment is found by its key only, (function, tenant), and its key never changes. An environment is never
ended in the middle of an invocation because its code has changed or it was idle.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable, Collection, Iterable, Iterator
from pathlib import Path
from typing import Final

from watchfiles import Change, DefaultFilter, awatch

from lattice_bridge.local.environments.environment import Environment, InvocationResult, SharedSettings
from lattice_bridge.local.environments.processes import kill_unmarked_children
from lattice_bridge.local.environments.runtime_api import Invocation
from lattice_bridge.local.environments.runtime_packages import PACKAGE
from lattice_bridge.local.environments.runtimes import NODE_CLIENT, is_installation, restarts
from lattice_bridge.local.plan.model import Function

Key = tuple[str, str | None]

REAP_INTERVAL: Final = 1.0
"""Seconds between two searches for environments that have been idle for too long."""

WATCH_MILLISECONDS: Final = 1000
"""Time between two checks whether a watched folder was replaced."""


class QuotaReached(Exception):
    """The highest number of environments exists, busy or idle."""


class EnvironmentPool:
    """All environments of a stack.

    Args:
        shared: the settings that they share.
        limit: the highest number of environments, busy or idle, as Lambda counts tenant environments.
        idle_seconds: after which an idle environment is ended.
    """

    def __init__(self, shared: SharedSettings, *, limit: int, idle_seconds: float) -> None:
        self._shared = shared
        self._limit = limit
        self._idle_seconds = idle_seconds
        self._idle: dict[Key, list[Environment]] = {}
        self._all: dict[Key, set[Environment]] = {}
        self._started = 0
        self._endings: dict[Environment, asyncio.Task[None]] = {}
        self._closed = False
        self._starting = asyncio.Semaphore(max(2, os.cpu_count() or 2))

    def __len__(self) -> int:
        return sum(len(environments) for environments in self._all.values())

    def __iter__(self) -> Iterator[Environment]:
        for environments in self._all.values():
            yield from environments

    async def run(self, function: Function, invocation: Invocation) -> InvocationResult:
        """Runs an invocation in an idle environment of its tenant, or in a new one.

        Raises:
            QuotaReached: no environment is idle, and no further one may be started.
        """
        environment = self._take((function.name, invocation.tenant)) or await self._start(function, invocation.tenant)
        try:
            return await environment.run(invocation)
        finally:
            self._put_back(environment)

    def mark_stale(self, functions: Iterable[str]) -> int:
        """Ends the idle environments of these functions now, and the busy ones later. Returns their number."""
        names = set(functions)
        stale = [environment for environment in self if environment.function.name in names]
        for environment in stale:
            environment.stale = True
        self._end_idle(lambda environment: environment.stale)
        return len(stale)

    async def reap(self) -> None:
        """Ends environments that have been idle for too long, until cancelled."""
        while True:
            await asyncio.sleep(REAP_INTERVAL)
            self._end_idle(self._has_outlived)

    def _has_outlived(self, environment: Environment) -> bool:
        return not environment.usable or time.monotonic() - environment.idle_since > self._idle_seconds

    async def close(self) -> None:
        """Ends all environments, busy or not."""
        self._closed = True
        self._idle.clear()
        for environment in list(self):
            self._end_soon(environment)
        await asyncio.gather(*self._endings.values())

    def _take(self, key: Key) -> Environment | None:
        """Returns the environment that was used last, so that the others stay idle and are ended."""
        waiting = self._idle.get(key, [])
        while waiting:
            environment = waiting.pop()
            if environment.usable:
                return environment
            self._end_soon(environment)
        return None

    async def _start(self, function: Function, tenant: str | None) -> Environment:
        while len(self) >= self._limit and self._endings and not self._closed:
            await asyncio.wait(self._endings.values(), return_when=asyncio.FIRST_COMPLETED)
        if self._closed or len(self) >= self._limit:
            raise QuotaReached(f"the limit is {counted(self._limit)}")
        key = (function.name, tenant)
        siblings = self._all.setdefault(key, set())
        taken = {environment.slot for environment in siblings}
        slot = next(number for number in range(1, len(taken) + 2) if number not in taken)
        self._started += 1
        environment = Environment(function, tenant, slot, self._started, self._shared)
        siblings.add(environment)
        try:
            # Many cold starts at once would each be too slow for the init phase's limit.
            async with self._starting:
                await environment.start()
        except BaseException:
            self._end_soon(environment)
            raise
        return environment

    def _put_back(self, environment: Environment) -> None:
        if self._closed or not environment.usable:
            self._end_soon(environment)
            return
        environment.idle_since = time.monotonic()
        self._idle.setdefault((environment.function.name, environment.tenant), []).append(environment)

    def _end_idle(self, when: Callable[[Environment], bool]) -> None:
        for key, waiting in list(self._idle.items()):
            for environment in [environment for environment in waiting if when(environment)]:
                waiting.remove(environment)
                self._end_soon(environment)
            if not waiting:
                del self._idle[key]

    def _end_soon(self, environment: Environment) -> None:
        """Ends an environment in the background. It counts against the limit until it has ended."""
        known = environment in self._all.get((environment.function.name, environment.tenant), ())
        if known and environment not in self._endings:
            self._endings[environment] = asyncio.ensure_future(self._end(environment))

    async def _end(self, environment: Environment) -> None:
        key = (environment.function.name, environment.tenant)
        try:
            await environment.stop()
            await asyncio.to_thread(kill_unmarked_children, self._shared.stack_id)
        finally:
            found = self._all.get(key, set())
            found.discard(environment)
            if not found:
                self._all.pop(key, None)
            self._endings.pop(environment, None)


def counted(count: int) -> str:
    """A number of environments, for people."""
    return f"{count} environment{'' if count == 1 else 's'}"


# ---- restarts after code changes ------------------------------------------------------------------------------------


async def watch(
    functions: Callable[[], Collection[Function]],
    environments: EnvironmentPool,
    say: Callable[[str], None],
    recorded: Path | None = None,
) -> None:
    """Watches the functions' code and this package, and restarts environments, until cancelled.

    It ends with a sentence if the system watches no more folders: `node_modules` may contain thousands.

    A folder that is deleted and made again (by git or rsync) loses its watch: then watching starts anew.

    Args:
        functions: gives those to watch, which may be others after a change of the template.
        environments: to restart.
        say: gets one sentence for each restart.
        recorded: a folder that the stack itself writes to, perhaps inside a function's; absolute, without links.
    """
    watched = restarting(functions, recorded)
    try:
        while True:
            await _follow(functions, environments, say, watched)
    except OSError as error:
        say(f"changes of code are not followed: {error}. Fix: sysctl fs.inotify.max_user_watches=1048576")


async def _follow(
    functions: Callable[[], Collection[Function]],
    environments: EnvironmentPool,
    say: Callable[[str], None],
    watched: Callable[[Change, str], bool],
) -> None:
    """Watches until a folder is made again, or other folders are to be watched."""
    roots = _roots(functions())
    before = _inodes(roots)
    if len(before) < len(roots):
        await asyncio.sleep(WATCH_MILLISECONDS / 1000)
        return
    async for changes in awatch(*roots, watch_filter=watched, rust_timeout=WATCH_MILLISECONDS, yield_on_timeout=True):
        if changes:
            _restart([Path(path) for _, path in changes], functions(), environments, say)
        if _inodes(roots) != before:
            _restart(list(roots), functions(), environments, say)
            return
        if _roots(functions()) != roots:
            return


def _roots(functions: Iterable[Function]) -> set[Path]:
    run_here = [function for function in functions if not function.url]
    return {folder for function in run_here for folder in (function.code, *function.layers)} | {PACKAGE}


def restarting(functions: Callable[[], Collection[Function]], recorded: Path | None) -> Callable[[Change, str], bool]:
    """Returns a filter for the files whose change restarts environments.

    No change in a folder as `.git`, `node_modules` and `__pycache__` does, nor that of an editor's temporary file. The
    installation of packages does.
    """
    ignored = () if recorded is None else (f"{recorded}/",)  # compared with the beginning of a path
    relevant = DefaultFilter(ignore_paths=ignored)

    def is_watched(change: Change, path: str) -> bool:
        followed = relevant(change, path) or is_installation(Path(path))
        return followed and any(_is_used_by(function, Path(path)) for function in functions())

    return is_watched


def _inodes(roots: Collection[Path]) -> dict[Path, int]:
    """Returns the inode of each folder that exists. A folder that was made again has another one."""
    return {root: root.stat().st_ino for root in roots if root.exists()}


def _restart(
    paths: list[Path], functions: Iterable[Function], environments: EnvironmentPool, say: Callable[[str], None]
) -> None:
    stale = [function.name for function in functions if any(_is_used_by(function, path) for path in paths)]
    if count := environments.mark_stale(stale):
        say(f"changed: {paths[0].name}; {counted(count)} of {', '.join(stale)} will restart")


def _is_used_by(function: Function, path: Path) -> bool:
    """Whether a change of a file, or the replacement of a whole folder, restarts a function's environments."""
    is_own = path.is_relative_to(PACKAGE) and (path.suffix == ".py" or path in (PACKAGE, NODE_CLIENT))
    return is_own or path in (function.code, *function.layers) or restarts(function, path)
