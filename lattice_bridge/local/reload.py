"""Restarts environments whose code has changed.

Rule: never in the middle of an invocation. An idle environment ends at once, a busy one after its answer.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import Final

from watchfiles import PythonFilter, awatch

from lattice_bridge.local.environments.pool import Environments
from lattice_bridge.local.log_writer import Console
from lattice_bridge.local.plan.model import Function

PACKAGE: Final = Path(__file__).resolve().parent.parent
LOOK_AGAIN_MS: Final = 1000

_WATCHED: Final = (".toml", ".json", ".yaml", ".yml")


async def watch(functions: Iterable[Function], environments: Environments, console: Console) -> None:
    """Watches the functions' code and this package, until cancelled.

    A folder that is deleted and made again (git, rsync) takes its watch with it: then watching starts anew.
    """
    functions = list(functions)
    roots = {function.code for function in functions} | {PACKAGE}
    while True:
        before = identities(roots)
        if len(before) < len(roots):
            await asyncio.sleep(LOOK_AGAIN_MS / 1000)
            continue
        watched = PythonFilter(extra_extensions=_WATCHED)
        async for changes in awatch(*roots, watch_filter=watched, rust_timeout=LOOK_AGAIN_MS, yield_on_timeout=True):
            if changes:
                _restart([Path(path) for _, path in changes], functions, environments, console)
            if identities(roots) != before:
                _restart(list(roots), functions, environments, console)
                break


def identities(roots: Collection[Path]) -> dict[Path, int]:
    """What tells a folder from one of the same name made later; those that exist."""
    return {root: root.stat().st_ino for root in roots if root.exists()}


def _restart(paths: list[Path], functions: list[Function], environments: Environments, console: Console) -> None:
    stale = [function.name for function in functions if any(_concerns(path, function.code) for path in paths)]
    if count := environments.mark_stale(stale):
        console.say(f"changed: {paths[0].name}; {count} environments of {', '.join(stale)} start anew")


def _concerns(path: Path, code: Path) -> bool:
    return path.is_relative_to(code) or path.is_relative_to(PACKAGE)
