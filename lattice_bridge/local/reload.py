"""Restarts environments whose code has changed.

Rule: never in the middle of an invocation. An idle environment ends at once, a busy one after its answer.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Final

from watchfiles import PythonFilter, awatch

from lattice_bridge.local.console import Console
from lattice_bridge.local.environments import Environments
from lattice_bridge.local.plan import Function

PACKAGE: Final = Path(__file__).resolve().parent.parent

_WATCHED: Final = (".toml", ".json", ".yaml", ".yml")


async def watch(functions: Iterable[Function], environments: Environments, console: Console) -> None:
    """Watches the functions' code and this package, until cancelled."""
    functions = list(functions)
    package = PACKAGE
    roots = {function.code for function in functions} | {package}
    async for changes in awatch(*roots, watch_filter=PythonFilter(extra_extensions=_WATCHED)):
        paths = [Path(path) for _, path in changes]
        stale = [
            function.name for function in functions if any(_concerns(path, function.code, package) for path in paths)
        ]
        if count := environments.mark_stale(stale):
            console.say(f"changed: {paths[0].name}; {count} environments of {', '.join(stale)} start anew")


def _concerns(path: Path, code: Path, package: Path) -> bool:
    return path.is_relative_to(code) or path.is_relative_to(package)
