"""Work beside a request, and how old a thing is by then.

Rule: what runs beside a request never keeps the process alive, and nobody waits for it here.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from lattice_bridge.forks import in_child


def in_background(work: Callable[[], None]) -> None:
    """Runs `work` in a thread of its own. In Lambda it stands still between requests, and goes on with the next.

    Raises:
        RuntimeError: no more threads can be started.
    """
    threading.Thread(target=work, name="lattice-bridge-background", daemon=True).start()


class Elapsed:
    """Seconds that have gone by, for ages: never fewer than the wall's clock or the monotonic one says, and never back.

    A monotonic clock may stand still while an execution environment is frozen, and the wall's may be set back: by
    either alone, what is old could stay young, and a suspended tenant active.

    Args:
        wall, steady: the two clocks, in seconds.
    """

    def __init__(self, wall: Callable[[], float] = time.time, steady: Callable[[], float] = time.monotonic) -> None:
        self._wall = wall
        self._steady = steady
        self._lock = threading.Lock()
        self._seen = (wall(), steady())
        self._total = 0.0
        in_child(self._forget_lock)

    def _forget_lock(self) -> None:
        self._lock = threading.Lock()

    def __call__(self) -> float:
        """Seconds since this was made."""
        with self._lock:
            now = (self._wall(), self._steady())
            self._total += max(0.0, now[0] - self._seen[0], now[1] - self._seen[1])
            self._seen = now
            return self._total


elapsed = Elapsed()


def is_past(since: float | None, now: float, span: float) -> bool:
    """Whether `span` seconds have gone by, or nobody knows since when. Also true for a clock that was set back:
    otherwise an hour too early would mean that nothing is looked at for an hour."""
    return since is None or not 0 <= now - since < span
