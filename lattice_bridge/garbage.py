"""Python's garbage collector, paused while many objects are made.

Rule: a pause is short, and the collector is always switched on again. Each collection visits every object that was made
so far, so while one large document is read, its beginning would be visited again and again.
"""

from __future__ import annotations

import gc
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from lattice_bridge.forks import in_child


class _Pauses:
    """How many threads want the collector paused. The first one pauses it, and the last one resumes it.

    Without the count, a thread that found it paused could pause it again after another had resumed it, for good.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._wanted = 0
        self._was_on = True
        in_child(self._forget_others)

    def begin(self) -> None:
        with self._lock:
            if self._wanted == 0:
                self._was_on = gc.isenabled()
                gc.disable()
            self._wanted += 1

    def end(self) -> None:
        with self._lock:
            self._wanted -= 1
            if self._wanted == 0 and self._was_on:
                gc.enable()

    def _forget_others(self) -> None:
        """The parent's other threads end no pause in the child."""
        self._lock = threading.Lock()
        if self._wanted:
            self._wanted = 0
            if self._was_on:
                gc.enable()


_pauses = _Pauses()


@contextmanager
def no_collection() -> Iterator[None]:
    """Pauses the collector for all threads. Reference counts go on freeing what is dropped."""
    _pauses.begin()
    try:
        yield
    finally:
        _pauses.end()
