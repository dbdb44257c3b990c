"""Work beside a request.

Rule: it never keeps the process alive, and nobody waits for it here.
"""

from __future__ import annotations

import threading
from collections.abc import Callable


def in_background(work: Callable[[], None]) -> None:
    """Runs `work` in a thread of its own. In Lambda it stands still between requests, and goes on with the next.

    Raises:
        RuntimeError: no more threads can be started.
    """
    threading.Thread(target=work, name="lattice-bridge-background", daemon=True).start()


def is_past(since: float | None, now: float, span: float) -> bool:
    """Whether `span` seconds have gone by, or nobody knows since when. Also true for a clock that was set back:
    otherwise an hour too early would mean that nothing is looked at for an hour."""
    return since is None or not 0 <= now - since < span
