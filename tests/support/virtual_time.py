"""An event loop whose time passes only while it waits: hours take no time."""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Coroutine
from typing import Any, TypeVar

BEGIN = 1_790_000_000.0
"""The virtual time at which each loop begins, in seconds since the epoch."""

_T = TypeVar("_T")


class _Selector(selectors.SelectSelector):
    """Instead of waiting, it lets the time pass."""

    passed = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        assert timeout is not None, "everything waits, and nothing has a time at which it ends"
        self.passed += timeout
        return super().select(0)


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop in virtual time."""

    def __init__(self) -> None:
        self._virtual = _Selector()
        super().__init__(self._virtual)

    def time(self) -> float:
        return self._virtual.passed


def now() -> float:
    """The virtual time, in seconds since the epoch."""
    return BEGIN + asyncio.get_running_loop().time()


def lived(main: Coroutine[Any, Any, _T]) -> _T:
    """Runs a coroutine to its end in virtual time."""
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(main)
